"""The HTTP upstream against real servers on loopback: aiohttp for what is regular, raw sockets for what is broken."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from proxy.config_model import OpenAISettings
from proxy.errors import ProtocolError, Timeout, Unavailable
from proxy.upstream.base import UpstreamRequest
from proxy.upstream.openai import OpenAIReply, OpenAIUpstream

BODY = b'{"model":"m","messages":[]}'
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def make(url: str, **settings: Any) -> OpenAIUpstream:
    return OpenAIUpstream("up", OpenAISettings.model_validate({"kind": "openai", "url": url, **settings}))


def post(path: str = "/v1/chat/completions", headers: tuple[tuple[str, str], ...] = (), **fields: Any) -> UpstreamRequest:
    return UpstreamRequest("POST", path, headers, **{"body": BODY, **fields})


async def read(reply: OpenAIReply) -> bytes:
    return b"".join([chunk async for chunk in reply.chunks()])


async def collect(upstream: OpenAIUpstream, got: list[bytes]) -> None:
    async for chunk in (await upstream.open(post())).chunks():
        got.append(chunk)


@asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], **settings: Any
) -> AsyncIterator[OpenAIUpstream]:
    server = web.Server(handler)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    upstream = make(f"http://127.0.0.1:{port}/v1", **settings)
    try:
        yield upstream
    finally:
        await upstream.close()
        await runner.cleanup()


@asynccontextmanager
async def talking(talk: Talk, **settings: Any) -> AsyncIterator[OpenAIUpstream]:
    """A server of raw bytes; `talk` has one connection."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    upstream = make(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", **settings)
    try:
        yield upstream
    finally:
        await upstream.close()
        server.close()
        await server.wait_closed()


async def take(reader: asyncio.StreamReader) -> None:
    """Read one request with the usual body."""
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(len(BODY))


def answering(data: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        writer.write(data)
        await writer.drain()

    return talk


def seen_by(seen: list[Any]) -> AbstractAsyncContextManager[Any]:
    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.method, request.raw_path, list(request.headers.items()), await request.read()))
        return web.Response(body=b"{}", content_type="application/json")

    return serving(handler)


async def test_status_reason_headers_and_bytes_come_as_they_are() -> None:
    head = b"HTTP/1.1 429 Slow Down\r\nX-Twice: a\r\nx-twice: b\r\nContent-Length: 3\r\nConnection: x-own\r\nX-Own: 1\r\n"
    data = head + b"\r\n\xff\x00z"
    async with talking(answering(data)) as upstream:
        reply = await upstream.open(post())
        assert (reply.status, reply.reason) == (429, "Slow Down")
        assert reply.headers == [("X-Twice", "a"), ("x-twice", "b"), ("Content-Length", "3")]
        assert await read(reply) == b"\xff\x00z"


async def test_the_upstream_sees_what_the_client_sent_and_no_more() -> None:
    seen: list[Any] = []
    async with seen_by(seen) as upstream:
        headers = (
            ("X-A", "1"),
            ("Authorization", "Bearer c"),
            ("Connection", "keep-alive, x-hop"),
            ("X-Hop", "1"),
            ("X-A", "2"),
        )
        secret = (("x-chunkguard-report", "1"), ("Host", "evil"), ("Content-Length", "999"), ("Expect", "100-continue"))
        await read(await upstream.open(post("/v1/chat/completions?a=%2f&b=%20+&c", headers + secret)))
    method, path, got, body = seen[0]
    assert (method, path, body) == ("POST", "/v1/chat/completions?a=%2f&b=%20+&c", BODY)
    assert [item for item in got if item[0] != "Host"] == [
        ("X-A", "1"), ("Authorization", "Bearer c"), ("X-A", "2"), ("Content-Length", str(len(BODY)))
    ]  # fmt: skip
    assert dict(got)["Host"].startswith("127.0.0.1:")


async def test_a_configured_key_replaces_every_credential_of_the_client() -> None:
    seen: list[Any] = []
    async with seen_by(seen) as upstream:
        upstream._api_key = "sk-own"
        names = ("authorization", "X-Api-Key", "api-key", "Cookie", "OpenAI-Organization", "OpenAI-Project")
        await read(await upstream.open(post(headers=tuple((name, "client") for name in names))))
    got = seen[0][2]
    assert ("Authorization", "Bearer sk-own") in got
    assert "client" not in [value for _, value in got]


async def test_credentials_may_be_withheld_without_a_key() -> None:
    seen: list[Any] = []
    async with seen_by(seen) as upstream:
        await read(await upstream.open(post(headers=(("Authorization", "Bearer c"), ("X-B", "1")), credentials=False)))
    assert [name for name, _ in seen[0][2]] == ["Host", "X-B", "Content-Length"]


