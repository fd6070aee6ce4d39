"""Connections that stop being HTTP (WebSocket: realtime sessions): the upgrade is passed on, then every byte both ways.

One rule: nothing is read here, so nothing is judged; where a route guards an endpoint, its upgrade is refused instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Final

from aiohttp import web

from proxy.errors import Forbidden, NotFound
from proxy.limiting.limiter import Grant
from proxy.reply import ClientReply
from proxy.routing import GUARDED, Location
from proxy.snapshot import Route, Snapshot
from proxy.upstream.base import Headers, UpstreamRequest, upgraded

_CHUNK: Final = 65_536
#: What an answer that refuses the upgrade may be.
_REFUSAL_BYTES: Final = 1 << 20
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_LAST_CHUNK: Final = b"0\r\n\r\n"


def wanted(request: web.BaseRequest) -> bool:
    """Whether the client asks for another protocol than HTTP on this connection."""
    headers = request.headers
    return request.method == "GET" and "Upgrade" in headers and "upgrade" in headers.get("Connection", "").lower()


class Ended(web.StreamResponse):
    """What aiohttp is handed when the connection was no longer HTTP: there is nothing to write."""

    async def prepare(self, request: web.BaseRequest) -> None:
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        """The connection is closed already."""


class _Feed:
    """Takes the client's bytes from aiohttp, past its HTTP parser."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self._reader.feed_eof()


async def pass_upgrade(
    snapshot: Snapshot,
    route: Route,
    location: Location,
    request: web.BaseRequest,
    reply: ClientReply,
    target: str,
    headers: Headers,
    grant: Grant | None,
) -> int:
    """Pass an upgrade on and stay until either side is done; returns the upstream's status. `target`: the path for the
    upstream, with its query. Raises GuardError while nothing was sent."""
    _refuse_guarded(snapshot, route, location)
    if grant is not None:
        raise Forbidden("a key with limits may open no session: nobody counts its tokens")
    asked = UpstreamRequest(request.method, target, headers, credentials=not snapshot.keys)
    reader, writer, head, status = await upgraded(route.upstream, asked)
    reply.response = Ended()
    try:
        with contextlib.suppress(ConnectionError):  # either side may leave when it likes
            await request.writer.write(head)
            if status == 101:
                await _both_ways(request, reader, writer)
            else:
                await _rest(request, reader, head)
    finally:
        writer.close()
        if request.transport is not None:
            request.transport.close()
    return status


async def _both_ways(request: web.BaseRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert request.transport is not None
    from_client = asyncio.StreamReader(_CHUNK)
    # It pauses the connection while more waits than it holds.
    from_client.set_transport(request.transport)
    request.protocol.set_parser(_Feed(from_client))  # type: ignore[arg-type]  # it asks for these two methods only

    async def up() -> None:
        while data := await from_client.read(_CHUNK):
            writer.write(data)
            await writer.drain()

    async def down() -> None:
        while data := await reader.read(_CHUNK):
            await request.writer.write(data)

    ways = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await way


async def _rest(request: web.BaseRequest, reader: asyncio.StreamReader, head: bytes) -> None:
    """The body of an answer that refuses, by its length, else up to its last chunk or the connection's end."""
    length = _LENGTH.search(head)
    left = int(length[1]) if length is not None else _REFUSAL_BYTES
    end = b""
    while left > 0 and end != _LAST_CHUNK and (data := await reader.read(min(left, _CHUNK))):
        await request.writer.write(data)
        left -= len(data)
        end = (end + data)[-len(_LAST_CHUNK) :] if length is None else b""


def _refuse_guarded(snapshot: Snapshot, route: Route, location: Location) -> None:
    """Raises NotFound where a POST at this path would be judged: nobody reads frames. A model is named inside of them, so a
    guarded route that asks for a model could be meant by any session under its prefix."""
    guarded = route.compiled is not None or any(
        other.compiled is not None
        and other.settings.match.model is not None
        and f"{location.prefix}/".startswith(f"{other.settings.match.path_prefix}/")
        for other in snapshot.routes.values()
    )
    if guarded and snapshot.router.locate("POST", f"{location.prefix}{location.path}").endpoint in GUARDED:
        raise NotFound("this endpoint is guarded and cannot be upgraded")
