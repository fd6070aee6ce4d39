"""The queue of relayed answers: bounded, counted, and never stopped by one bad answer."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.types import AttemptSummary, Change, Conversation, Finding, Level, Outcome, Scores, Turn, Usage, Verdict
from detectors.runner import Runner
from detectors.suite import Suite
from policies.loader import load_library
from policies.plan import compile_route
from proxy.inflow import Inflow
from proxy.observer import Judged, Observation, Observer, judge_copy, read_copy
from proxy.wire import chat
from tests.proxy.fake_upstream import completion, events, message
from tests.proxy.rig import CODE, DANUBE, PEACE

ASKED = Conversation((Turn("user", PEACE, 0),))
PLAN = compile_route(tuple(load_library().values()))


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    runner = Runner(Suite())
    await runner.start()
    yield runner
    await runner.close()


def inflow(*, stream: bool = False, encoding: str = "") -> Inflow:
    head = Inflow(chat)
    head.event_stream, head.encoding, head.status = stream, encoding, 200
    return head


def observation(body: bytes, done: Any, head: Inflow | None = None) -> Observation:
    prompt = Scores()
    return Observation(ASKED, PLAN.make_plan(ASKED, prompt, stream=False), prompt, head or inflow(), body, done)


@pytest.mark.parametrize("encoding", ["", "gzip"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_copy_is_read_whatever_its_form(stream: bool, encoding: str) -> None:
    body = b"".join(events(DANUBE, "two", usage=True)) if stream else completion(message(DANUBE), message("two"))
    replies, usage = read_copy(gzip.compress(body) if encoding else body, inflow(stream=stream, encoding=encoding))
    assert [reply.text for reply in replies] == [DANUBE, "two"]
    assert usage.prompt_tokens == 9


async def test_a_copy_is_judged_and_counted(runner: Runner) -> None:
    prompt = await runner.score_prompt(ASKED)
    plan = PLAN.make_plan(ASKED, prompt, stream=False)
    judged = await judge_copy(runner, ASKED, plan, prompt, inflow(), completion(message(CODE)))
    assert judged.verdict is not None
    assert ("code" in judged.verdict.modes, judged.scanned >= len(CODE), judged.usage) == (True, True, Usage(9, 5))
    assert await judge_copy(runner, ASKED, plan, Scores(), inflow(encoding="gzip"), b"no gzip") == Judged()


def test_the_outcome_is_settled_by_what_was_judged_of_the_attempt_that_was_relayed() -> None:
    summary = AttemptSummary(1, Change(), None, True, None, Usage(estimated=True), None)
    outcome = Outcome("relayed", 1, attempts=(summary,))
    verdict = Verdict((Finding("fiction", 0, Level.MISROUTED, 0.9),))
    settled = Judged(verdict, Usage(9, 5), 7).settle(outcome)
    assert (settled.verdict, settled.first_verdict) == (verdict, verdict)
    assert [(one.verdict, one.usage) for one in settled.attempts] == [(verdict, Usage(9, 5))]
    assert (summary.verdict, outcome.verdict) == (None, None)
    assert Judged().settle(outcome) == outcome  # unreadable: what was known stays


async def test_what_does_not_fit_is_counted_and_never_waited_for(runner: Runner) -> None:
    shed: list[bool] = []
    judged: list[Verdict | None] = []
    observer = Observer(2, lambda: shed.append(True))
    seen = observation(completion(message(DANUBE)), lambda found, _: judged.append(found.verdict))
    assert [observer.offer(runner, seen) for _ in range(4)] == [True, True, False, False]
    task = asyncio.create_task(observer.run())
    await observer.drain()
    task.cancel()
    assert (len(shed), len(judged)) == (2, 2)


async def test_one_answer_that_breaks_the_judge_does_not_stop_the_others(runner: Runner) -> None:
    judged: list[Verdict | None] = []
    observer = Observer(8, lambda: None)

    class Broken:
        def judge(self, *_: Any, **__: Any) -> Verdict:
            raise RuntimeError("a bug")

    def refuse(*_: Any) -> None:
        raise OSError("the sink is full")

    good = observation(completion(message(DANUBE)), lambda found, _: judged.append(found.verdict))
    bad = Observation(ASKED, Broken(), Scores(), inflow(), good.body, good.done)  # type: ignore[arg-type]
    for seen in (bad, observation(good.body, refuse), good):
        observer.offer(runner, seen)
    task = asyncio.create_task(observer.run())
    await asyncio.wait_for(observer.drain(), 5)
    assert not task.done()
    task.cancel()
    assert [verdict and verdict.level for verdict in judged] == [None, Level.CLEAR]
