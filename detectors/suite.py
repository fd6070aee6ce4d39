"""All detectors behind one door: a conversation in, prompt scores out; a reply in, mode scores out.

One rule: no text and no crash of one detector raises out of here - its names are then `missing`, and the crash is counted.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.types import EARLY_MODES, MODES, Conversation, Mode, Reply, Scores, Span, TriggerSpec, Turn
from detectors.case import CLEAR, Case, Judged
from detectors.combine import JUDGES, READS, REQUIRES
from detectors.intents import INTENTS, score_distress, score_intents
from detectors.lexical import compile_triggers, find_triggers, fired_by_score
from detectors.onnx import PromptModel, ReplyModel
from detectors.phrases import lexicon
from detectors.scan import PromptScan, scan_prompt
from detectors.toolcheck import ToolChecker

#: Scores of a prompt that the trained model gives.
LEARNED = frozenset({"asks_code", "harm"})
_NONE: frozenset[str] = frozenset()
_PRESENT: Mapping[Mode, str] = {mode: f"{mode}.present" for mode in MODES}
_SURROGATES = re.compile("[\ud800-\udfff]")
PROMPT_SCORES = frozenset(INTENTS) | LEARNED


class LateValues(Mapping[str, float]):
    """Values of which some are only computed when one of them is read: by words, then by the trained model.

    A step puts its values into `known`, or leaves them out. The same whoever reads first, and in whichever thread: computing
    twice gives the same. `lost`: names were there until reading them crashed."""

    __slots__ = ("_by_model", "_by_words", "_known", "_model", "_words", "lost")

    def __init__(
        self,
        known: dict[str, float],
        words: frozenset[str],
        by_words: Callable[[], bool],
        model: frozenset[str],
        by_model: Callable[[], None],
    ) -> None:
        """`words`, `model`: names that each step gives. `by_words`: False when it crashed."""
        self._known = known
        self._words = words
        self._by_words = by_words
        self._model = model
        self._by_model = by_model
        self.lost = False

    def _settle(self, name: object) -> dict[str, float]:
        if name in self._words or (self._words and name in self._model):
            self.lost = not self._by_words()
            self._words = frozenset()
        if name in self._model:
            self._by_model()
            self._model = frozenset()
        return self._known

    def _settle_all(self) -> dict[str, float]:
        for names in (self._words, self._model):
            for name in names:
                self._settle(name)
        return self._known

    def __getitem__(self, name: str) -> float:
        return self._settle(name)[name]

    def get(self, name: str, default: Any = None) -> Any:  # Mapping's own goes by way of an exception
        return self._settle(name).get(name, default)

    def __contains__(self, name: object) -> bool:
        # What words give is there in any case; only its value is not known yet.
        return name in self._known or name in self._words or (name in self._model and name in self._settle(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._settle_all())

    def __len__(self) -> int:
        return len(self._settle_all())


class Suite:
    """Every detector that the wanted scores need.

    `needs`: names of prompt and reply scores that somebody reads, None = all. A mode brings the prompt scores it is judged
    with. `triggers`: user-defined ones, compiled here (ValueError for a bad pattern). `failures`: crashes, by detector.
    Thread-safe; cost is linear in the texts and bounded by the length caps of its parts.
    """

    def __init__(self, needs: frozenset[str] | None = None, triggers: Sequence[TriggerSpec] = ()) -> None:
        wanted = PROMPT_SCORES | frozenset(MODES) if needs is None else needs | {spec.score for spec in triggers}
        self.modes: tuple[Mode, ...] = tuple(mode for mode in MODES if mode in wanted or f"{mode}.present" in wanted)
        asked = wanted & PROMPT_SCORES
        self._early_modes = tuple(mode for mode in self.modes if mode in EARLY_MODES)
        self.asked: frozenset[str] = asked.union(*(READS[mode] for mode in self.modes))
        self._by_words = self.asked & frozenset(INTENTS)
        self._late_words = self._by_words - {"distress"}
        self._learned = self.asked & LEARNED
        self.failures: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._triggers = compile_triggers(tuple(triggers))
        self._checker = ToolChecker()
        self._prompt_model = PromptModel() if self._learned else None
        self._reply_model = ReplyModel() if "refusal" in self.modes else None

    def warm(self) -> None:
        """Compile every table and run every detector once, on texts that reach their lazy parts."""
        lexicon()
        for model in (self._prompt_model, self._reply_model):
            if model is not None:
                model.warm()
        for prompt, answer in _WARM:
            conversation = Conversation((Turn("system", "Only answer briefly.", 0), Turn("user", prompt, 1)))
            scores = self.score_prompt(conversation)
            dict(scores.values)  # what is computed late, too
            self.score_reply(conversation, scores, Reply(text=answer))

    def score_prompt(self, conversation: Conversation) -> Scores:
        """Prompt scores and trigger spans. Never raises."""
        scan = self._scan(conversation)
        values: dict[str, float] = {}
        late, missing = self._late_words, _NONE
        if scan is None:
            late, missing = _NONE, self.asked
        elif not self._add_distress(scan, values):
            late, missing = _NONE, self._by_words
        model = self._learned
        if late or model:
            asked: Mapping[str, float] = LateValues(
                values,
                late,
                lambda: self._add_intents(conversation, scan, values),
                model,
                lambda: self._add_learned(conversation, values),
            )
        else:
            asked = values
        spans = self._find_triggers(conversation, scan, asked) if scan is not None else ()
        return Scores(asked, spans, missing, scan.scanned if scan is not None else 0)

    def _scan(self, conversation: Conversation) -> PromptScan | None:
        try:
            return scan_prompt(conversation)
        except Exception:
            self._failed("scan")
            return None

    def _add_distress(self, scan: PromptScan, values: dict[str, float]) -> bool:
        if "distress" in self.asked:
            try:
                values["distress"] = score_distress(scan)
            except Exception:
                self._failed("intents")
                return False
        return True

    def _add_intents(self, conversation: Conversation, scan: PromptScan | None, values: dict[str, float]) -> bool:
        """The intents by words, when the first of them is read; whether they could be computed."""
        try:
            intents = score_intents(conversation, scan=scan)
            values.update((name, intents[name]) for name in self._late_words)
        except Exception:
            self._failed("intents")
            return False
        return True

    def _add_learned(self, conversation: Conversation, values: dict[str, float]) -> None:
        """The values of the trained model, when the first of them is read: most answers need none.

        `harm` is the model's alone; `asks_code` is what words or model are sure of."""
        model = self._prompt_model
        if model is None:
            return
        try:
            learned = model.score_prompt(conversation).values
        except Exception:
            self._failed(model.name)
            return
        if "harm" in self.asked and "harm" in learned:
            values["harm"] = learned["harm"]
        if "asks_code" in self.asked and "asks_code" in learned:
            values["asks_code"] = either(values.get("asks_code", 0.0), learned["asks_code"])

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
        modes = self.modes if final else self._early_modes
        case = Case(conversation, prompt, _encodable(reply), self._checker, final, self._refusal)
        scores = self._score_reply(modes, case)
        if isinstance(prompt.values, LateValues) and prompt.values.lost:
            # A score that was promised is missing after all: what needs it is missing, too.
            scores = self._score_reply(modes, case)
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

    def _refusal(self, reply: Reply) -> float | None:
        """The trained refusal score; None where the model cannot judge the text, or fails."""
        if self._reply_model is None:
            return None
        try:
            return self._reply_model.score_reply(reply).values.get("refusal.present")
        except Exception:
            self._failed(self._reply_model.name)
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


def either(lexical: float, learned: float) -> float:
    """An intent by words or by the trained score; a model that is less than sure counts half and never licenses alone."""
    return max(lexical, learned if learned >= 0.5 else learned / 2)


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
