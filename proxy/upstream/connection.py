"""The connections of an HTTP upstream, and the clocks of one request on its connection.

One rule: a clock costs nothing while bytes come. A timer looks now and then whether any came, and is not set anew by each.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import aiohttp

from proxy.upstream.pool import Handler, QuietConnector

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

STALE_WITHIN_S: Final = 1.0
NO_BYTE: Final = "the upstream sent no byte of its answer in time"
SILENT: Final = "the upstream fell silent in the middle of its answer"
#: Looks at a body in the time in which it may be silent.
_LOOKS: Final = 4


class Attempt:
    """One request on its connection: when it got it, whether that one was new, and the clocks of the first byte and of those
    between two.

    A timer that cuts the connection costs a tenth of an `asyncio.timeout` (1 us to 10 us), on every request."""

    __slots__ = (
        "_between_s", "_first_token_s", "_handler", "_loop", "_seen", "_silent", "_timer", "connected_at", "content",
        "expired", "new", "waiting",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, first_token_s: float, between_s: float | None = None) -> None:
        self._loop = loop
        self._first_token_s = first_token_s
        self._between_s = between_s
        self._timer: asyncio.TimerHandle | None = None
        self._handler: Handler | None = None
        self._seen = 0
        self._silent = 0
        self.connected_at = 0.0
        self.new = False
        #: Why the connection was cut, empty while it was not.
        self.expired = ""
        #: Somebody waits for bytes; a slow reader is no slow upstream.
        self.waiting = False
        self.content: aiohttp.StreamReader | None = None

    def connected(self, handler: Handler) -> None:
        self.settle()
        self.connected_at = self._loop.time()
        self._handler = handler
        self._timer = self._loop.call_at(self.connected_at + self._first_token_s, self._expire)

    def begun(self) -> None:
        """The first byte is here: from now on the time between two counts, where it is limited."""
        self.settle()
        if self._between_s is not None:
            self._timer = self._loop.call_later(self._between_s / _LOOKS, self._look)

    def settle(self) -> None:
        """Nobody waits for this answer any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def stale(self) -> bool:
        """Whether it was lost on a connection that the upstream had most likely closed before."""
        fresh = self.new or bool(self.expired) or self._handler is None or self._handler.heard
        return not fresh and self._loop.time() - self.connected_at < STALE_WITHIN_S

    def _expire(self) -> None:
        content = self.content
        if content is not None and (content.total_bytes or content.is_eof()):
            return  # It came in time; the reader is slow.
        self._cut(NO_BYTE)

    def _look(self) -> None:
        content = self.content
        assert content is not None
        assert self._between_s is not None
        if not self.waiting or content.total_bytes != self._seen:
            self._seen, self._silent = content.total_bytes, 0
        else:
            self._silent += 1
        if self._silent >= _LOOKS:
            self._cut(SILENT)
        else:
            self._timer = self._loop.call_later(self._between_s / _LOOKS, self._look)

    def _cut(self, reason: str) -> None:
        self.expired = reason
        transport = self._handler.transport if self._handler is not None else None
        if transport is not None:
            transport.abort()


attempt_now: ContextVar[Attempt] = ContextVar("attempt_now")


class Connector(QuietConnector):
    """Tells the attempt of the current task about its connection."""

    # The names of the parameters are aiohttp's.
    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> Connection:
        attempt = attempt_now.get()
        attempt.new = False
        connection = await super().connect(req, traces, timeout)
        assert isinstance(connection.protocol, Handler)
        attempt.connected(connection.protocol)
        return connection

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> ResponseHandler:
        attempt_now.get().new = True
        return await super()._create_connection(req, traces, timeout)
