"""Leaves an upstream alone that keeps failing: requests fail at once, may go elsewhere, and it can recover.

One rule: it is asked nothing while the breaker is open, and one request at a time until one has ended well.

```
State      what happens                                              next
CLOSED     `failures` of a window failed, and `share` of it          OPEN
OPEN       `open_s` later a request comes, and is let through        HALF_OPEN
HALF_OPEN  it ends well                                              CLOSED
HALF_OPEN  it fails                                                  OPEN
HALF_OPEN  its client leaves: nobody knows; the next one is let through
```
A request fails when there is no answer, when it breaks off or does not begin in time, or with 500, 502, 503, 504, 529. It ends
well with its last byte. 429 is neither: an upstream that says so is well. State is of one process and begins anew at a reload.
"""

from __future__ import annotations

from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final, Literal

from proxy.config_upstream import Breaker
from proxy.errors import CircuitOpen, UpstreamError
from proxy.upstream.base import Headers, Upstream, UpstreamReply, UpstreamRequest, upgraded

State = Literal["closed", "open", "half_open"]
STATES: Final[tuple[State, ...]] = ("closed", "open", "half_open")
#: Statuses of an upstream that is ill, not of a request that is.
ILL: Final = frozenset({500, 502, 503, 504, 529})


@dataclass(slots=True)
class Circuit:
    """The state machine, without a clock of its own. `on_change` hears each new state."""

    settings: Breaker
    on_change: Callable[[State], None]
    state: State = "closed"
    _requests: int = 0
    _failures: int = 0
    _since: float = 0.0
    _trying: bool = False

    def enter(self, now: float) -> float:
        """A request wants through: 0 lets it, else the seconds until the next one may try."""
        if self.state == "closed":
            return 0.0
        left = self._since + self.settings.open_s - now
        if self.state == "open" and left > 0:
            return left
        if self.state == "open":
            self._turn("half_open", now)
        if self._trying:
            return max(left, 1.0)
        self._trying = True
        return 0.0

    def end(self, now: float, well: bool | None) -> None:
        """A request that was let through has ended. `well`: None where nobody can tell."""
        if self.state == "closed":
            self._count(now, well)
        elif self.state == "half_open" and self._trying:
            self._trying = False
            if well is not None:
                self._turn("closed" if well else "open", now)

    def _count(self, now: float, well: bool | None) -> None:
        if well is None:
            return
        if now - self._since > self.settings.window_s:
            self._since, self._requests, self._failures = now, 0, 0
        self._requests += 1
        self._failures += not well
        if self._failures >= self.settings.failures and self._failures >= self.settings.share * self._requests:
            self._turn("open", now)

    def _turn(self, state: State, now: float) -> None:
        self.state, self._since, self._requests, self._failures, self._trying = state, now, 0, 0, False
        self.on_change(state)


class Breaking:
    """An upstream with a breaker. `on_change(upstream, state)`, `on_refused(upstream)` are called for each."""

    def __init__(
        self,
        upstream: Upstream,
        settings: Breaker,
        on_change: Callable[[str, str], None],
        on_refused: Callable[[str], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.name = upstream.name
        self._upstream = upstream
        self._on_refused = on_refused
        self._clock = clock
        self.circuit = Circuit(settings, lambda state: on_change(self.name, state))

    async def open(self, request: UpstreamRequest) -> UpstreamReply:
        wait_s = self.circuit.enter(self._clock())
        if wait_s:
            self._on_refused(self.name)
            raise CircuitOpen(retry_after_s=wait_s)
        try:
            reply = await self._upstream.open(request)
        except BaseException as error:
            self.circuit.end(self._clock(), False if isinstance(error, UpstreamError) else None)
            raise
        return _WatchedReply(reply, self._end)

    async def upgrade(self, request: UpstreamRequest) -> tuple[StreamReader, StreamWriter, bytes, int]:
        """A session is no request whose end tells anything: it is passed on as it is."""
        return await upgraded(self._upstream, request)

    async def close(self) -> None:
        await self._upstream.close()

    def _end(self, well: bool | None) -> None:
        self.circuit.end(self._clock(), well)


class _WatchedReply:
    """A reply that passes as it is; see `UpstreamReply`. How it ended is told once."""

    def __init__(self, reply: UpstreamReply, on_end: Callable[[bool | None], None]) -> None:
        self._reply = reply
        self._on_end: Callable[[bool | None], None] | None = on_end
        self.status = reply.status
        self.reason = reply.reason
        self.headers: Headers = reply.headers
        if self.status in ILL:
            self._end(False)

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._reply.chunks():
                yield chunk
        except UpstreamError:
            self._end(False)
            raise
        self._end(None if self.status == 429 else True)

    async def read(self) -> bytes:
        try:
            body = await self._reply.read()
        except UpstreamError:
            self._end(False)
            raise
        self._end(None if self.status == 429 else True)
        return body

    def release(self) -> None:
        self._reply.release()
        self._end(None)

    def abort(self) -> None:
        self._reply.abort()
        self._end(None)

    def _end(self, well: bool | None) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(well)
