"""What is sent again and what never is, how long it waits, and how much of it there may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from proxy.admission import RetryShare
from proxy.config_upstream import Retries
from proxy.errors import CircuitOpen, ProtocolError, Timeout, Unavailable, UpstreamError
from proxy.upstream.base import Headers, UpstreamReply, UpstreamRequest, Whole
from proxy.upstream.retrying import Retrying, retry_after

UNCONNECTED = Unavailable("no connection", began=False)
LOST = Unavailable("lost")


class Reply(Whole):
    def __init__(self, status: int, headers: Headers) -> None:
        self.status, self.reason, self.headers = status, "", headers
        self.released = False

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"{}"

    def release(self) -> None:
        self.released = True

    def abort(self) -> None:
        self.released = True


class Scripted:
    """Does one step a call: a status, a status with headers, or an error."""

    name = "fake"

    def __init__(self, *steps: Any) -> None:
        self._steps = list(steps)
        self.asked: list[UpstreamRequest] = []
        self.replies: list[Reply] = []

    async def open(self, request: UpstreamRequest) -> UpstreamReply:
        self.asked.append(request)
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        status, headers = step if isinstance(step, tuple) else (step, [])
        self.replies.append(Reply(status, headers))
        return self.replies[-1]

    async def close(self) -> None: ...


def request(rerunnable: bool = False, **fields: Any) -> UpstreamRequest:
    return UpstreamRequest("POST", "/v1/x", [("idempotency-key", "one")], b"{}", rerunnable=rerunnable, **fields)


def retrying(upstream: Scripted, *, share: float = 1.0, total_s: float = 30.0, **settings: Any) -> tuple[Retrying, list[str]]:
    reasons: list[str] = []
    own = Retries.model_validate({"times": 2, "backoff_s": 0.0, **settings})
    made = Retrying(upstream, own, total_s, RetryShare(share), lambda _, reason: reasons.append(reason))
    return made, reasons


@pytest.mark.parametrize("step", [UNCONNECTED, Timeout("no connection in time", began=False), 429, 503, 529])
@pytest.mark.parametrize("rerunnable", [False, True])
async def test_what_never_began_is_sent_again(step: Any, rerunnable: bool) -> None:
    upstream = Scripted(step, step, 200)
    own, reasons = retrying(upstream)
    reply = await own.open(request(rerunnable))
    assert (reply.status, len(upstream.asked), len(reasons)) == (200, 3, 2)
    assert [asked.headers for asked in upstream.asked] == [[("idempotency-key", "one")]] * 3
    assert all(earlier.released for earlier in upstream.replies[:-1])
    assert not upstream.replies[-1].released


@pytest.mark.parametrize("step", [LOST, ProtocolError("no HTTP"), 408, 500, 502, 504])
async def test_what_may_have_run_is_sent_again_only_where_that_does_no_harm(step: Any) -> None:
    async def ends(asked: UpstreamRequest) -> tuple[int | str, int]:
        upstream = Scripted(step, 200)
        own, _ = retrying(upstream)
        try:
            return (await own.open(asked)).status, len(upstream.asked)
        except UpstreamError as error:
            return error.code, len(upstream.asked)

    first = step.code if isinstance(step, UpstreamError) else step
    assert await ends(request()) == (first, 1)
    assert await ends(request(rerunnable=True)) == (200, 2)
    assert await ends(UpstreamRequest("GET", "/v1/models", [])) == (200, 2)


@pytest.mark.parametrize(
    "step", [Timeout("no byte in time"), CircuitOpen(), 200, 400, 401, 404, 501, (429, [("x-should-retry", "false")])]
)
async def test_everything_else_is_final(step: Any) -> None:
    upstream = Scripted(step, 200)
    own, reasons = retrying(upstream)
    if isinstance(step, UpstreamError):
        with pytest.raises(type(step)) as caught:
            await own.open(request(rerunnable=True))
        assert caught.value is step
    else:
        reply = await own.open(request(rerunnable=True))
        assert reply.status == (step[0] if isinstance(step, tuple) else step)
    assert (len(upstream.asked), reasons) == (1, [])


async def test_a_body_that_was_streamed_through_cannot_be_sent_again() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{}"

    for step in (429, UNCONNECTED):
        upstream = Scripted(step, 200)
        own, _ = retrying(upstream)
        asked = UpstreamRequest("POST", "/v1/x", [], body(), rerunnable=True)
        if isinstance(step, int):
            assert (await own.open(asked)).status == 429
        else:
            with pytest.raises(Unavailable):
                await own.open(asked)
        assert len(upstream.asked) == 1


async def test_the_last_answer_goes_out_as_it_is() -> None:
    upstream = Scripted(500, 503, (429, [("X-Last", "1")]))
    own, reasons = retrying(upstream)
    reply = await own.open(request(rerunnable=True))
    assert (reply.status, reply.headers, reasons) == (429, [("X-Last", "1")], ["broken", "refused"])


async def slept(own: Retrying, monkeypatch: pytest.MonkeyPatch, asked: UpstreamRequest | None = None) -> list[float]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("proxy.upstream.retrying.asyncio.sleep", sleep)
    await own.open(asked or request())
    return waits


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ([("Retry-After", "2")], [2.0]),
        ([("retry-after-ms", "120"), ("Retry-After", "2")], [0.12]),
        ([("Retry-After", "6")], []),  # longer than `longest_s`: the client shall know
        ([("Retry-After", "soon")], [0.0]),
        ([("Retry-After", "-3")], [0.0]),
        ([("Retry-After", "inf")], [0.0]),
        ([("Retry-After", "nan")], [0.0]),
    ],
)
async def test_retry_after_is_honoured(headers: Headers, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    own, _ = retrying(Scripted((429, headers), 200))
    assert await slept(own, monkeypatch) == waits


async def test_backoff_doubles_with_half_of_it_left_to_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    def waits_with(chance: Callable[[], float]) -> Retrying:
        settings = Retries(times=4, backoff_s=1.0, longest_s=3.0)
        steps: Sequence[Any] = [UNCONNECTED] * 4
        return Retrying(Scripted(*steps, 200), settings, 60.0, RetryShare(1.0), lambda *_: None, chance)

    assert await slept(waits_with(lambda: 1.0), monkeypatch) == [1.0, 2.0, 3.0, 3.0]
    assert await slept(waits_with(lambda: 0.0), monkeypatch) == [0.5, 1.0, 2.0, 3.0]


async def test_all_times_together_keep_the_total_time(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = Scripted(503, 503, 200)
    own, _ = retrying(upstream, backoff_s=0.05, longest_s=5.0)
    await own.open(request(timeout_s=2.0))
    left = [asked.timeout_s for asked in upstream.asked]
    assert left[0] == 2.0
    assert left[1] is not None
    assert left[2] is not None
    assert 2.0 > left[1] > left[2] > 1.5
    # Nobody waits for an answer that would come after its time.
    late = Scripted((503, [("Retry-After", "2")]), 200)
    assert (await retrying(late)[0].open(request(timeout_s=1.0))).status == 503


async def test_a_failing_upstream_is_not_asked_a_multiple() -> None:
    upstream = Scripted(*[503] * 400)
    own, reasons = retrying(upstream, share=0.1, times=3)
    for _ in range(100):
        await own.open(request())
    # What a quiet proxy may do, and a tenth of the requests.
    assert 20 <= len(reasons) <= 31
    assert len(upstream.asked) == 100 + len(reasons)


async def test_a_client_that_leaves_ends_the_waiting() -> None:
    upstream = Scripted((503, [("Retry-After", "4")]), 200)
    own, _ = retrying(upstream)
    task = asyncio.create_task(own.open(request()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(upstream.asked) == 1


def test_a_date_is_a_time_to_wait_for() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    found = retry_after({"retry-after": soon})
    assert found is not None
    assert 28 <= found <= 30
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert retry_after({"retry-after": past}) == 0
    assert retry_after({}) is None