async def test_a_redirect_is_a_reply_and_is_not_followed() -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere", "Set-Cookie": "a=b"})

    async with serving(handler) as upstream:
        for _ in range(2):
            reply = await upstream.open(post())
            assert (reply.status, dict(reply.headers)["Location"]) == (307, "/elsewhere")
            assert await read(reply) == b""
    assert seen == ["/v1/chat/completions"] * 2


async def test_cookies_are_not_kept_between_clients() -> None:
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Cookie"))
        return web.Response(headers={"Set-Cookie": "session=1; Path=/"})

    async with serving(handler) as upstream:
        # A jar would take no cookie from a bare IP address anyway.
        upstream._versioned = upstream._versioned.replace("127.0.0.1", "localhost")
        for _ in range(2):
            await read(await upstream.open(post()))
    assert seen == [None, None]


async def test_compressed_bodies_stay_compressed() -> None:
    packed = gzip.compress(b"x" * 1000)

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with serving(handler) as upstream:
        reply = await upstream.open(post())
        assert dict(reply.headers)["Content-Encoding"] == "gzip"
        assert await read(reply) == packed


async def test_chunks_come_when_they_are_written() -> None:
    go = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await go.wait()
        await response.write(b"data: 2\n\n")
        return response

    async with serving(handler) as upstream:
        chunks = (await upstream.open(post())).chunks()
        assert await anext(chunks) == b"data: 1\n\n"
        go.set()
        assert [chunk async for chunk in chunks] == [b"data: 2\n\n"]


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_bodies_of_any_size_arrive_whole_and_with_their_length(size: int) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        data = b"".join([chunk async for chunk in request.content.iter_any()])  # `read` has a limit of its own
        return web.Response(text=f"{len(data)} {request.headers.get('Content-Length')}")

    async def streamed() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield b"y" * (size // 2)

    async with serving(handler) as upstream:
        assert await read(await upstream.open(post(body=b"x" * size))) == f"{size} {size}".encode()
        reply = await upstream.open(post(headers=(("Content-Length", str(size)),), body=streamed()))
        assert await read(reply) == f"{size} {size}".encode()
        assert await read(await upstream.open(post(body=streamed()))) == f"{size} None".encode()


async def test_huge_headers_of_a_reply_pass() -> None:
    data = b"HTTP/1.1 200 OK\r\nX-Big: " + b"a" * 30_000 + b"\r\nContent-Length: 2\r\n\r\nok"
    async with talking(answering(data)) as upstream:
        reply = await upstream.open(post())
        assert len(dict(reply.headers)["X-Big"]) == 30_000
        assert await read(reply) == b"ok"


@pytest.mark.parametrize(
    "data",
    [
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Big: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-",
    ],
    ids=["text", "field too long", "length", "half a head"],
)
async def test_what_is_not_http_is_a_protocol_error(data: bytes) -> None:
    async with talking(answering(data)) as upstream:
        with pytest.raises(ProtocolError):
            await upstream.open(post())


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfive!\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfive!\r\nzz\r\n",
    ],
    ids=["length", "chunked", "bad chunk"],
)
async def test_a_cut_body_is_a_protocol_error_after_its_bytes(data: bytes) -> None:
    async with talking(answering(data)) as upstream:
        got: list[bytes] = []
        with pytest.raises(ProtocolError):
            await collect(upstream, got)
        assert b"five!".startswith(b"".join(got))
        assert _idle(upstream) == 0


async def test_a_body_without_length_ends_with_its_connection() -> None:
    async with talking(answering(b"HTTP/1.1 200 OK\r\n\r\nall of it")) as upstream:
        assert await read(await upstream.open(post())) == b"all of it"
        assert _idle(upstream) == 0


async def test_nobody_listening_is_unavailable() -> None:
    upstream = make("http://127.0.0.1:9/v1")
    with pytest.raises(Unavailable):
        await upstream.open(post())
    await upstream.close()


async def test_an_unknown_host_is_unavailable_and_not_named() -> None:
    upstream = make("http://no-such-host.invalid/v1")
    with pytest.raises(Unavailable) as caught:
        await upstream.open(post())
    assert "no-such-host" not in caught.value.message
    await upstream.close()


async def test_a_lost_connection_before_the_head_is_unavailable_and_not_repeated() -> None:
    requests = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await take(reader)
        requests += 1

    async with talking(talk) as upstream:
        with pytest.raises(Unavailable):
            await upstream.open(post())
    assert requests == 1


async def test_a_slow_head_times_out_after_the_first_token_time() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        await reader.read()

    async with talking(talk, timeouts={"first_token_s": 0.1}) as upstream:
        with pytest.raises(Timeout):
            await upstream.open(post())
        assert _idle(upstream) == 0


async def test_a_slow_first_byte_counts_from_the_request_not_from_the_head() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        await asyncio.sleep(0.15)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await reader.read()

    async with talking(talk, timeouts={"first_token_s": 0.25}) as upstream:
        loop = asyncio.get_running_loop()
        start = loop.time()
        reply = await upstream.open(post())
        with pytest.raises(Timeout):
            await read(reply)
        assert 0.2 < loop.time() - start < 0.38


