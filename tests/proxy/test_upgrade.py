"""WebSocket sessions through the proxy: real clients, and bytes compared with those of a direct connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.proxy.rig import CODE_POLICY, PATIENCE_S, Rig, rig, until

ASK = (
    b"GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-client\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
HELLO = b"HTTP/1.1 101 Switching Protocols\r\nX-Odd:  kept \r\nupgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class Sessions:
    """A WebSocket server that answers each message in capitals, and remembers the heads it got."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []
        self.ended = asyncio.Event()
        self.port = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        if request.path.endswith("/refused"):
            return web.json_response({"error": {"message": "no"}}, status=401, headers={"x-request-id": "r1"})
        socket = web.WebSocketResponse(protocols=["realtime"])
        await socket.prepare(request)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                await socket.send_str(message.data.upper())
            else:
                await socket.send_bytes(message.data[::-1])
            if message.data == "bye":
                await socket.close(code=4001, message=b"enough")
        self.ended.set()
        return socket


@asynccontextmanager
async def sessions(*routes: dict[str, Any], **main: Any) -> AsyncIterator[tuple[Rig, Sessions]]:
    server = Sessions()
    runner = web.ServerRunner(web.Server(server.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    own = {"kind": "openai", "url": f"http://127.0.0.1:{server.port}/v1", **main.pop("own", {})}
    try:
        async with rig(*(routes or ({},)), upstreams={"ws": own, **main.pop("upstreams", {})}, **main) as gate:
            yield gate, server
    finally:
        await runner.cleanup()


WS: dict[str, Any] = {"upstream": "ws"}


async def test_a_session_speaks_both_ways_until_it_is_closed() -> None:
    async with sessions(WS) as (gate, server):
        url = f"{gate.origin}/v1/realtime?model=gpt-realtime"
        async with gate.session.ws_connect(
            url, protocols=["realtime"], headers={"Authorization": "Bearer sk-client"}
        ) as socket:
            assert socket.protocol == "realtime"
            for text in ("hello", "é" * 70_000, "again"):
                await socket.send_str(text)
                assert await socket.receive_str() == text.upper()
            big = bytes(range(256)) * 8192
            await socket.send_bytes(big)
            assert await socket.receive_bytes() == big[::-1]
            await socket.send_str("bye")
            assert await socket.receive_str() == "BYE"
            closing = await socket.receive()
            assert (closing.type, closing.data, closing.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "enough")
        (asked,) = server.requests
        assert asked.raw_path == "/v1/realtime?model=gpt-realtime"
        assert asked.headers["Authorization"] == "Bearer sk-client"
        assert asked.headers["Host"] == f"127.0.0.1:{server.port}"
        await until(lambda: gate.metric("chunkguard_requests_total", route="r") == 1)


async def test_a_client_that_leaves_ends_the_session_of_the_upstream() -> None:
    async with sessions(WS) as (gate, server):
        socket = await gate.session.ws_connect(f"{gate.origin}/v1/realtime")
        await socket.send_str("hello")
        assert await socket.receive_str() == "HELLO"
        socket._response.connection.transport.abort()  # type: ignore[union-attr]
        await asyncio.wait_for(server.ended.wait(), PATIENCE_S)


async def test_a_refusal_comes_back_as_it_is() -> None:
    async with sessions(WS) as (gate, _):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await gate.session.ws_connect(f"{gate.origin}/v1/realtime/refused")
        assert (caught.value.status, caught.value.headers["x-request-id"]) == (401, "r1")  # type: ignore[index]
        again = await gate.fetch("GET", "/v1/realtime/refused")
        assert again.status == 401


async def test_a_configured_key_replaces_the_clients_wherever_it_hides() -> None:
    rules = {"allow": ["GET /v1/realtime"]}
    async with sessions(WS, own={"api_key": "sk-operator"}, pass_through=rules) as (gate, server):
        protocols = ["realtime", "openai-insecure-api-key.sk-client", "openai-project.p1"]
        async with gate.session.ws_connect(f"{gate.origin}/v1/realtime", protocols=protocols) as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "HELLO"
        (asked,) = server.requests
        assert asked.headers["Authorization"] == "Bearer sk-operator"
        assert asked.headers["Sec-WebSocket-Protocol"] == "realtime"
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await gate.session.ws_connect(f"{gate.origin}/v1/other")
        assert caught.value.status == 404


async def test_what_a_route_guards_cannot_be_reached_by_an_upgrade() -> None:
    guarded = {"name": "g", "match": {"path_prefix": "/g"}, "policies": [CODE_POLICY], **WS}
    async with sessions(WS, guarded) as (gate, server):
        for path in (
            "/v1/responses",
            "/v1/chat/completions",
            "//v1/responses",
            "/v1/RESPONSES",
            "/openai/deployments/x/responses",
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await gate.session.ws_connect(f"{gate.origin}/g{path}")
            assert caught.value.status == 404, path
        assert server.requests == []
        async with gate.session.ws_connect(f"{gate.origin}/g/v1/realtime") as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "HELLO"
        async with gate.session.ws_connect(f"{gate.origin}/v1/responses") as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "HELLO"


async def test_a_guard_that_asks_for_a_model_guards_every_session_under_its_prefix() -> None:
    modelled = {"name": "m", "match": {"path_prefix": "/g", "model": "gpt-*"}, "policies": [CODE_POLICY], **WS}
    async with sessions(WS, modelled) as (gate, server):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await gate.session.ws_connect(f"{gate.origin}/g/v1/responses")
        assert (caught.value.status, server.requests) == (404, [])
        for path in ("/v1/responses", "/g/v1/realtime"):
            async with gate.session.ws_connect(f"{gate.origin}{path}") as socket:
                await socket.send_str("hello")
                assert await socket.receive_str() == "HELLO"


@pytest.mark.parametrize("kind", ["fallback", "weighted"])
async def test_a_session_is_the_first_upstreams_of_a_group(kind: str) -> None:
    other = {"kind": "openai", "url": "http://127.0.0.1:9/v1", "api_key": "sk-2"}
    members: Any = {"ws": 1, "other": 99} if kind == "weighted" else ["ws", "other"]
    group = {"kind": kind, "upstreams": members}
    rules = {"allow": ["GET /v1/realtime"]}
    async with (
        sessions({"upstream": "g"}, upstreams={"other": other, "g": group}, pass_through=rules) as (gate, _),
        gate.session.ws_connect(f"{gate.origin}/v1/realtime") as socket,
    ):
        await socket.send_str("hello")
        assert await socket.receive_str() == "HELLO"


async def test_retries_and_a_breaker_stand_in_no_sessions_way() -> None:
    own = {"retries": {"times": 2}, "breaker": {"failures": 1}, "hedge_after_s": 0.1}
    async with sessions(WS, own=own) as (gate, _), gate.session.ws_connect(f"{gate.origin}/v1/realtime") as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "HELLO"


async def test_a_key_with_limits_opens_no_session() -> None:
    """Nobody counts the tokens of a session, so it would have no end."""
    keys = {"free": "sk-free", "limited": {"key": "sk-limited", "limits": {"tokens_per_day": 10}}}
    async with sessions(WS, keys=keys) as (gate, server):
        for key, status in (("sk-limited", 403), ("sk-other", 401)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await gate.session.ws_connect(f"{gate.origin}/v1/realtime", headers={"Authorization": f"Bearer {key}"})
            assert caught.value.status == status
        assert server.requests == []
        async with gate.session.ws_connect(f"{gate.origin}/v1/realtime", headers={"Authorization": "Bearer sk-free"}) as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "HELLO"
        assert "Authorization" not in server.requests[0].headers


async def test_an_upstream_that_speaks_http_only_is_no_place_for_a_session() -> None:
    other = {"kind": "litellm", "models": {"m": "openai/m"}}
    rules = {"allow": ["GET /v1/realtime"]}
    async with sessions({"upstream": "other"}, upstreams={"other": other}, pass_through=rules) as (gate, _):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await gate.session.ws_connect(f"{gate.origin}/v1/realtime")
        assert caught.value.status == 404


async def test_an_upstream_that_is_gone_is_told_as_an_error() -> None:
    async with sessions(WS, own={"url": "http://127.0.0.1:9/v1"}) as (gate, _):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await gate.session.ws_connect(f"{gate.origin}/v1/realtime")
        assert caught.value.status == 502


# ---- bytes


@asynccontextmanager
async def bare(serve: Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    ended = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(await reader.readuntil(b"\r\n\r\n"), reader, writer)
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.wait_for(ended.wait(), PATIENCE_S)


async def test_every_byte_passes_as_it_is() -> None:
    """Frames are not even looked at: what is no WebSocket at all passes, too."""
    heads: list[bytes] = []

    async def serve(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(HELLO + b"\x00early")
        assert await reader.readexactly(5) == b"\xff\x00abc"
        writer.write(b"\r\n\r\nHTTP/1.1 200 OK\r\n" * 20_000)

    async with bare(serve) as port, rig({}, main={"url": f"http://127.0.0.1:{port}/v1"}) as gate:
        host, own = gate.app.address
        reader, writer = await asyncio.open_connection(host, own)
        writer.write(ASK + b"\xff\x00")
        await asyncio.sleep(0.05)
        writer.write(b"abc")
        got = await asyncio.wait_for(reader.read(), PATIENCE_S)
        assert got == HELLO + b"\x00early" + b"\r\n\r\nHTTP/1.1 200 OK\r\n" * 20_000
        writer.close()
        await writer.wait_closed()
        (head,) = heads
        assert head.startswith(b"GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: 127.0.0.1:")
        assert b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==" in head


async def test_junk_for_a_head_is_a_protocol_error() -> None:
    async def serve(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-x\r\n\r\n")

    async with bare(serve) as port, rig({}, main={"url": f"http://127.0.0.1:{port}/v1"}) as gate:
        host, own = gate.app.address
        reader, writer = await asyncio.open_connection(host, own)
        writer.write(ASK)
        assert (await reader.readline()).split()[1] == b"502"
        writer.close()
        await writer.wait_closed()


async def test_a_session_holds_its_snapshot_and_ends_with_the_gateway() -> None:
    async with sessions(WS) as (gate, server):
        socket = await gate.session.ws_connect(f"{gate.origin}/v1/realtime")
        await until(lambda: len(server.requests) == 1)
        assert gate.app.gateway._under_way
    await asyncio.wait_for(server.ended.wait(), PATIENCE_S)
    await socket.close()
