"""The queue of relayed answers: bounded, counted, and never stopped by one bad answer."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.types import Conversation, Level, Scores, Turn, Verdict
from detectors.runner import Runner
from detectors.suite import Suite
from policies.loader import load_library
from policies.plan import compile_route
from proxy.inflow import Inflow
from proxy.observer import Observation, Observer, judge_copy, read_copy
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
    head = Inflow()
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
    assert usage is not None
    assert usage.prompt_tokens == 9


async def test_a_copy_is_judged_and_counted(runner: Runner) -> None:
    prompt = await runner.score_prompt(ASKED)
    plan = PLAN.make_plan(ASKED, prompt, stream=False)
    verdict, scanned = await judge_copy(runner, ASKED, plan, prompt, inflow(), completion(message(CODE)))
    assert verdict is not None
    assert ("code" in verdict.modes, scanned >= len(CODE)) == (True, True)
    assert await judge_copy(runner, ASKED, plan, Scores(), inflow(encoding="gzip"), b"no gzip") == (None, 0)


async def test_what_does_not_fit_is_counted_and_never_waited_for(runner: Runner) -> None:
    shed: list[bool] = []
    judged: list[Verdict | None] = []
    observer = Observer(2, lambda: shed.append(True))
    seen = observation(completion(message(DANUBE)), lambda verdict, *_: judged.append(verdict))
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

    good = observation(completion(message(DANUBE)), lambda verdict, *_: judged.append(verdict))
    bad = Observation(ASKED, Broken(), Scores(), inflow(), good.body, good.done)  # type: ignore[arg-type]
    for seen in (bad, observation(good.body, refuse), good):
        observer.offer(runner, seen)
    task = asyncio.create_task(observer.run())
    await asyncio.wait_for(observer.drain(), 5)
    assert not task.done()
    task.cancel()
    assert [verdict and verdict.level for verdict in judged] == [None, Level.CLEAR]
