"""The breaker: when it opens, what it lets through, when it closes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config_upstream import Breaker
from proxy.errors import CircuitOpen, ProtocolError, Timeout, Unavailable
from proxy.upstream.breaking import Breaking, Circuit
from tests.proxy.upstream.test_retrying import Reply, Scripted, request

SETTINGS = Breaker(failures=3, share=0.5, window_s=10, open_s=5)
LOST = Unavailable("lost")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def breaking(upstream: Scripted, settings: Breaker = SETTINGS) -> tuple[Breaking, Clock, list[str], list[str]]:
    clock, states, refused = Clock(), list[str](), list[str]()
    return Breaking(upstream, settings, lambda _, state: states.append(state), refused.append, clock), clock, states, refused


async def ask(own: Breaking) -> str | int:
    try:
        reply = await own.open(request())
    except (Unavailable, Timeout, CircuitOpen) as error:
        return error.code
    try:
        await reply.read()
    finally:
        reply.release()
    return reply.status


@pytest.mark.parametrize("step", [LOST, Timeout("no byte"), 500, 502, 503, 504, 529])
async def test_it_opens_after_failures_and_asks_nothing_then(step: Any) -> None:
    upstream = Scripted(*[step] * 3)
    own, clock, states, refused = breaking(upstream)
    for _ in range(3):
        await ask(own)
    assert states == ["open"]
    clock.now += 2
    with pytest.raises(CircuitOpen) as caught:
        await own.open(request())
    assert (caught.value.status, caught.value.retry_after_s) == (503, 3.0)
    assert (len(upstream.asked), refused) == (3, ["fake"])


@pytest.mark.parametrize("step", [200, 400, 401, 404, 429])
async def test_refusals_of_a_request_are_no_failures_of_the_upstream(step: int) -> None:
    own, _, states, _ = breaking(Scripted(*[step] * 20))
    for _ in range(20):
        assert await ask(own) == step
    assert states == []


async def test_few_failures_among_many_answers_do_not_open_it() -> None:
    own, _, states, _ = breaking(Scripted(*[200, 200, LOST] * 20))
    for _ in range(60):
        await ask(own)
    assert states == []


async def test_failures_of_another_window_are_forgotten() -> None:
    own, clock, states, _ = breaking(Scripted(*[LOST] * 4))
    for _ in range(4):
        await ask(own)
        clock.now += 6
    assert states == []


async def test_one_request_tries_and_closes_or_opens_it() -> None:
    upstream = Scripted(LOST, LOST, LOST, LOST, 200, 200)
    own, clock, states, _ = breaking(upstream)
    for _ in range(3):
        await ask(own)
    clock.now += 5
    assert await ask(own) == "upstream_unavailable"
    assert states == ["open", "half_open", "open"]
    assert await ask(own) == "upstream_circuit_open"
    clock.now += 5
    assert [await ask(own), await ask(own)] == [200, 200]
    assert states == ["open", "half_open", "open", "half_open", "closed"]


async def test_only_one_tries_at_a_time_and_one_that_leaves_tells_nothing() -> None:
    own, clock, states, _ = breaking(Scripted(LOST, LOST, LOST, 200, 200))
    for _ in range(3):
        await ask(own)
    clock.now += 5
    trying = await own.open(request())
    assert await ask(own) == "upstream_circuit_open"
    trying.release()  # its client left before the end
    assert states[-1] == "half_open"
    assert await ask(own) == 200
    assert states[-1] == "closed"


async def test_an_answer_that_breaks_off_is_a_failure() -> None:
    class Cut(Reply):
        async def chunks(self) -> Any:
            yield b"a"
            raise ProtocolError("cut")

    class Cutting(Scripted):
        async def open(self, request: Any) -> Any:
            return Cut(200, [])

    own, _, states, _ = breaking(Cutting())
    for _ in range(3):
        reply = await own.open(request())
        with pytest.raises(ProtocolError):
            await reply.read()
        reply.release()
    assert states == ["open"]


async def test_a_cancelled_call_is_no_failure() -> None:
    class Hanging(Scripted):
        async def open(self, request: Any) -> Any:
            await asyncio.Event().wait()

    own, _, states, _ = breaking(Hanging())
    for _ in range(5):
        task = asyncio.create_task(own.open(request()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert states == []


@given(st.lists(st.tuples(st.sampled_from(["enter", "well", "failed", "unknown"]), st.floats(0, 6)), max_size=80))
def test_it_never_sticks(steps: list[tuple[str, float]]) -> None:
    """Whatever happened: after `open_s` without requests under way somebody is let through."""
    circuit = Circuit(SETTINGS, lambda _: None)
    now, inside = 0.0, 0
    ends = {"well": True, "failed": False, "unknown": None}
    for word, gap in steps:
        now += gap
        if word == "enter":
            inside += not circuit.enter(now)
        elif inside:
            inside -= 1
            circuit.end(now, ends[word])
    for _ in range(inside):
        circuit.end(now, None)
    assert circuit.enter(now + SETTINGS.open_s) == 0
