"""Requests that no policy touches: method, path, query, headers and body go up, status, headers and body come back.

One rule: nothing is read that need not be, and nothing is added.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from proxy.errors import RequestTooLarge, UpstreamError
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
    """Forward a request and its answer; returns the status. `body`: where it was already read. Raises UpstreamError, or
    RequestTooLarge, only while nothing was sent; later failures break the connection off."""
    content: Body = body if body is not None else await _request_body(request, max_bytes)
    inflow = await upstream.open(UpstreamRequest(request.method, path, headers, content, credentials=credentials))
    try:
        await _forward(request, reply, inflow)
    finally:
        inflow.release()
    return inflow.status


async def _request_body(request: web.BaseRequest, max_bytes: int) -> Body:
    length = request.content_length
    if length is not None and length > max_bytes:
        raise RequestTooLarge(f"the body is over {max_bytes} bytes")
    if not request.body_exists:
        return None if length is None else b""
    if length is not None and length <= WHOLE_BYTES:
        return await request.read()
    return _limited(request, max_bytes)


async def _limited(request: web.BaseRequest, max_bytes: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > max_bytes:
            raise RequestTooLarge(f"the body is over {max_bytes} bytes")
        yield chunk


async def _forward(request: web.BaseRequest, reply: ClientReply, inflow: UpstreamReply) -> None:
    length = next((int(v) for n, v in inflow.headers if n.lower() == "content-length" and v.isdecimal()), None)
    if request.method == "HEAD" or inflow.status in (204, 304):
        reply.whole(inflow.status, inflow.headers, b"", inflow.reason)
    elif length is not None and length <= WHOLE_BYTES:
        body = b"".join([chunk async for chunk in inflow.chunks()])
        reply.whole(inflow.status, inflow.headers, body, inflow.reason)
    else:
        await reply.start(inflow.status, inflow.headers, inflow.reason)
        try:
            async for chunk in inflow.chunks():
                await reply.write(chunk)
        except UpstreamError:
            reply.abort()
            return
        await reply.finish()
