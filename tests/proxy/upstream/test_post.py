"""The straight POST against aiohttp's own session: the same bytes out, the same answers and failures back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.config_model import OpenAISettings
from proxy.errors import ProtocolError
from proxy.upstream.base import UpstreamRequest
from proxy.upstream.openai import OpenAIUpstream
from proxy.upstream.post import WRITTEN_AT_ONCE, Poster

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEADERS = (("X-A", "1"), ("X-A", "2"), ("Authorization", "Bearer c"), ("Content-Type", "application/json"), ("X-Ü", "ä"))


@asynccontextmanager
async def answering(data: bytes) -> AsyncIterator[tuple[OpenAIUpstream, list[bytes]]]:
    """An upstream that answers every request with `data`, and what it was sent: one entry a request."""
    seen: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                seen.append(head + await reader.readexactly(length))
                writer.write(data)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    upstream = OpenAIUpstream("up", OpenAISettings.model_validate({"kind": "openai", "url": url}))
    try:
        yield upstream, seen
    finally:
        await upstream.close()
        server.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        await server.wait_closed()


async def ask(upstream: OpenAIUpstream, body: bytes, path: str = "/v1/chat/completions?a=%2f&b=%20+") -> tuple[object, ...]:
    reply = await upstream.open(UpstreamRequest("POST", path, HEADERS, body))
    return reply.status, reply.reason, reply.headers, b"".join([chunk async for chunk in reply.chunks()])


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * WRITTEN_AT_ONCE], ids=len)
async def test_the_same_bytes_leave_and_the_same_answer_comes_as_with_the_session(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(OK) as (upstream, seen):
        straight = await ask(upstream, body)
        monkeypatch.setattr(Poster, "takes", lambda *_: False)
        assert await ask(upstream, body) == straight
    assert len(seen) == 2
    assert seen[0] == seen[1]


async def test_it_shares_the_connections_of_the_session() -> None:
    async with answering(OK) as (upstream, seen):
        for _ in range(3):
            await ask(upstream, b"{}")
        assert upstream._session.connector is not None
        assert sum(map(len, upstream._session.connector._conns.values())) == 1
    assert len(seen) == 3


async def test_an_interim_answer_is_passed_over() -> None:
    async with answering(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK) as (upstream, _):
        assert await ask(upstream, b"{}") == (200, "OK", [("Content-Length", "2")], b"ok")


async def test_a_larger_body_goes_by_way_of_the_session() -> None:
    async with answering(OK) as (upstream, seen):
        assert (await ask(upstream, b"x" * (WRITTEN_AT_ONCE + 1)))[0] == 200
    assert len(seen[0].partition(b"\r\n\r\n")[2]) == WRITTEN_AT_ONCE + 1


async def test_a_header_that_would_break_the_head_is_never_written() -> None:
    async with answering(OK) as (upstream, seen):
        with pytest.raises(ProtocolError):
            await upstream.open(UpstreamRequest("POST", "/v1/x", (("X-A", "1\r\nX-B: 2"),), b"{}"))
    assert not seen


async def test_a_repeated_header_in_another_spelling_is_kept() -> None:
    async with answering(OK) as (upstream, seen):
        reply = await upstream.open(UpstreamRequest("POST", "/v1/x", (("X-A", "1"), ("x-a", "2")), b"{}"))
        reply.release()
    assert b"\r\nX-A: 1\r\nx-a: 2\r\n" in seen[0]  # the session keeps the last one only
