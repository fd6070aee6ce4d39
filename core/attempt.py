"""One upstream attempt: what it has said so far, what of it is held, how it was judged, and how it ranks.

One rule: an attempt knows nothing of the others; the exchange compares them by `rank`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from core.holdback import Holdback
from core.types import Action, AttemptSummary, Change, Delta, Failure, Level, Mode, Piece, Reply, ToolCall, Usage, Verdict

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
        calls: tuple[ToolCall, ...] = ()
        if self._tools:
            calls = tuple(
                ToolCall("".join(names), "".join(arguments), next((i for i in ids if i), ""))
                for _, (names, arguments, ids) in sorted(self._tools.items())
            )
        return Reply(
            choice=self.choice,
            text=_joined(self._text)[start:],
            reasoning=_joined(self._reasoning),
            tool_calls=calls,
            finish_reason=self.finish_reason,
            refusal=_joined(self._refusal),
            offset=start,
        )

    @property
    def said(self) -> bool:
        """Whether it has content: text, or the API's own refusal."""
        return bool(self._text or self._refusal)

    @property
    def characters(self) -> int:
        """Everything generated so far, reasoning and arguments of tool calls included."""
        arguments = sum(len(part) for _, parts, _ in self._tools.values() for part in parts)
        return self.length + arguments + sum(map(len, self._reasoning)) + sum(map(len, self._refusal))


def _joined(parts: list[str]) -> str:
    # Joined in place, so that a reply per window does not join the same parts again and again.
    if len(parts) > 1:
        parts[:] = ["".join(parts)]
    return parts[0] if parts else ""


@dataclass(slots=True)
class Answer:
    """What an attempt has said so far, all choices. `tools_seen`: a tool call has begun. `usage`: as last reported."""

    tools_seen: bool = field(default=False, kw_only=True)
    usage: Usage | None = field(default=None, kw_only=True)
    _builders: dict[int, ReplyBuilder] = field(default_factory=dict, kw_only=True)
    _replies: tuple[Reply, ...] | None = field(default=None, kw_only=True)  # until something more is said

    def read(self, piece: Piece) -> None:
        self._replies = None
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
        if self._replies is None:
            self._replies = tuple([self._builders[choice].reply() for choice in sorted(self._builders)])
        return self._replies

    def total_usage(self) -> Usage:
        """Reported usage, or an estimate from the characters received."""
        if self.usage is not None:
            return self.usage
        characters = sum([builder.characters for builder in self._builders.values()])
        return Usage(0, -(-characters // CHARACTERS_PER_TOKEN), estimated=True)


@dataclass(slots=True)
class Attempt(Answer):
    """State of one attempt.

    `ended`: its body is complete. `failure`: it broke off. `cancelled`: we closed it. `sending`: its bytes may go out as
    they come. `covered`: of each choice, where the new part of its last window began and ended. `settled`: modes whose
    suspicion a probe has removed.
    """

    number: int
    change: Change
    action: Action | None = None
    started: bool = False
    ended: bool = False
    cancelled: bool = False
    sending: bool = False
    expired: bool = False
    failure: Failure | None = None
    verdict: Verdict | None = None
    valid: bool = True
    holdback: Holdback = field(default_factory=Holdback)
    covered: dict[int, tuple[int, int]] = field(default_factory=dict)
    settled: set[Mode | None] = field(default_factory=set)

    @property
    def running(self) -> bool:
        return not (self.ended or self.cancelled or self.failure)

    @property
    def usable(self) -> bool:
        """Whether it can still answer the client: complete, or on the way to it."""
        return self.started and not (self.cancelled or self.failure)

    @property
    def level(self) -> Level:
        """The worst that an enforcing policy found in it so far."""
        return self.verdict.acting_level if self.verdict else Level.CLEAR

    def feed(self, piece: Piece) -> None:
        self.holdback.feed(piece)
        self.read(piece)

    def window(self, context: int) -> tuple[Reply, ...]:
        """What no window has covered yet of every choice, with up to `context` characters before it; marks it covered.

        Context never reaches beyond the window before, and a choice with nothing new has none, so that windows of choices
        that grow at different speeds still read each character at most twice."""
        replies = []
        for choice, builder in sorted(self._builders.items()):
            begun, ended = self.covered.get(choice, (0, 0))
            if builder.length == ended:
                replies.append(builder.reply(ended))
                continue
            replies.append(builder.reply(max(begun, ended - context)))
            self.covered[choice] = (ended, builder.length)
        return tuple(replies)

    def _uncovered(self, builder: ReplyBuilder) -> int:
        return builder.length - self.covered.get(builder.choice, (0, 0))[1]

    def ready(self, chars: int, choices: int) -> bool:
        """Whether each of the `choices` has `chars` characters that no window has covered, or has finished."""
        ready = sum(1 for b in self._builders.values() if self._uncovered(b) >= chars or b.finish_reason is not None)
        return ready >= choices

    def grown(self, chars: int) -> bool:
        """Whether any choice has `chars` characters (at least one) that no window has covered."""
        return any(self._uncovered(builder) >= max(1, chars) for builder in self._builders.values())

    def said(self) -> bool:
        """Whether any choice has content; reasoning is none."""
        return any(builder.said for builder in self._builders.values())

    def judged(self, verdict: Verdict, *, whole: bool) -> Verdict:
        """Take a verdict: those of windows add up, one over the whole answer stands alone. What is settled stays settled."""
        before = self.verdict
        if not verdict.findings and (before is None or whole):
            self.verdict = verdict
            return verdict
        if before is not None and not whole:
            findings = before.findings + verdict.findings
            verdict = Verdict(findings, before.unchecked | verdict.unchecked, before.refused | verdict.refused)
        kept = tuple(f for f in verdict.findings if f.level is not Level.SUSPECT or f.mode not in self.settled)
        self.verdict = Verdict(kept, verdict.unchecked, verdict.refused)
        return self.verdict

    def settle(self, mode: Mode | None) -> None:
        """A probe agreed with this answer: the suspicion of `mode` is gone, also from later verdicts."""
        self.settled.add(mode)
        self.judged(self.verdict or Verdict(), whole=True)

    def rank(self) -> tuple[bool, Level, int, float, int]:
        """Lower is better: complete and valid, worst verdict, misrouted choices, highest probability, earliest."""
        acting = self.verdict.acting if self.verdict else ()
        misrouted = len({f.choice for f in acting if f.level == Level.MISROUTED})
        return (
            not (self.ended and self.valid),
            self.level,
            misrouted,
            max((f.score for f in acting), default=0.0),
            self.number,
        )

    def summary(self) -> AttemptSummary:
        failure = self.failure or (Failure("cancelled") if self.cancelled else None)
        usage = self.total_usage() if self.started else None
        return AttemptSummary(self.number, self.change, self.action, self.ended, self.verdict, usage, failure)
