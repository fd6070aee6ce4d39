"""Requests that no policy touches: method, path, query, headers and body go up, status, headers and body come back.

One rule: nothing is read that need not be, and nothing is added.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from proxy.arrival import ArrivingRequest
from proxy.errors import RequestError, RequestTimeout, RequestTooLarge, UpstreamError
from proxy.reply import ClientReply
from proxy.upstream.base import Body, Headers, Upstream, UpstreamReply, UpstreamRequest

#: A body of known length up to this size is read and written in one go; others are streamed through.
WHOLE_BYTES: Final = 1 << 20


async def pass_through(
    request: web.BaseRequest,
    reply: ClientReply,
    upstream: Upstream,
    path: str,
    headers: Headers,
    *,
    max_bytes: int,
    credentials: bool,
    body: bytes | None = None,
) -> int:
    """Forward a request and its answer; returns the status. `body`: where it was already read. Raises UpstreamError,
    RequestTooLarge or RequestTimeout only while nothing was sent; later failures break the connection off."""
    assert isinstance(request, ArrivingRequest)
    limited = _Limited(request, max_bytes)
    content: Body = body if body is not None else await _request_body(request, limited)
    try:
        inflow = await upstream.open(UpstreamRequest(request.method, path, headers, content, credentials=credentials))
    except UpstreamError as error:
        # The body we broke off made the call fail.
        raise limited.broken or error from None
    try:
        await _forward(request, reply, inflow)
    finally:
        inflow.release()
    return inflow.status


class _Limited:
    """A request body that is streamed up, to its largest size. `broken`: why it was broken off."""

    def __init__(self, request: ArrivingRequest, max_bytes: int) -> None:
        self._request = request
        self._max_bytes = max_bytes
        self.broken: RequestError | None = None

    def check(self, size: int) -> None:
        """Raises RequestTooLarge."""
        if size > self._max_bytes:
            self.broken = RequestTooLarge(f"the body is over {self._max_bytes} bytes")
            raise self.broken

    async def chunks(self) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for chunk in self._request.chunks():
                size += len(chunk)
                self.check(size)
                yield chunk
        except RequestTimeout as error:
            self.broken = error
            raise


async def _request_body(request: ArrivingRequest, limited: _Limited) -> Body:
    length = request.content_length
    limited.check(length or 0)
    if not request.body_exists:
        return None if length is None else b""
    if length is not None and length <= WHOLE_BYTES:
        return await request.read()
    return limited.chunks()


async def _forward(request: web.BaseRequest, reply: ClientReply, inflow: UpstreamReply) -> None:
    length = next((int(v) for n, v in inflow.headers if n.lower() == "content-length" and v.isdecimal()), None)
    if request.method == "HEAD" or inflow.status in (204, 304):
        reply.whole(inflow.status, inflow.headers, b"", inflow.reason)
    elif length is not None and length <= WHOLE_BYTES:
        reply.whole(inflow.status, inflow.headers, await inflow.read(), inflow.reason)
    else:
        await reply.start(inflow.status, inflow.headers, inflow.reason)
        try:
            async for chunk in inflow.chunks():
                await reply.write(chunk)
        except UpstreamError:
            reply.abort()
            return
        await reply.finish()
