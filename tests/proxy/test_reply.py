"""Heads and bodies as they leave: nothing invented, and an end that is missing can be seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from proxy.admission import Room
from proxy.reply import ClientReply

Serve = Callable[[ClientReply], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[tuple[str, int]]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        reply = ClientReply(request, Room())
        await serve(reply)
        assert reply.response is not None
        return reply.response

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0]
    finally:
        await runner.cleanup()


async def talk(address: tuple[str, int], method: str = "GET", version: str = "1.1") -> tuple[list[str], bytes]:
    """Head lines and body, as bytes on the wire."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(f"{method} / HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    got = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = got.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


@pytest.mark.parametrize(("status", "reason"), [(200, "Fine"), (404, None), (529, "Overloaded")])
async def test_a_whole_reply_has_the_given_head_and_no_more(status: int, reason: str | None) -> None:
    async def serve(reply: ClientReply) -> None:
        reply.whole(status, [("X-A", "1"), ("X-A", "2"), ("Content-Length", "2")], b"ok", reason)

    async with serving(serve) as address:
        (line, *headers), body = await talk(address)
    assert line.startswith(f"HTTP/1.1 {status}")
    assert reason is None or line.endswith(reason)
    assert sorted(headers) == ["Connection: close", "Content-Length: 2", "X-A: 1", "X-A: 2"]
    assert body == b"ok"


async def test_a_stream_has_the_given_head_and_its_bytes() -> None:
    async def serve(reply: ClientReply) -> None:
        assert not reply.started
        await reply.start(200, [("Content-Type", "text/event-stream")])
        assert reply.started
        for data in (b"one", b"", b"two"):
            await reply.write(data)
        await reply.finish()

    async with serving(serve) as address:
        (_, *headers), body = await talk(address)
    assert sorted(headers) == ["Connection: close", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"]
    assert body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


@pytest.mark.parametrize("headers", [[], [("Content-Length", "100")]])
async def test_what_is_broken_off_has_all_that_was_written_and_no_end(headers: list[tuple[str, str]]) -> None:
    async def serve(reply: ClientReply) -> None:
        await reply.start(200, headers)
        await reply.write(b"x" * 50)
        reply.abort()

    async with serving(serve) as address:
        _, body = await talk(address)
    assert body in (b"x" * 50, b"32\r\n" + b"x" * 50 + b"\r\n")


async def test_an_old_client_that_knows_no_framing_sees_a_reset() -> None:
    async def serve(reply: ClientReply) -> None:
        await reply.start(200, [])
        await reply.write(b"part")
        reply.abort()

    async with serving(serve) as address:
        with pytest.raises(ConnectionResetError):
            await talk(address, version="1.0")


async def test_a_head_request_gets_the_length_without_the_body() -> None:
    async def serve(reply: ClientReply) -> None:
        reply.whole(200, [("Content-Length", "1234")], b"")

    async with serving(serve) as address:
        head, body = await talk(address, "HEAD")
    assert "Content-Length: 1234" in head
    assert body == b""
