"""Any plan, any streams, any interleaving of chunks, scores, failures, timers and disconnects: the exchange keeps its promises.

The promises stand in `simulation.py`. `CHUNKGUARD_EXAMPLES` sets how many worlds are tried, `CHUNKGUARD_SEED` the first one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.messages import Event, ScoreResponse, UpstreamChunk, UpstreamEnded, UpstreamFailed, UpstreamStarted
from core.types import Action, ActionKind, Budgets, Delta, Failure, Hold, HoldKind, Piece, Scores, Step, Usage, Verdict
from tests.core import dsl
from tests.core.dsl import (
    BLOCK,
    CLEAR,
    FALLBACK,
    MISROUTED,
    NEUTRALISE,
    PROBE,
    RETRY,
    SUSPECT,
    UNKNOWN,
    ScriptedPlan,
    refuse,
    say,
    scores,
    stop,
    think,
    tool,
)
from tests.core.simulation import Simulation, numbered

EXAMPLES = int(os.environ.get("CHUNKGUARD_EXAMPLES", "36000"))
SEED = int(os.environ.get("CHUNKGUARD_SEED", "0"))
BATCHES = 4
FLAG = Action(ActionKind.FLAG)


class GreedyPlan(ScriptedPlan):
    """Takes the next action of its ladder whatever level, budgets or a commit say: the exchange must refuse."""

    def choose_action(self, verdict: Verdict, step: Step) -> Action:
        if not verdict.acting:
            return super().choose_action(verdict, step)
        self.steps.append(step)
        return self.ladder[len(self.steps) - 1] if len(self.steps) <= len(self.ladder) else FLAG


# ---- worlds: everything is drawn from one source of randomness

KINDS = ("think", "refuse", "tool", "stop", "usage", "both", "both", "role", "invalid", *(["say"] * 16))
LEVELS = (CLEAR, CLEAR, SUSPECT, SUSPECT, MISROUTED, MISROUTED, MISROUTED, scores(value=0.8), scores("rebuttal", 0.95), UNKNOWN)
LADDER = (RETRY, RETRY, RETRY, NEUTRALISE, FALLBACK, PROBE, PROBE, FLAG, BLOCK)


def draw_hold(random: Random) -> Hold:
    kind = random.choice([HoldKind.NONE, HoldKind.PREFIX, HoldKind.PREFIX, HoldKind.WINDOW, HoldKind.WINDOW, HoldKind.ALL])
    chars = random.randint(1, 7)
    if kind is HoldKind.PREFIX:
        return Hold(kind, chars, timeout_ms=random.choice([0, 5]))
    return Hold(kind, chars, random.randint(0, chars)) if kind is HoldKind.WINDOW else Hold(kind)


def draw_plan(random: Random) -> GreedyPlan:
    rarely = random.randrange(5) == 0
    return GreedyPlan(
        hold=draw_hold(random),
        ladder=[random.choice(LADDER) for _ in range(random.randint(1, 5))],
        budgets=Budgets(
            attempts=random.choice([1, 2, 3, 3, 4, 4]),
            added_ms=random.choice([0, 15, 30_000, 30_000, 30_000, 30_000]),
            added_tokens=random.choice([0, 150, 8192, 8192, 8192, 8192]),
        ),
        release_reasoning=random.choice([True, False, False]),
        fail_closed=rarely,
        disagreement=random.choice([True, True, False, None]),
        contents=random.choice([None, ("No",)]),
        acting=random.randrange(6) > 0,
    )


def draw_piece(random: Random) -> Piece:
    choice, length = random.choice([0, 0, 0, 1, 1, 2]), random.randint(1, 5)
    match random.choice(KINDS):
        case "think":
            return think("t" * length, choice)
        case "refuse":
            return refuse("r" * length, choice)
        case "tool":
            return tool("a" * length, name="lookup" if length > 1 else "", choice=choice)
        case "stop":
            return stop(choice)
        case "usage":
            return Piece(b"", usage=Usage(10 * length, length))
        case "both":
            return Piece(b"", tuple(Delta(number, text="b" * length) for number in range(choice + 1)))
        case "role":
            return Piece(b"", (Delta(choice),))
        case "invalid":
            return say("invalid", choice)
        case _:
            return say("x" * length, choice)


def draw_stream(random: Random) -> Callable[[int], Sequence[Event]]:
    """What one attempt's upstream does, whichever number it gets."""
    said = [draw_piece(random) for _ in range(random.choice([0, 1, 3, 6, 8, 12]))]
    sizes = [random.choice([0, 1, 1, 1, 2, 3]) for _ in said]
    status = random.choice([*([200] * 14), 201, 429, 500, 0])
    complete = random.randrange(6) > 0

    def stream(attempt: int) -> Sequence[Event]:
        failure = UpstreamFailed(attempt, Failure("timeout"))
        if status == 0:
            return [failure]
        rest = iter(numbered(attempt, said))
        chunks = [UpstreamChunk(attempt, tuple(islice(rest, size))) for size in [*sizes, len(said)]]
        return [UpstreamStarted(attempt, status), *chunks, UpstreamEnded(attempt) if complete else failure]

    return stream


def draw_world(random: Random) -> Simulation:
    plan = draw_plan(random)
    streams = [draw_stream(random) for _ in range(random.randint(1, 4))]
    gone_at = random.choice([None, None, None, random.randint(1, 30)])

    def judge(command: ScoreResponse) -> tuple[Scores, ...]:
        return tuple(random.choice(LEVELS) for _ in command.replies)

    return Simulation(plan, streams, random.randrange, judge, choices=random.choice([1, 1, 2, 3]), gone_at=gone_at)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_interleaving_keeps_every_promise(batch: int) -> None:
    seen: Counter[dsl.Row | None] = Counter()
    for seed in range(batch, EXAMPLES, BATCHES):
        world = draw_world(Random(SEED + seed))
        try:
            world.run()
        except Exception as error:
            error.add_note(f"seed {SEED + seed}: {world.plan}")
            raise
        seen.update(world.rows)
    if EXAMPLES >= 30_000:  # the worlds are rich enough to tell something
        assert set(dsl.table()) <= set(seen), set(dsl.table()) - set(seen)


@settings(
    max_examples=max(20, EXAMPLES // 100),
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(random=st.randoms(use_true_random=False))
def test_every_interleaving_keeps_every_promise_shrinking(random: Random) -> None:
    """The same, fewer, but a failure comes as the smallest world that shows it."""
    draw_world(random).run()
