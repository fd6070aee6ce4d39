"""One exchange as the judges see it: the features they share, each computed once, and what a judge answers.

One rule: a Case only computes and caches - what a feature means for a mode is the judges' business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.types import RESPONSE, Conversation, Mode, Reply, Scores, Span
from core.values import frozen
from detectors.arithmetic import Statement, find_statements
from detectors.encoder import TEXT_CHARS, is_english
from detectors.late import LateValues
from detectors.lazy import lazy
from detectors.phrases import Hit, Phrases, prompt_cues
from detectors.structural import Shape
from detectors.toolcheck import ToolChecker
from detectors.trained import NOTHING, Said, Trained

#: Where a policy begins to suspect, as shipped; and the top of that band, for whatever only a probe can settle.
SUSPECT, SUSPECT_CAP = 0.4, 0.65
#: What words and the first tier say for certain; what the second must say to license, and what they must not leave unsaid then.
LICENSED, ASKED, HINTED = 0.6, 0.97, 0.2


@frozen
class Judged:
    """One mode: probability misrouted, probability present, and why."""

    score: float = 0.0
    present: float = 0.0
    spans: tuple[Span, ...] = ()


CLEAR = Judged()


@dataclass
class Case:
    """One exchange and the features that its judges share; each feature is computed once, on first use.

    `trained`: the models, None where there are none. `final`: the reply is complete. `quick`: the second tier stays out;
    `unsettled` then says whether a judge would have asked it.
    """

    conversation: Conversation
    prompt: Scores
    reply: Reply
    checker: ToolChecker
    final: bool = True
    trained: Trained | None = None
    quick: bool = False
    unsettled: bool = False

    @lazy
    def phrases(self) -> Phrases:
        return Phrases(self.reply.text)

    @lazy
    def shape(self) -> Shape:
        return Shape(self.reply.text, self.phrases.start, self.phrases.signs)

    @lazy
    def cues(self) -> frozenset[str]:
        return prompt_cues(self.conversation)

    @lazy
    def user_text(self) -> str:
        user = self.conversation.last_user
        return user.text if user is not None else ""

    @lazy
    def triggers(self) -> frozenset[str]:
        """Names of the triggers that act: those of the last user turn."""
        user = self.conversation.last_user
        if user is None or not self.prompt.spans:
            return frozenset()
        return frozenset([span.name for span in self.prompt.spans if span.message == user.index])

    @lazy
    def statements(self) -> tuple[Statement, ...]:
        return find_statements(self.user_text)

    @lazy
    def said(self) -> Said:
        """First tier: whether the reply declines or denies."""
        return self.trained.said(self.reply) if self.trained is not None else NOTHING

    @lazy
    def manner(self) -> Said:
        """First tier: how it does so."""
        return self.trained.mannered(self.reply) if self.trained is not None else NOTHING

    @lazy
    def said_again(self) -> Said:
        """Second tier: `refusal` and `excused` of the reply."""
        return self._second(lambda trained: trained.said_again(self.reply, self.phrases.start), self._english_reply)

    @lazy
    def answered(self) -> Said:
        """Second tier: `denial`, `suspicion` and `warm` of the reply to the last user turn."""
        reads = self._english_reply and is_english(self.user_text)
        return self._second(lambda trained: trained.answered(self.user_text, self.reply, self.phrases.start), reads)

    @lazy
    def distressed_again(self) -> Said:
        """Second tier: `distress` of the last user turn."""
        return self._second(lambda trained: trained.distressed_again(self.user_text), is_english(self.user_text))

    @lazy
    def asked_again(self) -> Said:
        """Second tier: what the prompt asks for."""
        values = self.prompt.values
        return self._second(lambda _: values.again(), self._english_prompt) if isinstance(values, LateValues) else NOTHING

    @lazy
    def _english_prompt(self) -> bool:
        return all(is_english(turn.text) for turn in self.conversation.user_turns if turn.text.strip())

    @lazy
    def _english_reply(self) -> bool:
        start = self.phrases.start
        return is_english(self.reply.text[start : start + TEXT_CHARS])

    def _second(self, read: Callable[[Trained], Said], reads: bool) -> Said:
        """`reads`: the second tier can read the texts; where it cannot, there is nothing to wait for."""
        if self.trained is None or not reads:
            return NOTHING
        if self.quick:
            self.unsettled = True
            return NOTHING
        return read(self.trained)

    def settle(self, name: str) -> float | None:
        """A prompt score that may take the second tier."""
        values = self.prompt.values
        if self.quick and isinstance(values, LateValues) and not values.settled(name) and self._english_prompt:
            self.unsettled = True
            return None
        return values.get(name)

    @property
    def body(self) -> str:
        """The visible answer."""
        return self.reply.text[self.phrases.start :]

    @property
    def scanned(self) -> int:
        """Characters of the reply that some judge really read."""
        if "shape" in self.__dict__:
            return len(self.reply.text)
        return self.phrases.scanned if "phrases" in self.__dict__ else 0

    def asks(self, name: str) -> float:
        return self.prompt.values.get(name, 0.0)

    def asks_enough(self, name: str, bound: float) -> bool:
        """Whether the prompt asks for it with at least that probability: words that are sure of it spare the models."""
        values = self.prompt.values
        return values.at_least(name, bound) if isinstance(values, LateValues) else values.get(name, 0.0) >= bound

    def licence(self, name: str) -> float:
        """How likely the prompt asks for it, by both tiers: for a judge that sees the behaviour and has nothing else to ask.

        At least LICENSED where it does, as nothing more is needed then."""
        if self.asks_enough(name, LICENSED):
            return LICENSED
        first = self.asks(name)
        if first < HINTED:
            return first
        return max(first, 0.9) if self.asked_again.get(name, 0.0) >= ASKED else first


def span_of(mode: Mode, what: str, place: tuple[int, int]) -> Span:
    """An evidence span in the reply."""
    return Span(f"{mode}.{what}", RESPONSE, *place)


def spans_of(mode: Mode, what: str, hits: tuple[Hit, ...] | list[Hit], limit: int = 5) -> tuple[Span, ...]:
    return tuple(span_of(mode, what, (hit.start, hit.end)) for hit in hits[:limit])
