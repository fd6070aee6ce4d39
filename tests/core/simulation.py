"""A driver without a loop: performs an exchange's commands faithfully, in any order of events, and holds every promise.

One rule: promises are checked from what was fed and what was commanded alone, never from the inside of the exchange.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from core.exchange import Exchange
from core.messages import (
    CallUpstream,
    CancelUpstream,
    ClientGone,
    Command,
    Event,
    Finish,
    HoldExpired,
    PromptScored,
    Relay,
    ResponseScored,
    ScoreResponse,
    Send,
    SendBlocked,
    SendRewritten,
    StartHoldTimer,
    UpstreamChunk,
    UpstreamEnded,
    UpstreamFailed,
    UpstreamStarted,
)
from core.types import AttemptSummary, HoldKind, Level, Outcome, Piece, Scores
from tests.core.dsl import Row, ScriptedPlan, step

Stream = Sequence[Event]


@dataclass
class Connection:
    """One upstream attempt as the driver sees it. `answered`: characters (choice, position) that a verdict has covered."""

    call: CallUpstream
    plan: ScriptedPlan
    coming: deque[Event]
    open: bool = True
    ended: bool = False
    cancelled: bool = False
    relayed: bool = False
    timed: bool = False
    fed: list[Piece] = field(default_factory=list)
    left: int = 0  # pieces that have left
    scanned: Counter[tuple[int, int]] = field(default_factory=Counter)
    answered: set[tuple[int, int]] = field(default_factory=set)
    judged: bool = False
    judged_whole: bool = False

    @property
    def number(self) -> int:
        return self.call.attempt

    @property
    def kind(self) -> HoldKind:
        whole = "probe" in self.call.change.names or "neutralise" in self.call.change.names
        return HoldKind.ALL if whole else self.plan.hold.kind

    def characters(self, upto: int) -> set[tuple[int, int]]:
        """The characters that the first pieces carry."""
        lengths: Counter[int] = Counter()
        for piece in self.fed[:upto]:
            for delta in piece.deltas:
                lengths[delta.choice] += len(delta.text)
        return {(choice, place) for choice, length in lengths.items() for place in range(length)}

    def any_tool(self, upto: int) -> bool:
        return any(delta.tools for piece in self.fed[:upto] for delta in piece.deltas)

    def only_thoughts(self, upto: int) -> bool:
        return not any(delta.text or delta.refusal or delta.tools for piece in self.fed[:upto] for delta in piece.deltas)


class Simulation:
    """Plays streams (one an attempt, the last one again if there are too few) against an exchange.

    `choose(n)`: which of n enabled events comes next. `judge(command)`: the detectors. `gone_at`: step of the disconnect."""

    def __init__(
        self,
        plan: ScriptedPlan,
        streams: Sequence[Callable[[int], Stream]],
        choose: Callable[[int], int],
        judge: Callable[[ScoreResponse], tuple[Scores, ...]],
        *,
        choices: int = 1,
        gone_at: int | None = None,
    ) -> None:
        self.plan, self.streams, self.choose, self.judge = plan, streams, choose, judge
        self.exchange = Exchange()
        self.choices = choices
        self.gone_at = gone_at
        self.connections: dict[int, Connection] = {}
        self.waiting: list[ScoreResponse] = []
        self.pending: ScoreResponse | None = None
        self.sent: list[tuple[int, bytes]] = []
        self.replaced: Command | None = None
        self.outcome: Outcome | None = None
        self.now = 0.0
        self.rows: list[Row] = []
        self.event: Event = ClientGone()
        self.scored: int = 0  # the attempt whose score is being fed, else 0

    # ---- playing

    def run(self) -> Outcome:
        """Play until nothing can happen any more; every promise is checked on the way."""
        self._feed(PromptScored(self.plan, self.choices))
        number = 0
        while enabled := self._enabled():
            number += 1
            self.now += self.choose(4) / 1000
            if number == self.gone_at:
                self._feed(ClientGone())
            else:
                self._happen(enabled[self.choose(len(enabled))])
        assert self.outcome is not None, "deadlock: nothing can happen any more and the exchange has not finished"
        self._check_end(self.outcome)
        return self.outcome

    def _enabled(self) -> list[Connection | ScoreResponse]:
        """What can happen next: an event or timer of a connection, or a score. After Finish too: all must be ignored then."""
        alive = [c for c in self.connections.values() if c.open and (c.coming or c.timed)]
        return [*alive, *self.waiting]

    def _happen(self, source: Connection | ScoreResponse) -> None:
        if isinstance(source, ScoreResponse):
            self.waiting.remove(source)
            self._answer(source)
        elif source.timed and (not source.coming or self.choose(3) == 0):
            source.timed = False
            self._feed(HoldExpired(source.number))
        else:
            self._stream(source, source.coming.popleft())

    def _stream(self, connection: Connection, event: Event) -> None:
        match event:
            case UpstreamChunk(_, pieces):
                connection.fed.extend(pieces)
                if connection.relayed:
                    self._write(connection, b"".join(piece.data for piece in pieces))
                    return
            case UpstreamEnded():
                connection.ended, connection.open = True, False
            case UpstreamFailed():
                connection.open = False
        self._feed(event)

    def _answer(self, command: ScoreResponse) -> None:
        scores = self.judge(command)
        connection = self.connections[command.attempt]
        if command is self.pending:
            self.pending = None
            self.scored = command.attempt
            connection.judged = True
            connection.judged_whole = connection.judged_whole or command.final
            for reply in command.replies:
                connection.answered |= {(reply.choice, reply.offset + place) for place in range(len(reply.text))}
        self._feed(ResponseScored(command.ticket, scores))
        self.scored = 0

    def _feed(self, event: Event) -> None:
        self.event = event
        if isinstance(event, UpstreamFailed) and self.pending and self.pending.attempt == event.attempt:
            self.pending = None
        commands = step(self.exchange, event, self.now, self.rows)
        assert self.outcome is None or not commands, "a command after Finish"
        for place, command in enumerate(commands):
            assert not isinstance(command, Finish) or place == len(commands) - 1, "Finish is not the last command"
            self._perform(command)

    # ---- performing

    def _perform(self, command: Command) -> None:
        match command:
            case CallUpstream():
                self._call(command)
            case CancelUpstream(number):
                connection = self.connections[number]
                rejected = isinstance(self.event, UpstreamStarted) and self.event.attempt == number
                assert connection.open or rejected, "cancelled although it is over"
                connection.open, connection.cancelled = False, True
            case ScoreResponse():
                self._score(command)
            case StartHoldTimer(number, after_ms):
                assert after_ms == self.plan.hold.timeout_ms > 0
                assert self.connections[number].kind is HoldKind.PREFIX
                self.connections[number].timed = True
            case Send(number, data):
                self._vet(self.connections[number], data)
            case Relay(number):
                self._only(number)
                self.connections[number].relayed = True
                assert self.plan.hold.kind is HoldKind.NONE or isinstance(self.event, UpstreamStarted)
            case SendRewritten(number, pieces, contents):
                self._only(number)
                assert not self.sent, "rewritten after bytes have left"
                assert (pieces, contents) == (tuple(self.connections[number].fed), self.plan.contents)
                self.replaced = command
            case SendBlocked(number, pieces):
                self._only(number)
                connection = self.connections[number]
                assert pieces == tuple(connection.fed[connection.left :])
                self.replaced = command
            case Finish(outcome):
                self.outcome = outcome

    def _call(self, command: CallUpstream) -> None:
        number = len(self.connections) + 1
        assert command.attempt == number
        assert number == 1 or number <= self.plan.budgets.attempts, "more attempts than the budget"
        assert not self.sent, "an attempt after commit"
        assert not any(connection.relayed for connection in self.connections.values()), "an attempt after commit"
        assert command.retry == (number > 1)
        if command.retry:
            assert command.timeout_s is not None
            assert 0 < command.timeout_s <= self.plan.budgets.added_ms / 1000
        stream = self.streams[min(number, len(self.streams)) - 1](number)
        self.connections[number] = Connection(command, self.plan, deque(stream))
        running = [c.number for c in self.connections.values() if c.open]
        assert set(running) <= {1, number}, "two ladders at once"

    def _score(self, command: ScoreResponse) -> None:
        assert self.pending is None, "two scores of one exchange at a time"
        connection = self.connections[command.attempt]
        assert not connection.cancelled
        assert not command.final or connection.ended, "final before the end"
        for reply in command.replies:
            text = "".join(d.text for piece in connection.fed for d in piece.deltas if d.choice == reply.choice)
            assert reply.text == text[reply.offset :]
            connection.scanned.update((reply.choice, reply.offset + place) for place in range(len(reply.text)))
        assert max(connection.scanned.values(), default=0) <= 2, "a character was scanned more than twice"
        self.pending = command
        self.waiting.append(command)

    def _only(self, number: int) -> None:
        assert all(attempt == number for attempt, _ in self.sent), "bytes of two attempts"
        assert self.replaced is None, "something after a block or a rewritten answer"
        assert self.outcome is None

    def _write(self, connection: Connection, data: bytes) -> int:
        """Write bytes to the client; they must be whole pieces, the next ones in order. Returns how many pieces have left."""
        self._only(connection.number)
        upto = connection.left
        while data and upto < len(connection.fed):
            assert data.startswith(connection.fed[upto].data), "lost, doubled, reordered or foreign bytes"
            data = data[len(connection.fed[upto].data) :]
            upto += 1
        assert not data, "bytes from nowhere"
        self.sent.append((connection.number, b"".join(piece.data for piece in connection.fed[connection.left : upto])))
        connection.left = upto
        return upto

    def _vet(self, connection: Connection, data: bytes) -> None:
        """A Send: everything it carries must have been allowed by a verdict, as the hold demands."""
        assert data, "an empty send"
        committed = bool(self.sent)
        upto = self._write(connection, data)
        assert connection.kind is not HoldKind.NONE
        if self.plan.release_reasoning and connection.number == 1 and connection.only_thoughts(upto):
            return
        # The ladder ended: the event was another attempt's, or this one's last verdict although it is misrouted.
        settled = len(self.connections) > 1 and (self.scored != connection.number or connection.number > 1)
        best = settled and connection.ended
        unread = connection.characters(upto) - connection.answered
        if connection.kind is HoldKind.ALL:
            assert connection.judged_whole, "sent under ALL before the verdict over the whole"
            assert not unread
            return
        assert connection.judged, "sent before any verdict"
        if connection.kind is HoldKind.WINDOW:
            assert best or not unread, "sent before the verdict of its window"
        else:
            assert committed or settled or not unread, "sent before the verdict of its prefix"
        assert best or connection.judged_whole or not connection.any_tool(upto), "a tool call left before it was checked"

    # ---- the end

    def _check_end(self, outcome: Outcome) -> None:
        for connection in self.connections.values():
            assert not connection.open, "still running after Finish"
        assert [summary.number for summary in outcome.attempts] == sorted(self.connections)
        numbers = {number for number, _ in self.sent} | ({outcome.chosen} if outcome.chosen else set())
        assert numbers <= {outcome.chosen}
        if outcome.kind in ("answered", "relayed"):
            connection = self.connections[outcome.chosen]
            assert connection.ended
            assert outcome.rewritten == isinstance(self.replaced, SendRewritten)
            assert outcome.rewritten or connection.left == len(connection.fed), "an incomplete answer"
        assert (outcome.kind == "blocked") == isinstance(self.replaced, SendBlocked)
        level = outcome.verdict.acting_level if outcome.verdict else Level.CLEAR
        assert outcome.flagged == (outcome.kind == "answered" and level is not Level.CLEAR)
        if outcome.kind == "failed" and not outcome.chosen:
            assert not any(s.complete and not _probe(s) for s in outcome.attempts), "failed although an answer was there"
        if outcome.kind == "answered" and self.plan.hold.kind is HoldKind.ALL and not self.plan.release_reasoning:
            self._check_best(outcome)

    def _check_best(self, outcome: Outcome) -> None:
        """Under ALL every answer is judged whole: the order of the best attempt is compared with its definition."""
        chosen = outcome.attempts[outcome.chosen - 1]
        if _probe(chosen):
            assert self.plan.disagreement is True
            assert _order(chosen, self._valid(chosen))[0:2] != (True, Level.MISROUTED)
            return
        complete = [s for s in outcome.attempts if s.complete and not s.failure and not _probe(s)]
        best = min(complete, key=lambda summary: _order(summary, self._valid(summary)))
        if best.verdict is not None and best.verdict.acting_level is Level.MISROUTED:
            best = complete[0]
        assert outcome.chosen == best.number, "not the best attempt"

    def _valid(self, summary: AttemptSummary) -> bool:
        connection = self.connections[summary.number]
        whole = {d.choice: "" for piece in connection.fed for d in piece.deltas}
        for piece in connection.fed:
            for delta in piece.deltas:
                whole[delta.choice] += delta.text
        return not any("invalid" in text for text in whole.values())


def _probe(summary: AttemptSummary) -> bool:
    return summary.action is not None and summary.action.probe


def _order(summary: AttemptSummary, valid: bool) -> tuple[bool, Level, int, float, int]:
    findings = summary.verdict.acting if summary.verdict else ()
    worst = max((f.level for f in findings), default=Level.CLEAR)
    misrouted = {f.choice for f in findings if f.level is Level.MISROUTED}
    return (not valid, worst, len(misrouted), max((f.score for f in findings), default=0.0), summary.number)


def numbered(attempt: int, pieces: Iterable[Piece]) -> list[Piece]:
    """The pieces with bytes that name their attempt and place, so that nothing can be mistaken for anything else."""
    return [Piece(f"[{attempt}.{place}]".encode(), p.deltas, p.usage) for place, p in enumerate(pieces)]
