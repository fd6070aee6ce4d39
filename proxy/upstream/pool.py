"""Connections to upstreams that tell the end of an answer from its breaking off, and never give one request's bytes to another.

One rule: what arrives on a connection while nobody has asked ends that connection. aiohttp's own pool would hand it out as the
answer to the next request: a second answer, or the rest of one whose Content-Length was too short, would reach another client.

Bytes that the loop has read are seen as they come; those that still lie in the socket when a connection is taken are looked for
then (a system call, half a microsecond). What an upstream sends after it has been asked is its answer: nobody can tell.
"""

from __future__ import annotations

import functools
import select
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import _EXC_SENTINEL as _NO_CAUSE

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiohttp.client_reqrep import ClientRequest, ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class Handler(ResponseHandler):
    """A connection. `asked`: somebody waits for an answer, or reads one. `heard`: bytes came since it was asked."""

    asked = True
    heard = False
    _poll: select.poll | None = None

    def data_received(self, data: bytes) -> None:
        if not data:  # aiohttp's own call, to go on parsing what it has
            super().data_received(data)
        elif self.asked:
            self.heard = True
            super().data_received(data)
        else:
            self.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        if exc is not None:
            self._break(exc)  # else a body that ends with its connection would seem to be whole
        super().connection_lost(exc)

    def set_exception(self, exc: BaseException, exc_cause: BaseException = _NO_CAUSE) -> None:
        super().set_exception(exc, exc_cause)
        self._break(exc)  # else the reader of a body whose framing went wrong would wait until its time is over

    def _break(self, exc: BaseException) -> None:
        """Whoever reads the body learns that it is not whole."""
        body = self._payload
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError(f"the body broke off: {exc!r}"))

    def unread(self) -> bool:
        """Whether bytes, or the end, lie in the socket."""
        if self._poll is None:
            self._poll = select.poll()
            sock = self.transport.get_extra_info("socket") if self.transport is not None else None
            if sock is not None:
                self._poll.register(sock.fileno(), select.POLLIN)
        return bool(self._poll.poll(0))


class QuietConnector(aiohttp.TCPConnector):
    """aiohttp's pool with this rule. Must be made inside a running event loop."""

    def __init__(self, *, limit: int, keepalive_timeout: float, ssl: SSLContext | bool = True) -> None:
        super().__init__(
            ssl=ssl, limit=limit, ttl_dns_cache=60, keepalive_timeout=keepalive_timeout, enable_cleanup_closed=False
        )
        self._factory = functools.partial(Handler, loop=self._loop)  # type: ignore[assignment]

    # The names of the parameters are aiohttp's.
    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            handler = connection.protocol
            assert isinstance(handler, Handler)
            if handler.asked or not handler.unread():  # a new one is asked from the start
                handler.asked, handler.heard = True, False
                return connection
            connection.close()

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        assert isinstance(protocol, Handler)
        protocol.asked = False
        super()._release(key, protocol, should_close=should_close)
