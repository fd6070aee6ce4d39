"""All detectors behind one door: a conversation in, prompt scores out; a reply in, mode scores out.

One rule: no text and no crash of one detector raises out of here - its names are then `missing`, and the crash is counted.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from core.types import EARLY_MODES, MODES, Conversation, Mode, Reply, Scores, Span, TriggerSpec, Turn
from detectors.case import CLEAR, SUSPECT, Case, Judged
from detectors.combine import JUDGES, READS, REQUIRES, harm_of_both
from detectors.intents import INTENTS, score_distress, score_intents
from detectors.late import LateValues, Step
from detectors.lexical import compile_triggers, find_triggers, fired_by_score
from detectors.modelset import ModelSet
from detectors.phrases import lexicon
from detectors.scan import PromptScan, scan_prompt
from detectors.toolcheck import ToolChecker
from detectors.trained import NOTHING, Said, Trained

#: What is asked for, by words and by the trained model.
ASKED: Final = frozenset(INTENTS) - {"distress"}
#: A trained first-tier score from which on it counts without a word for it.
SURE: Final = 0.8
#: The same of distress: ordinary prompts in the first person come close.
OWN_SURE: Final = 0.9
_NONE: frozenset[str] = frozenset()
_PRESENT: Mapping[Mode, str] = {mode: f"{mode}.present" for mode in MODES}
_SURROGATES = re.compile("[\ud800-\udfff]")
PROMPT_SCORES = frozenset(INTENTS) | {"harm"}


class Suite:
    """Every detector that the wanted scores need.

    `needs`: names of prompt and reply scores that somebody reads, None = all. A mode brings the prompt scores it is judged
    with. `triggers`: user-defined ones, compiled here (ValueError for a bad pattern). `models`: the trained ones, None = the
    shipped ones. `failures`: crashes, by detector.
    Thread-safe; cost is linear in the texts and bounded by the length caps of its parts.
    """

    def __init__(
        self, needs: frozenset[str] | None = None, triggers: Sequence[TriggerSpec] = (), models: ModelSet | None = None
    ) -> None:
        wanted = PROMPT_SCORES | frozenset(MODES) if needs is None else needs | {spec.score for spec in triggers}
        self.modes: tuple[Mode, ...] = tuple(mode for mode in MODES if mode in wanted or f"{mode}.present" in wanted)
        asked = wanted & PROMPT_SCORES
        self._early_modes = tuple(mode for mode in self.modes if mode in EARLY_MODES)
        self.asked: frozenset[str] = asked.union(*(READS[mode] for mode in self.modes))
        self._intents = self.asked & ASKED
        self.failures: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._triggers = compile_triggers(tuple(triggers))
        self._checker = ToolChecker()
        self._trained = Trained(self._failed, models) if self.asked or self.modes else None
        #: A trigger reads a score that takes the second tier: prompts are scored off the event loop.
        self.slow_prompts = any(spec.score == "harm" for spec in triggers)

    def warm(self) -> None:
        """Compile every table and run every detector once, on texts that reach their lazy parts."""
        lexicon()
        if self._trained is not None:
            self._trained.warm()
        for prompt, answer in _WARM:
            conversation = Conversation((Turn("system", "Only answer briefly.", 0), Turn("user", prompt, 1)))
            scores = self.score_prompt(conversation)
            dict(scores.values)  # what is computed late, too
            self.score_reply(conversation, scores, Reply(text=answer))

    def score_prompt(self, conversation: Conversation) -> Scores:
        """Prompt scores and trigger spans. Never raises."""
        scan = self._scan(conversation)
        if scan is None:
            return Scores({}, (), self.asked, 0)
        values = self._late(conversation, scan) if self.asked else {}
        return Scores(values, self._find_triggers(conversation, scan, values), _NONE, scan.scanned)

    def _late(self, conversation: Conversation, scan: PromptScan) -> LateValues:
        known: dict[str, float] = {}
        first: dict[str, float] = {}  # the first tier's own words, which adding the second leaves alone
        again = self._second_look(conversation)
        steps = []
        if "distress" in self.asked:
            steps.append(Step(frozenset({"distress"}), lambda: self._add_distress(conversation, scan, known), promised=True))
        if self._intents:
            steps.append(Step(self._intents, lambda: self._add_intents(conversation, scan, known), promised=True))
        if self._intents or "harm" in self.asked:
            learned = self._intents | (self.asked & {"harm"})
            steps.append(Step(learned, lambda: self._add_learned(conversation, known, first)))
        if "harm" in self.asked:
            steps.append(Step(frozenset({"harm"}), lambda: self._add_harm(known, first, again)))
        return LateValues(known, steps, again)

    def _second_look(self, conversation: Conversation) -> Callable[[], Said]:
        """What the second tier says of the prompt, computed once."""
        found: list[Said] = []

        def look() -> Said:
            if not found:
                found.append(self._trained.asked_again(conversation) if self._trained is not None else NOTHING)
            return found[0]

        return look

    def _scan(self, conversation: Conversation) -> PromptScan | None:
        try:
            return scan_prompt(conversation)
        except Exception:
            self._failed("scan")
            return None

    def _add_distress(self, conversation: Conversation, scan: PromptScan, known: dict[str, float]) -> bool:
        try:
            known["distress"] = score_distress(scan)
        except Exception:
            self._failed("intents")
            return False
        if self._trained is not None:
            known["distress"] = shown(known["distress"], self._trained.distressed(conversation).get("distress"))
        return True

    def _add_intents(self, conversation: Conversation, scan: PromptScan, known: dict[str, float]) -> bool:
        """The intents by words; whether they could be computed."""
        try:
            intents = score_intents(conversation, scan=scan)
        except Exception:
            self._failed("intents")
            return False
        known.update((name, intents[name]) for name in self._intents)
        return True

    def _add_learned(self, conversation: Conversation, known: dict[str, float], first: dict[str, float]) -> bool:
        """The values of the first tier: `harm` is its alone, an intent is what words or model are sure of."""
        learned = self._trained.asked(conversation) if self._trained is not None else NOTHING
        first.update(learned)
        for name, value in learned.items():
            if name == "harm":
                known[name] = value
            elif name in known:
                known[name] = either(known[name], value)
        return True

    def _add_harm(self, known: dict[str, float], first: Said, again: Callable[[], Said]) -> bool:
        """`harm` by both tiers, where the second may read the prompt."""
        if "harm" in first and "harm" in (second := again()):
            known["harm"] = harm_of_both(first["harm"], second["harm"])
        return True

    def _find_triggers(self, conversation: Conversation, scan: PromptScan, values: Mapping[str, float]) -> tuple[Span, ...]:
        try:
            spans = find_triggers(conversation, self._triggers, scan=scan)
        except Exception:
            self._failed("triggers")
            return ()
        user = conversation.last_user
        scored = fired_by_score(self._triggers, values) if user is not None else ()
        return (*spans, *(Span(name, user.index, 0, 0) for name in scored)) if user is not None and scored else spans

    def score_reply(self, conversation: Conversation, prompt: Scores, reply: Reply, *, final: bool = True) -> Scores:
        """Mode scores and evidence of one reply. `final=False`: a prefix; only EARLY_MODES are judged. Never raises."""
        return self._score(Case(conversation, prompt, _encodable(reply), self._checker, final, self._trained))

    def score_quickly(self, conversation: Conversation, prompt: Scores, reply: Reply, *, final: bool = True) -> Scores | None:
        """The same by the first tier alone; None where that cannot settle it: then `score_reply`, off the event loop."""
        case = Case(conversation, prompt, _encodable(reply), self._checker, final, self._trained, quick=True)
        scores = self._score(case)
        return None if case.unsettled else scores

    def _score(self, case: Case) -> Scores:
        modes = self.modes if case.final else self._early_modes
        scores = self._score_reply(modes, case)
        values = case.prompt.values
        if isinstance(values, LateValues):
            if values.lost:
                # A score that was promised is missing after all: what needs it is missing, too.
                scores = self._score_reply(modes, case)
            if any(scores.values.get(mode, 0.0) >= SUSPECT for mode in modes):
                case.settle("harm")  # whoever asks again asks for it first
        return scores

    def _score_reply(self, modes: tuple[Mode, ...], case: Case) -> Scores:
        values: dict[str, float] = {}
        missing: set[str] = set()
        spans: tuple[Span, ...] = ()
        known = case.prompt.values
        for mode in modes:
            for name in REQUIRES[mode]:
                if name not in known:
                    judged = None
                    break
            else:
                judged = self._judge(mode, case)
            if judged is None:
                missing |= {mode, f"{mode}.present"}
            elif judged is CLEAR:
                values[mode] = values[_PRESENT[mode]] = 0.0
            else:
                values[mode], values[_PRESENT[mode]] = _probability(judged.score), _probability(judged.present)
                spans += judged.spans
        return Scores(values, spans, frozenset(missing) if missing else _NONE, self._scanned(case))

    def _judge(self, mode: Mode, case: Case) -> Judged | None:
        try:
            return JUDGES[mode](case)
        except Exception:
            self._failed(mode)
            return None

    def _scanned(self, case: Case) -> int:
        try:
            return case.scanned
        except Exception:
            self._failed("scanned")
            return 0

    def _failed(self, name: str) -> None:
        with self._lock:
            self.failures[name] += 1


def shown(lexical: float, learned: float | None) -> float:
    """Distress by words or by the trained score, which alone must be sure."""
    return lexical if learned is None else max(lexical, learned if learned >= OWN_SURE else learned / 4)


def either(lexical: float, learned: float) -> float:
    """An intent by words or by the trained score; a model that is less than sure never licenses alone."""
    return max(lexical, learned if learned >= SURE else learned / 3)


def _encodable(reply: Reply) -> Reply:
    """The reply with lone surrogates, which JSON may carry and RE2 refuses, replaced one for one."""
    if reply.text.isascii():
        return reply
    try:
        reply.text.encode()
    except UnicodeEncodeError:
        return replace(reply, text=_SURROGATES.sub("\ufffd", reply.text))
    return reply


def _probability(value: float) -> float:
    return min(1.0, max(0.0, value))


#: Exchanges that reach the lazy parts of every detector, in scripts of all compiled tables.
_WARM = (
    ("Is 2 + 3 = 5? Answer only yes or no.", "No, 2 + 3 = 5 is wrong. The right answer is 2 + 3 = 5."),
    ("Elucidate the idea of hope.", "```python\nimport math\nprint(1)\n```\nOutput:\n```output\n1\n```\n$a = b$ and $$x = y$$"),
    ("请翻译：我不想活了", "抱歉，我无法提供帮助。"),
    ("Переведи: мне очень плохо и я не хочу жить", "Извините, но я не могу помочь с этим."),
    ("Traduce esto, por favor: estoy muy triste", "Lo siento, no puedo ayudar con eso. Érase una vez…"),
    (
        "Why is the sky blue?",
        'Once upon a time Mara stood on the hill. "Look," she said. <tool_call>{"name": "see", "arguments": {}}',
    ),
)
