"""Connections: what an upstream says while nobody has asked is nobody's answer, and a body that breaks off is not whole."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

import aiohttp
import pytest

from proxy.errors import ProtocolError, Unavailable
from proxy.upstream.base import UpstreamRequest
from tests.proxy.upstream.test_openai import BODY, OK, Talk, post, read, take, talking

STRAY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"


def chatty(said: bytes, after_s: float, told: asyncio.Event, connections: list[int]) -> Talk:
    """Answers each request, and on the first connection says something more."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(0)
        first = len(connections) == 1
        while True:
            await take(reader)
            writer.write(OK)
            if first:
                await asyncio.sleep(after_s)
                with contextlib.suppress(ConnectionError):
                    writer.write(said)
                    await writer.drain()
                told.set()

    return talk


@pytest.mark.parametrize("said", [STRAY, b"junk", STRAY[:20], b"\r\n" + STRAY], ids=["answer", "junk", "part", "blank"])
@pytest.mark.parametrize("patience_s", [0.05, 0.0], ids=["read", "unread"])
async def test_what_nobody_asked_for_is_nobodys_answer(said: bytes, patience_s: float) -> None:
    told, connections = asyncio.Event(), list[int]()
    async with talking(chatty(said, 0.02, told, connections)) as upstream:
        assert await read(await upstream.open(post())) == b"ok"
        await told.wait()
        # Either the loop has read it by now, or it still lies in the socket when the connection is taken again.
        if patience_s:
            await asyncio.sleep(patience_s)
        assert await read(await upstream.open(post())) == b"ok"
        assert len(connections) == 2


async def test_it_holds_for_requests_of_the_session_too() -> None:
    """Those that do not take the straight way."""
    told, connections = asyncio.Event(), list[int]()
    async with talking(chatty(STRAY, 0.02, told, connections)) as upstream:
        await read(await upstream.open(post()))
        await told.wait()
        assert await read(await upstream.open(UpstreamRequest("PUT", "/v1/x", (), BODY))) == b"ok"
        assert len(connections) == 2


async def test_a_quiet_connection_is_used_again() -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await take(reader)
            writer.write(OK)

    async with talking(talk) as upstream:
        for _ in range(4):
            await read(await upstream.open(post()))
            await asyncio.sleep(0.01)
    assert connections == 1


async def test_aiohttp_itself_would_take_it() -> None:
    """Why this is here. When this fails, aiohttp looks before it takes a connection, and ours need not any more."""
    told, connections = asyncio.Event(), list[int]()
    async with talking(chatty(STRAY, 0.02, told, connections)) as upstream, aiohttp.ClientSession() as bare:
        url = upstream.url_of("/v1/x")
        async with bare.post(url, data=BODY) as reply:
            assert await reply.read() == b"ok"
        await told.wait()
        await asyncio.sleep(0.05)
        async with bare.post(url, data=BODY) as reply:
            assert await reply.read() == b"stray"


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
UNTIL_END = b"HTTP/1.1 200 OK\r\n\r\nhello"


@pytest.mark.parametrize("method", ["POST", "PUT"], ids=["straight", "session"])
@pytest.mark.parametrize("said", [b"zz\r\nbad\r\n", b"5\r\nhello!!\r\n", b"\x00"])
async def test_a_broken_framing_is_told_at_once_and_not_when_time_is_over(said: bytes, method: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        writer.write(CHUNKED)
        await asyncio.sleep(0.03)
        writer.write(said)
        await reader.read()

    async with talking(talk) as upstream:
        reply = await upstream.open(UpstreamRequest(method, "/v1/x", (), BODY))
        async with asyncio.timeout(5):
            with pytest.raises(ProtocolError):
                await read(reply)


@pytest.mark.parametrize("method", ["POST", "PUT"], ids=["straight", "session"])
async def test_a_body_without_a_length_that_is_reset_is_not_whole(method: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        writer.write(UNTIL_END)
        await asyncio.sleep(0.03)
        reset(writer)

    async with talking(talk) as upstream:
        reply = await upstream.open(UpstreamRequest(method, "/v1/x", (), BODY))
        with pytest.raises(ProtocolError):
            await read(reply)


async def test_a_request_reset_on_a_stale_connection_is_sent_once_more() -> None:
    """The upstream closes; the request was on its way: what comes back is a reset, no end of stream."""
    asked: list[int] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(0)
        number = len(asked)
        while True:
            await take(reader)
            asked[number - 1] += 1
            if (number, asked[0]) == (1, 2):
                reset(writer)
                return
            writer.write(OK)

    async with talking(talk) as upstream:
        for _ in range(3):
            assert await read(await upstream.open(post())) == b"ok"
    assert asked == [2, 2]


async def test_a_reset_of_a_new_connection_is_a_failure() -> None:
    asked = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await take(reader)
        asked += 1
        reset(writer)

    async with talking(talk) as upstream:
        with pytest.raises(Unavailable):
            await upstream.open(post())
    assert asked == 1


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
