"""Scripted conversations with an exchange: `>> event` feeds one, `<< command` expects the next command, nothing is left over.

One rule: every step is also compared with the transition table in the header of `core.exchange`, so the table stays true.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import core.exchange
from core.exchange import Exchange, State
from core.messages import (
    CallUpstream,
    Command,
    Event,
    Finish,
    HoldExpired,
    PromptScored,
    ResponseScored,
    ScoreResponse,
    UpstreamChunk,
    UpstreamEnded,
    UpstreamFailed,
    UpstreamStarted,
)
from core.types import (
    Action,
    ActionKind,
    Budgets,
    Change,
    Delta,
    Failure,
    FailureKind,
    Finding,
    Hold,
    HoldKind,
    Level,
    Mode,
    Outcome,
    Piece,
    Reply,
    Scores,
    Step,
    ToolDelta,
    Usage,
    Verdict,
)

# ---- the transition table of the source


class Row(NamedTuple):
    """One line of the table: `commands` is a regular expression over the names of the commands, each followed by a space."""

    state: str
    event: str
    after: str
    commands: str


@cache
def table() -> tuple[Row, ...]:
    """The transition table, read from the docstring it documents."""
    lines = (core.exchange.__doc__ or "").splitlines()
    start = next(number for number, line in enumerate(lines) if re.match(r"State +event +next state +commands", line))
    return tuple(_row(line) for line in lines[start + 1 :] if line.strip())


def _row(line: str) -> Row:
    state, event, after, rest = line.split(maxsplit=3)
    commands = ""
    for token in rest.split("(")[0].split():
        if token != "-":
            names, mark = (token[:-1], token[-1]) if token[-1] in "?*" else (token, "")
            commands += f"(?:(?:{names}) ){mark}"
    return Row(state, event, after, commands)


def row_of(state: State, event: Event, after: State, commands: Sequence[Command]) -> Row | None:
    """The row of the table that this step follows; None if there is none."""
    names = "".join(f"{type(command).__name__} " for command in commands)
    found = _rows().get((state.name, type(event).__name__, after.name)) or _rows().get(
        ("any", type(event).__name__, after.name)
    )
    return found if found is not None and re.fullmatch(found.commands, names) else None


@cache
def _rows() -> dict[tuple[str, str, str], Row]:
    rows = {(row.state, row.event, row.after): row for row in table()}
    assert len(rows) == len(table()), "two rows of the table for one transition"
    return rows


def step(exchange: Exchange, event: Event, now: float, rows: list[Row] | None = None) -> list[Command]:
    """Feed one event and hold the step against the table; the row it followed is added to `rows`."""
    before = exchange.state
    commands = exchange.receive(event, now)
    if before is State.DONE:
        assert commands == [], f"commands after Finish: {commands}"
        return commands
    row = row_of(before, event, exchange.state, commands)
    names = [type(command).__name__ for command in commands]
    assert row is not None, f"not in the table: {before} {event} {exchange.state} {names}"
    if rows is not None:
        rows.append(row)
    return commands


# ---- the plan

CLEAR = Scores()
UNKNOWN = Scores(missing=frozenset({"code"}))


def scores(mode: Mode = "code", value: float = 0.0) -> Scores:
    return Scores(values={mode: value})


MISROUTED = scores(value=0.9)
SUSPECT = scores(value=0.5)


@dataclass
class ScriptedPlan:
    """A plan that thresholds scores at 0.4 and 0.7 and walks a ladder; `committed` and the budgets are left to the exchange.

    `ladder`: actions for misrouted verdicts, one a step, FLAG after them. `suspected`: the action for a suspect verdict.
    `disagreement`: what a probe says. `contents`: what `reapply` returns for a neutralised attempt or a probe.
    """

    hold: Hold = field(default_factory=lambda: Hold(HoldKind.ALL))
    ladder: Sequence[Action] = ()
    suspected: Action = field(default_factory=lambda: Action(ActionKind.FLAG))
    budgets: Budgets = field(default_factory=Budgets)
    first_change: Change = field(default_factory=Change)
    release_reasoning: bool = False
    fail_closed: bool = False
    disagreement: bool | None = None
    contents: tuple[str, ...] | None = None
    estimate: int = 100
    acting: bool = True
    steps: list[Step] = field(default_factory=list)
    compared: list[tuple[tuple[Reply, ...], tuple[Reply, ...]]] = field(default_factory=list)

    def judge(self, replies: Sequence[Reply], scores: Sequence[Scores], *, final: bool) -> Verdict:
        findings, unchecked = [], set()
        for reply, score in zip(replies, scores, strict=True):
            unchecked |= score.missing
            for mode, value in score.values.items():
                level = Level.MISROUTED if value >= 0.7 else Level.SUSPECT if value >= 0.4 else Level.CLEAR
                if level:
                    findings.append(Finding(mode, reply.choice, level, value, acting=self.acting))  # type: ignore[arg-type]
        refused = frozenset(unchecked) if self.fail_closed else frozenset()
        return Verdict(tuple(findings), frozenset(unchecked), refused)

    def choose_action(self, verdict: Verdict, step: Step) -> Action:
        self.steps.append(step)
        if verdict.acting_level is Level.SUSPECT:
            return self.suspected
        if verdict.acting_level is Level.MISROUTED:
            return self.ladder[len(step.taken)] if len(step.taken) < len(self.ladder) else Action(ActionKind.FLAG)
        return Action(ActionKind.OBSERVE)

    def estimate_tokens(self) -> int:
        return self.estimate

    def disagrees(self, action: Action, first: Sequence[Reply], probe: Sequence[Reply]) -> bool | None:
        self.compared.append((tuple(first), tuple(probe)))
        return self.disagreement

    def valid(self, replies: Sequence[Reply]) -> bool:
        return not any("invalid" in reply.text for reply in replies)

    def reapply(self, action: Action, replies: Sequence[Reply]) -> tuple[str, ...] | None:
        return self.contents


BOUNDARY = Change(names=("boundary",), upstream="")
NEUTRAL = Change(names=("neutralise",))
RETRY = Action(ActionKind.RETRY, BOUNDARY, mode="code")
NEUTRALISE = Action(ActionKind.RETRY, NEUTRAL, mode="code")
FALLBACK = Action(ActionKind.FALLBACK, Change(model="other"), mode="code")
PROBE = Action(ActionKind.RETRY, Change(names=("probe",)), mode="code", probe=True)
BLOCK = Action(ActionKind.BLOCK, mode="code")

ALL = Hold(HoldKind.ALL)
NONE = Hold()


def prefix(chars: int, timeout_ms: int = 0) -> Hold:
    return Hold(HoldKind.PREFIX, chars, timeout_ms=timeout_ms)


def window(chars: int, context: int = 0) -> Hold:
    return Hold(HoldKind.WINDOW, chars, context)


# ---- events

Say = Piece | str


def say(text: str, choice: int = 0) -> Piece:
    """A piece whose bytes are its text, so that expectations read as sentences."""
    return Piece(text.encode(), (Delta(choice, text=text),))


def think(text: str, choice: int = 0) -> Piece:
    return Piece(f"({text})".encode(), (Delta(choice, reasoning=text),))


def refuse(text: str, choice: int = 0) -> Piece:
    return Piece(f"!{text}".encode(), (Delta(choice, refusal=text),))


def tool(arguments: str, *, name: str = "", id: str = "", index: int = 0, choice: int = 0) -> Piece:
    return Piece(f"<{name}{arguments}>".encode(), (Delta(choice, tools=(ToolDelta(index, id, name, arguments),)),))


def stop(choice: int = 0, reason: str = "stop") -> Piece:
    return Piece(f"#{choice}".encode(), (Delta(choice, finish_reason=reason),))


def usage(prompt_tokens: int, completion_tokens: int) -> Piece:
    return Piece(b"$", usage=Usage(prompt_tokens, completion_tokens))


def prompt(plan: Any, choices: int = 1) -> PromptScored:
    return PromptScored(plan, choices)


def started(attempt: int, status: int = 200) -> UpstreamStarted:
    return UpstreamStarted(attempt, status)


def chunk(attempt: int, *pieces: Say) -> UpstreamChunk:
    return UpstreamChunk(attempt, tuple(say(piece) if isinstance(piece, str) else piece for piece in pieces))


def ended(attempt: int) -> UpstreamEnded:
    return UpstreamEnded(attempt)


def failed(attempt: int, kind: FailureKind = "unavailable") -> UpstreamFailed:
    return UpstreamFailed(attempt, Failure(kind))


def scored(ticket: int, *scores: Scores) -> ResponseScored:
    return ResponseScored(ticket, scores)


def expired(attempt: int) -> HoldExpired:
    return HoldExpired(attempt)


# ---- expectations

Expectation = Command | Callable[[Command], None]


def call(attempt: int, change: Change, timeout_s: float = 30.0) -> CallUpstream:
    """A retry; the first call is `CallUpstream(1, change)`."""
    return CallUpstream(attempt, change, retry=True, timeout_s=timeout_s)


def score(ticket: int, attempt: int, *texts: str, final: bool) -> Expectation:
    """ScoreResponse whose replies have these texts."""

    def check(command: Command) -> None:
        assert isinstance(command, ScoreResponse), command
        found = (command.ticket, command.attempt, tuple(reply.text for reply in command.replies), command.final)
        assert found == (ticket, attempt, texts, final)

    return check


def finish(kind: str, **fields: Any) -> Expectation:
    """Finish with an outcome of this kind; `fields` are compared, `flagged` and `rewritten` default to False."""

    def check(command: Command) -> None:
        assert isinstance(command, Finish), command
        expected = {"kind": kind, "flagged": False, "rewritten": False, **fields}
        assert {name: getattr(command.outcome, name) for name in expected} == expected

    return check


class Script:
    """`Script(plan) >> event << command ...`; `at(seconds)` sets the clock. `<< nothing` or a Finish must close each step."""

    def __init__(self, plan: Any = None, choices: int = 1) -> None:
        self.exchange = Exchange()
        self.now = 100.0
        self.left: list[Command] = []
        self.outcome: Outcome | None = None
        self.rows: list[Row] = []
        if plan is not None:
            self >> prompt(plan, choices)
            assert self.left.pop(0) == CallUpstream(1, plan.first_change)

    def __rshift__(self, event: Event) -> Script:
        assert not self.left, f"before {event}: unexpected {self.left}"
        self.left = list(step(self.exchange, event, self.now, self.rows))
        return self

    def __lshift__(self, expected: Expectation) -> Script:
        assert self.left, f"no command, expected {expected}"
        command = self.left.pop(0)
        if callable(expected):
            expected(command)
        else:
            assert command == expected
        if isinstance(command, Finish):
            assert not self.left, f"after Finish: {self.left}"
            assert self.exchange.state is State.DONE
            self.outcome = command.outcome
        return self

    def at(self, seconds: float) -> Script:
        """Set the clock to this many seconds after the start."""
        self.now = 100.0 + seconds
        return self

    def quiet(self) -> Script:
        """Nothing (more) is commanded."""
        assert not self.left, f"unexpected {self.left}"
        return self
