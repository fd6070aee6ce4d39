"""A slow upstream is asked twice: who wins, what becomes of the other, and when there is no second."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxy.admission import RetryShare
from proxy.errors import Unavailable
from proxy.upstream.base import UpstreamReply, UpstreamRequest
from proxy.upstream.hedging import Hedging
from tests.proxy.fake_upstream import Answer, Wait, plain
from tests.proxy.rig import DANUBE, WEATHER, rig, until
from tests.proxy.upstream.test_retrying import Reply, request


class Slow:
    """Each call takes its seconds, then gives its status or raises its error."""

    name = "fake"

    def __init__(self, *steps: tuple[float, Any]) -> None:
        self._steps = list(steps)
        self.asked = 0
        self.cancelled = 0
        self.replies: list[Reply] = []

    async def open(self, request: UpstreamRequest) -> UpstreamReply:
        seconds, step = self._steps[self.asked]
        self.asked += 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(step, Exception):
            raise step
        self.replies.append(Reply(step, [("number", str(self.asked))]))
        return self.replies[-1]

    async def close(self) -> None: ...


def hedging(upstream: Slow, share: float = 1.0) -> tuple[Hedging, list[str]]:
    hedged: list[str] = []
    return Hedging(upstream, 0.05, RetryShare(share), hedged.append), hedged


async def test_an_answer_in_time_is_asked_for_once() -> None:
    upstream = Slow((0, 200))
    own, hedged = hedging(upstream)
    assert (await own.open(request(rerunnable=True))).status == 200
    assert (upstream.asked, hedged) == (1, [])


async def test_the_faster_answer_wins_and_the_slower_call_is_broken_off() -> None:
    upstream = Slow((5, 200), (0, 201))
    own, hedged = hedging(upstream)
    assert (await own.open(request(rerunnable=True))).status == 201
    await asyncio.sleep(0)
    assert (upstream.asked, upstream.cancelled, hedged) == (2, 1, ["fake"])
    late = Slow((0.1, 200), (5, 201))
    own, _ = hedging(late)
    assert (await own.open(request(rerunnable=True))).status == 200
    await asyncio.sleep(0)
    assert late.cancelled == 1


async def test_two_answers_at_once_leave_no_open_connection() -> None:
    upstream = Slow((0.1, 200), (0.05, 201))
    own, _ = hedging(upstream)
    won = await own.open(request(rerunnable=True))
    await asyncio.sleep(0.1)
    losers = [reply for reply in upstream.replies if reply is not won]
    assert all(reply.released for reply in losers)
    assert not next(reply for reply in upstream.replies if reply is won).released


@pytest.mark.parametrize("failure", [Unavailable("lost"), 500, 429])
async def test_a_failure_waits_for_the_other_answer(failure: Any) -> None:
    own, _ = hedging(Slow((0.1, failure), (0.2, 200)))
    assert (await own.open(request(rerunnable=True))).status == 200
    own, _ = hedging(Slow((0.2, 200), (0, failure)))
    assert (await own.open(request(rerunnable=True))).status == 200


async def test_where_both_fail_the_first_one_tells() -> None:
    own, _ = hedging(Slow((0.1, Unavailable("one")), (0, Unavailable("two"))))
    with pytest.raises(Unavailable, match="one"):
        await own.open(request(rerunnable=True))


async def test_what_may_do_harm_twice_is_asked_once() -> None:
    upstream = Slow((0.2, 200))
    own, hedged = hedging(upstream)
    assert (await own.open(request())).status == 200
    assert (upstream.asked, hedged) == (1, [])


async def test_a_share_bounds_it() -> None:
    upstream = Slow(*[(0.1, 200)] * 60)
    own, hedged = hedging(upstream, share=0.0)
    await asyncio.gather(*[own.open(request(rerunnable=True)) for _ in range(20)])
    assert (upstream.asked, hedged) == (20, [])


async def test_a_client_that_leaves_ends_both() -> None:
    upstream = Slow((5, 200), (5, 200))
    own, hedged = hedging(upstream)
    task = asyncio.create_task(own.open(request(rerunnable=True)))
    await until(lambda: hedged == ["fake"])
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert upstream.cancelled == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_gateway_hedges_over_real_connections(stream: bool) -> None:
    never = asyncio.Event()
    stuck = Answer([], before=[Wait(never)])
    async with rig({"policies": ["rebuttal"]}, answers=[stuck, plain(DANUBE)], main={"hedge_after_s": 0.1}) as gate:
        got = await gate.chat(WEATHER, stream=stream)
        assert (got.status, got.body) == (200, plain(DANUBE).body)
        # The call that lost is broken off.
        await asyncio.wait_for(gate.upstream.gone.wait(), 5)
        assert gate.metric("chunkguard_upstream_hedges_total", upstream="main") == 1
