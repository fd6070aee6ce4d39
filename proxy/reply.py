"""The way back to the client: writes heads and bytes exactly as decided, and adds nothing of its own.

One rule: an end-to-end header that the upstream did not send is never invented (aiohttp would add Server and Date).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from aiohttp import hdrs, web
from multidict import CIMultiDict

from proxy.admission import Room

Headers = list[tuple[str, str]]
_RATE_LIMITS = ("x-ratelimit-", "anthropic-ratelimit-")


class _Bare:
    """Mixin that keeps aiohttp from adding Server, Date and a default Content-Type to a forwarded head."""

    async def _prepare_headers(self) -> None:
        headers: CIMultiDict[str] = self._headers  # type: ignore[attr-defined]
        absent = [name for name in (hdrs.SERVER, hdrs.DATE, hdrs.CONTENT_TYPE) if name not in headers]
        await super()._prepare_headers()  # type: ignore[misc]
        for name in absent:
            headers.pop(name, None)


class BareResponse(_Bare, web.Response):
    """A whole reply, sent with just the given headers."""


class BareStream(_Bare, web.StreamResponse):
    """A reply written piece by piece, sent with just the given headers."""


class ClientReply:
    """One reply to one client request. `started`: the head has left, so status and headers can no longer change."""

    __slots__ = ("_request", "_room", "_stream", "held", "limits", "response", "served")

    def __init__(self, request: web.BaseRequest, room: Room) -> None:
        self._request = request
        self._room = room
        #: Bytes of the request, and of what was answered to it, that are in memory for it.
        self.held = 0
        self._stream: BareStream | None = None
        #: What the server hands back to aiohttp when the request is done.
        self.response: web.StreamResponse | None = None
        #: What the client is told of its limits, in place of what an upstream says of ours.
        self.limits: Headers = []
        #: Handed to a route, which records what becomes of it.
        self.served = False

    def hold(self, size: int) -> None:
        """So many more bytes are held until the exchange is over."""
        self.held += size
        self._room.held += size

    def let_go(self) -> None:
        """The exchange is over."""
        self._room.held -= self.held
        self.held = 0

    @property
    def started(self) -> bool:
        return self._stream is not None

    def whole(self, status: int, headers: Iterable[tuple[str, str]], body: bytes, reason: str | None = None) -> None:
        """Answer with a complete body; sent when the request handler returns."""
        if self.limits:
            headers = self._limited(headers)
        response = BareResponse(status=status, reason=reason, headers=CIMultiDict(headers), body=body)
        if hdrs.CONTENT_LENGTH not in response.headers and self._request.version >= (1, 1) and body:
            response.enable_chunked_encoding()
        self.response = response

    async def start(self, status: int, headers: Iterable[tuple[str, str]], reason: str | None = None) -> None:
        """Send the head of a stream. Raises ConnectionError when the client has gone."""
        if self.limits:
            headers = self._limited(headers)
        stream = BareStream(status=status, reason=reason, headers=CIMultiDict(headers))
        self._stream = self.response = stream
        await stream.prepare(self._request)

    def _limited(self, headers: Iterable[tuple[str, str]]) -> Headers:
        return [*(header for header in headers if not header[0].lower().startswith(_RATE_LIMITS)), *self.limits]

    async def write(self, data: bytes) -> None:
        """Send bytes of the body, waiting while the client does not read."""
        if self._stream is not None and data:
            await self._stream.write(data)

    async def finish(self) -> None:
        """End a stream properly."""
        if self._stream is not None:
            await self._stream.write_eof()

    def abort(self) -> None:
        """Break the connection off, so that the client sees a truncated body rather than a complete one.

        What was written still reaches it, where the framing of the body tells that an end is missing."""
        transport = self._request.transport
        if transport is None:
            return
        if self._request.version >= (1, 1):
            transport.close()
            return
        # Without framing an orderly close would look like the end of the body.
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
