"""One exchange as the judges see it: the features they share, each computed once, and what a judge answers.

One rule: a Case only computes and caches - what a feature means for a mode is the judges' business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.types import RESPONSE, Conversation, Mode, Reply, Scores, Span
from core.values import frozen
from detectors.arithmetic import Statement, find_statements
from detectors.lazy import lazy
from detectors.phrases import Hit, Phrases, prompt_cues
from detectors.structural import Shape
from detectors.toolcheck import ToolChecker

#: The top of the suspect band, for whatever only a probe can settle.
SUSPECT_CAP = 0.65


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

    `model`: the trained refusal score of a reply, None where there is none. `final`: the reply is complete.
    """

    conversation: Conversation
    prompt: Scores
    reply: Reply
    checker: ToolChecker
    final: bool = True
    model: Callable[[Reply], float | None] | None = None

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


def span_of(mode: Mode, what: str, place: tuple[int, int]) -> Span:
    """An evidence span in the reply."""
    return Span(f"{mode}.{what}", RESPONSE, *place)


def spans_of(mode: Mode, what: str, hits: tuple[Hit, ...] | list[Hit], limit: int = 5) -> tuple[Span, ...]:
    return tuple(span_of(mode, what, (hit.start, hit.end)) for hit in hits[:limit])
