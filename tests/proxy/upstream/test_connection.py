"""The clocks of a request on its connection: the first byte, and the silence between two."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from proxy.errors import Timeout
from tests.proxy.upstream.test_openai import collect, post, serving, talking


async def dripping(request: web.Request, gaps: list[float]) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"a")
    for gap in gaps:
        await asyncio.sleep(gap)
        await response.write(b"b")
    return response


async def test_a_stream_that_falls_silent_is_cut_after_its_time() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await dripping(request, [0.1, 5.0])

    async with serving(handler, timeouts={"between_tokens_s": 0.4}) as upstream:
        got: list[bytes] = []
        began = time.monotonic()
        with pytest.raises(Timeout, match="silent"):
            await collect(upstream, got)
        # A tenth of a second to the last byte; then at least the limit, at most a quarter more.
        assert 0.45 <= time.monotonic() - began < 1.2
        assert got == [b"a", b"b"]


async def test_a_slow_stream_that_goes_on_is_not_cut() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await dripping(request, [0.2] * 5)

    async with serving(handler, timeouts={"between_tokens_s": 0.4}) as upstream:
        reply = await upstream.open(post())
        assert b"".join([chunk async for chunk in reply.chunks()]) == b"abbbbb"


async def test_a_slow_reader_is_no_silent_upstream() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await dripping(request, [0.0, 0.3])

    async with serving(handler, timeouts={"between_tokens_s": 0.2}) as upstream:
        got = b""
        async for chunk in (await upstream.open(post())).chunks():
            got += chunk
            await asyncio.sleep(0.5)
        assert got == b"abb"


async def test_a_body_without_a_length_that_falls_silent_is_no_whole_answer() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"[]}")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf an answer")
        await asyncio.sleep(5)

    async with talking(talk, timeouts={"between_tokens_s": 0.2}) as upstream:
        got: list[bytes] = []
        with pytest.raises(Timeout, match="silent"):
            await collect(upstream, got)
        assert got == [b"half an answer"]