async def test_a_slow_reader_is_not_taken_for_a_slow_upstream() -> None:
    async with talking(answering(OK), timeouts={"first_token_s": 0.05}) as upstream:
        reply = await upstream.open(post())
        await asyncio.sleep(0.1)
        assert await read(reply) == b"ok"


async def test_a_body_without_length_that_never_begins_is_a_timeout_not_an_end() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await reader.read()

    async with talking(talk, timeouts={"first_token_s": 0.1}) as upstream:
        reply = await upstream.open(post())
        with pytest.raises(Timeout):
            await read(reply)


async def test_a_silent_reused_connection_is_a_timeout_and_not_repeated() -> None:
    heads: list[int] = []
    async with talking(stale(b"", 5, heads), timeouts={"first_token_s": 0.1}) as upstream:
        await read(await upstream.open(post()))
        with pytest.raises(Timeout):
            await upstream.open(post())
    assert heads == [2]


@pytest.mark.parametrize("limit", ["configured", "request"])
async def test_a_slow_answer_times_out_after_the_total_time(limit: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
        await reader.read()

    settings = {"timeouts": {"total_s": 0.15}} if limit == "configured" else {}
    async with talking(talk, **settings) as upstream:
        reply = await upstream.open(post(timeout_s=0.15 if limit == "request" else None))
        with pytest.raises(Timeout):
            await read(reply)
        assert _idle(upstream) == 0


async def test_a_whole_body_gives_the_connection_back() -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await take(reader)
            writer.write(OK)

    async with talking(talk) as upstream:
        for _ in range(3):
            await read(await upstream.open(post()))
        assert connections == 1


@pytest.mark.parametrize("end", ["release", "abort"])
async def test_an_unfinished_answer_never_reaches_the_next_request(end: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + b"first ")
        await asyncio.sleep(0.05)
        writer.write(OK)
        await reader.read()

    async with talking(talk) as upstream:
        for _ in range(2):
            chunks = (reply := await upstream.open(post())).chunks()
            assert (await anext(chunks)).startswith(b"first ")
            getattr(reply, end)()
            getattr(reply, end)()
            await chunks.aclose()  # type: ignore[attr-defined]
            assert _idle(upstream) == 0


def stale(end: bytes, wait_s: float, heads: list[int]) -> Talk:
    """Answers the first request of a first connection and loses its second one; later connections answer all."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(0)
        first = len(heads) == 1
        while True:
            await take(reader)
            heads[-1] += 1
            if first and heads[-1] == 2:
                await asyncio.sleep(wait_s)
                writer.write(end)
                return
            writer.write(OK)

    return talk


async def test_a_request_lost_on_a_stale_connection_is_sent_once_more() -> None:
    heads: list[int] = []
    async with talking(stale(b"", 0, heads)) as upstream:
        await read(await upstream.open(post()))
        assert await read(await upstream.open(post())) == b"ok"
    assert heads == [2, 1]


async def test_it_is_not_sent_again_once_a_byte_of_an_answer_came() -> None:
    heads: list[int] = []
    async with talking(stale(b"HTTP/1.1 20", 0, heads)) as upstream:
        await read(await upstream.open(post()))
        with pytest.raises((ProtocolError, Unavailable)):
            await upstream.open(post())
    assert heads == [2]


async def test_it_is_not_sent_again_when_the_upstream_had_time_to_work() -> None:
    heads: list[int] = []
    async with talking(stale(b"", 1.1, heads)) as upstream:
        await read(await upstream.open(post()))
        with pytest.raises(Unavailable):
            await upstream.open(post())
    assert heads == [2]


async def test_a_streamed_body_is_not_sent_again() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield BODY

    heads: list[int] = []
    async with talking(stale(b"", 0, heads)) as upstream:
        await read(await upstream.open(post()))
        with pytest.raises(Unavailable):
            await upstream.open(post(headers=(("Content-Length", str(len(BODY))),), body=body()))
    assert heads == [2]


async def test_cancelling_closes_the_connection() -> None:
    closed = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        await reader.read()
        closed.set()

    async with talking(talk) as upstream:
        task = asyncio.ensure_future(upstream.open(post()))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(closed.wait(), 2)


async def test_models_are_renamed_by_the_table() -> None:
    seen: list[Any] = []
    async with seen_by(seen) as upstream:
        upstream._settings = upstream._settings.model_copy(update={"models": {"m": "other"}})
        await read(await upstream.open(post()))
    assert seen[0][3] == b'{"model":"other","messages":[]}'


def _idle(upstream: OpenAIUpstream) -> int:
    connector = upstream._session.connector
    assert connector is not None
    return sum(len(pooled) for pooled in connector._conns.values())
