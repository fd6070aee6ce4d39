"""The trained models behind the judges: both tiers, each run only when a judge first reads what it says.

One rule: nothing raises out of here - a model that fails is counted, and what it would have said is simply not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from core.types import Conversation, Reply, Turn
from detectors.encoder import TEXT_CHARS, beginning, is_english, windows
from detectors.languages import guess_language
from detectors.lazy import Occurs
from detectors.modelset import ModelSet, read_shipped

Said = Mapping[str, float]
NOTHING: Final[Said] = {}
#: Runs of the second tier over the user turns of one conversation; a longer one is left to the first tier.
MAX_RUNS: Final = 8
#: Runs over the turn whose writer may be in distress: what troubles a person is told within some sentences.
DISTRESS_RUNS: Final = 3
#: Characters of a turn in which its writer is looked for.
OWN_CHARS: Final = 6_000

_OWN: Final = Occurs(r"\b(?:i|im|i'(?:m|d|ve|ll)|me|my|mine|myself|we|our|us)\b")


def _may_be_own(turn: Turn) -> bool:
    text = turn.text[:OWN_CHARS].lower()
    return bool(text) and (not text.isascii() or _OWN(text.encode()) or guess_language(text) != "en")


class Trained:
    """A set of models, None = the shipped one. `failed` is told the name of a model that raised. Thread-safe."""

    def __init__(self, failed: Callable[[str], None], models: ModelSet | None = None) -> None:
        self._failed = failed
        self._models = models if models is not None else read_shipped()
        self.prompt = self._models.prompt
        self.distress = self._models.distress
        self.reply = self._models.reply
        self.manner = self._models.manner
        self.encoder = self._models.encoder

    def warm(self) -> None:
        """Build every session."""
        self._models.warm()

    def asked(self, conversation: Conversation) -> Said:
        """First tier: what the user turns ask for, and `harm`."""
        return self._run(self.prompt.name, lambda: self.prompt.score_prompt(conversation).values)

    def distressed(self, conversation: Conversation) -> Said:
        """First tier: `distress`. An English prompt that says neither "I" nor "my" is nobody's own."""
        if not any(map(_may_be_own, conversation.user_turns)):
            return NOTHING
        return self._run(self.distress.name, lambda: self.distress.score_prompt(conversation).values)

    def said(self, reply: Reply) -> Said:
        """First tier: whether the reply declines or denies."""
        return self._run(self.reply.name, lambda: self.reply.score_reply(reply).values)

    def mannered(self, reply: Reply) -> Said:
        """First tier: how it does so - with an excuse, in suspicion, warmly."""
        return self._run(self.manner.name, lambda: self.manner.score_reply(reply).values)

    def asked_again(self, conversation: Conversation) -> Said:
        """Second tier: the same of English user turns, read whole: their maximum. Nothing where one is not, or is too long."""
        return self._run("encoder", lambda: self._prompt(conversation))

    def distressed_again(self, text: str) -> Said:
        """Second tier: `distress` of one English user turn, the most that any of its first parts shows."""
        if not is_english(text):
            return NOTHING
        return self._run("encoder", lambda: self._most(beginning(self.encoder.tokenizer, text, DISTRESS_RUNS)))

    def said_again(self, reply: Reply, start: int) -> Said:
        """Second tier: `refusal` and `excused` of an English reply. `start`: where the visible answer begins."""
        text = reply.text[start : start + TEXT_CHARS]
        if not is_english(text):
            return NOTHING
        return self._run("encoder", lambda: self.encoder.read("reply", text))

    def answered(self, prompt: str, reply: Reply, start: int) -> Said:
        """Second tier: `denial`, `suspicion` and `warm` of an English reply to an English prompt."""
        text = reply.text[start : start + TEXT_CHARS]
        if not (is_english(text) and is_english(prompt)):
            return NOTHING
        return self._run("encoder", lambda: self.encoder.read("pair", text, prompt))

    def _prompt(self, conversation: Conversation) -> Said:
        texts = [turn.text for turn in conversation.turns if turn.role == "user" and turn.text.strip()]
        if not texts or not all(map(is_english, texts)):
            return NOTHING
        left, best = MAX_RUNS, dict[str, float]()
        for text in reversed(texts):
            runs = windows(self.encoder.tokenizer, text, left)
            if runs is None:
                return NOTHING
            left -= len(runs)
            for name, value in self._most(runs).items():
                best[name] = max(value, best.get(name, 0.0))
        return best

    def _most(self, runs: Sequence[list[int]]) -> Said:
        """The highest value of each label over some runs of a prompt."""
        found = [self.encoder.run("prompt", ids) for ids in runs]
        return {name: max(each[name] for each in found) for name in found[0]}

    def _run(self, name: str, work: Callable[[], Said]) -> Said:
        try:
            return work()
        except Exception:
            self._failed(name)
            return NOTHING
