"""One upstream attempt: what it has said so far, what of it is held, how it was judged, and how it ranks.

One rule: an attempt knows nothing of the others; the exchange compares them by `rank`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from core.holdback import Holdback
from core.types import Action, AttemptSummary, Change, Delta, Failure, Level, Piece, Reply, ToolCall, Usage, Verdict

#: Characters a token stands for where a cancelled attempt never reported its usage (the usual rule of thumb for English).
CHARACTERS_PER_TOKEN = 4


@dataclass(slots=True)
class ReplyBuilder:
    """Puts the deltas of one choice together. Linear: parts are joined only when a reply is asked for."""

    choice: int
    finish_reason: str | None = None
    length: int = 0  # characters of `text`
    _text: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)
    _refusal: list[str] = field(default_factory=list)
    _tools: dict[int, tuple[list[str], list[str], list[str]]] = field(default_factory=dict)

    def add(self, delta: Delta) -> None:
        if delta.text:
            self._text.append(delta.text)
            self.length += len(delta.text)
        if delta.reasoning:
            self._reasoning.append(delta.reasoning)
        if delta.refusal:
            self._refusal.append(delta.refusal)
        for tool in delta.tools:
            names, arguments, ids = self._tools.setdefault(tool.index, ([], [], []))
            names.append(tool.name)
            arguments.append(tool.arguments)
            ids.append(tool.id)
        if delta.finish_reason is not None:
            self.finish_reason = delta.finish_reason

    def reply(self, start: int = 0) -> Reply:
        """The choice so far, its text from character `start` on."""
        if len(self._text) > 1:
            self._text = ["".join(self._text)]
        calls = tuple(
            ToolCall("".join(names), "".join(arguments), next((i for i in ids if i), ""))
            for _, (names, arguments, ids) in sorted(self._tools.items())
        )
        return Reply(
            choice=self.choice,
            text=(self._text[0] if self._text else "")[start:],
            reasoning="".join(self._reasoning),
            tool_calls=calls,
            finish_reason=self.finish_reason,
            refusal="".join(self._refusal),
            offset=start,
        )


@dataclass(slots=True)
class Attempt:
    """State of one attempt.

    `ended`: its body is complete. `failure`: it broke off. `cancelled`: we closed it. `sending`: its bytes may go out as
    they come. `tools_seen`: a tool call has begun. `scored_to`: characters of each choice that a window has covered.
    """

    number: int
    change: Change
    action: Action | None = None
    started: bool = False
    ended: bool = False
    cancelled: bool = False
    sending: bool = False
    tools_seen: bool = False
    expired: bool = False
    failure: Failure | None = None
    verdict: Verdict | None = None
    valid: bool = True
    usage: Usage | None = None
    holdback: Holdback = field(default_factory=Holdback)
    scored_to: dict[int, int] = field(default_factory=dict)
    _builders: dict[int, ReplyBuilder] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        return not (self.ended or self.cancelled or self.failure)

    @property
    def usable(self) -> bool:
        """Whether it can still answer the client: complete, or on the way to it."""
        return self.started and not (self.cancelled or self.failure)

    def feed(self, piece: Piece) -> None:
        self.holdback.feed(piece)
        if piece.usage is not None:
            self.usage = piece.usage
        for delta in piece.deltas:
            builder = self._builders.get(delta.choice)
            if builder is None:
                builder = self._builders[delta.choice] = ReplyBuilder(delta.choice)
            builder.add(delta)
            if delta.tools:
                self.tools_seen = True

    def replies(self) -> tuple[Reply, ...]:
        """Every choice so far, in the order of their numbers."""
        return tuple(self._builders[choice].reply() for choice in sorted(self._builders))

    def window(self, context: int) -> tuple[Reply, ...]:
        """What no window has covered yet of every choice, with `context` characters before it; marks it covered."""
        replies = []
        for choice, builder in sorted(self._builders.items()):
            replies.append(builder.reply(max(0, self.scored_to.get(choice, 0) - context)))
            self.scored_to[choice] = builder.length
        return tuple(replies)

    def uncovered(self) -> int:
        """The most characters of any choice that no window has covered."""
        return max((b.length - self.scored_to.get(c, 0) for c, b in self._builders.items()), default=0)

    def has_text(self) -> bool:
        return any(builder.length for builder in self._builders.values())

    def prefix_ready(self, chars: int, choices: int) -> bool:
        """Whether each of the `choices` has `chars` characters of text, or has finished."""
        ready = sum(1 for b in self._builders.values() if b.length >= chars or b.finish_reason is not None)
        return ready >= choices

    def rank(self) -> tuple[bool, Level, int, float, int]:
        """Lower is better: complete and valid, worst verdict, misrouted choices, highest probability, earliest."""
        acting = self.verdict.acting if self.verdict else ()
        misrouted = len({f.choice for f in acting if f.level == Level.MISROUTED})
        worst = max((f.level for f in acting), default=Level.CLEAR)
        return (not (self.ended and self.valid), worst, misrouted, max((f.score for f in acting), default=0.0), self.number)

    def total_usage(self) -> Usage:
        """Reported usage, or an estimate from the characters received."""
        if self.usage is not None:
            return self.usage
        characters = sum(
            b.length + sum(map(len, b._reasoning)) + sum(len(a) for t in b._tools.values() for a in t[1])
            for b in self._builders.values()
        )
        return Usage(0, -(-characters // CHARACTERS_PER_TOKEN), estimated=True)

    def summary(self) -> AttemptSummary:
        failure = self.failure or (Failure("cancelled") if self.cancelled else None)
        usage = self.total_usage() if self.started else None
        return AttemptSummary(self.number, self.change, self.action, self.ended, self.verdict, usage, failure)
