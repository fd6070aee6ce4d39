"""Requests that no policy touches, as bytes on both sides of the gateway."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator

import brotli
import pytest
import zstandard

from tests.proxy.fake_upstream import JSON, Answer, Hang, Headers, Reset, Wait, failing, plain
from tests.proxy.rig import Raw, Rig, rig

TEXT = "Zwölf Boxkämpfer jagen Viktor 🥊 quer über den Sylter Deich. ".encode() * 40
CODINGS = {"gzip": gzip.compress(TEXT), "br": brotli.compress(TEXT), "zstd": zstandard.compress(TEXT)}
#: Two routes: nothing touches the first; all policies would touch chat completions of the other.
ROUTES = ({}, {"name": "guarded", "match": {"path_prefix": "/guarded"}, "policies": ["code", "rebuttal"]})


@pytest.fixture
async def gate() -> AsyncIterator[Rig]:
    async with rig(*ROUTES, answers=[plain("ok")]) as running:
        yield running


async def both(gate: Rig, method: str, target: str, headers: Headers, body: bytes | None) -> tuple[Raw, Raw]:
    """The answers past the gateway and through it; what the upstream saw of the two must be equal already."""
    gate.upstream.seen.clear()
    direct = await gate.direct(method, target, headers, body)
    through = await gate.fetch(method, target, headers, body)
    first, second = gate.upstream.seen
    assert (second.method, second.target, second.body) == (first.method, first.target, first.body)
    assert sorted((n.lower(), v) for n, v in second.headers if n.lower() != "host") == sorted(
        (n.lower(), v) for n, v in first.headers if n.lower() != "host"
    )
    return direct, through


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/models"),
        ("GET", "/v1/models/gpt-4o?x=1&x=2&y=%2F%20+&empty=&bare"),
        ("GET", "/v1/files?after=a%2Fb&q=%C3%A9%F0%9F%A5%8A&s=;,:@!$'()*"),
        ("DELETE", "/v1/files/file-1"),
        ("POST", "/v1/embeddings"),
        ("PUT", "/v1/some/where%20else"),
        ("PATCH", "/v1/x?a?b"),
        ("OPTIONS", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions?limit=2"),
        ("GET", "/other/place"),
        ("GET", "/"),
    ],
)
async def test_method_path_and_query_arrive_exactly(gate: Rig, method: str, target: str) -> None:
    body = b'{"input": "x"}' if method in ("POST", "PUT", "PATCH") else None
    direct, through = await both(gate, method, target, [("Authorization", "Bearer sk-x"), ("X-A", "1")], body)
    assert through.message == direct.message


async def test_headers_arrive_in_both_directions_with_their_duplicates(gate: Rig) -> None:
    gate.upstream.set(
        Answer([b"{}"], headers=[*JSON, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Rate", "7"), ("Vary", "A, B")])
    )
    sent = [("X-A", "1"), ("X-A", "2"), ("Accept", "text/event-stream"), ("Cookie", "c=1; d=2"), ("X-Odd", "caf\u00e9 \t x")]
    direct, through = await both(gate, "GET", "/v1/models", sent, None)
    assert through.message == direct.message
    assert [value for name, value in through.headers if name.lower() == "set-cookie"] == ["a=1", "b=2"]


async def test_hop_by_hop_headers_stay_on_their_connection(gate: Rig) -> None:
    gate.upstream.set(Answer([b"{}"], headers=[*JSON, ("Connection", "X-Mine"), ("X-Mine", "1"), ("Keep-Alive", "timeout=5")]))
    answer = await gate.fetch(
        "GET", "/v1/models", [("Connection", "X-Own"), ("X-Own", "1"), ("TE", "trailers"), ("X-Far", "1")]
    )
    (seen,) = gate.upstream.seen
    assert [seen.values(name) for name in ("x-own", "te", "x-far")] == [[], [], ["1"]]
    assert [answer.value(name) for name in ("x-mine", "keep-alive")] == [None, None]


async def test_nothing_of_ours_is_added_and_nothing_of_ours_is_let_in(gate: Rig) -> None:
    answer = await gate.fetch("POST", "/v1/chat/completions", [("X-ChunkGuard-Verdict", "clear"), ("x-other", "1")], b"no json")
    (seen,) = gate.upstream.seen
    assert seen.values("x-chunkguard-verdict") == []
    assert seen.values("x-other") == ["1"]
    assert answer.own == {}


@pytest.mark.parametrize("coding", CODINGS)
async def test_compressed_bodies_stay_compressed_in_both_directions(gate: Rig, coding: str) -> None:
    gate.upstream.set(Answer([CODINGS[coding]], headers=[*JSON, ("Content-Encoding", coding)], length=True))
    headers = [("Content-Encoding", coding), ("Accept-Encoding", coding), ("Content-Type", "application/json")]
    direct, through = await both(gate, "POST", "/v1/embeddings", headers, CODINGS[coding])
    assert through.message == direct.message
    assert through.body == CODINGS[coding]


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
async def test_bodies_of_any_size_come_back_as_sent(gate: Rig, size: int, length: bool) -> None:
    gate.upstream.set(Answer([b"x" * size] if size else [], length=length))
    direct, through = await both(gate, "GET", "/v1/files/1/content", [], None)
    assert through.without("content-length") == direct.without("content-length")
    if length:
        assert through.value("content-length") == str(size)


@pytest.mark.parametrize("status", [201, 204, 301, 304, 307, 400, 401, 429, 500, 503, 529])
async def test_any_status_passes_and_redirects_are_not_followed(gate: Rig, status: int) -> None:
    headers = [*JSON, ("Location", "http://127.0.0.1:9/elsewhere"), ("Retry-After", "3")]
    gate.upstream.set(Answer([] if status in (204, 304) else [b'{"a":1}'], status=status, headers=headers))
    direct, through = await both(gate, "GET", "/v1/models", [], None)
    assert through.message == direct.message


async def test_a_head_request_keeps_the_length_of_what_it_does_not_get(gate: Rig) -> None:
    gate.upstream.set(Answer([], headers=[*JSON, ("Content-Length", "1234")]))
    direct, through = await both(gate, "HEAD", "/v1/models", [], None)
    assert through.message == direct.message
    assert through.value("content-length") == "1234"


async def test_a_body_is_streamed_up_while_the_client_still_sends(gate: Rig) -> None:
    arrived = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await arrived.wait()
        yield b"second"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = b""
        while b"first" not in got:
            got += await reader.read(1000)
        arrived.set()
        while not got.endswith(b"0\r\n\r\n"):
            got += await reader.read(1000)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with rig(main={"url": url}) as gate:
        answer = await gate.fetch("POST", "/v1/files", [("Content-Type", "text/plain")], body())
    server.close()
    assert (answer.status, answer.body) == (200, b"ok")


async def test_a_body_is_streamed_down_while_the_upstream_still_sends(gate: Rig) -> None:
    more = asyncio.Event()
    gate.upstream.set(Answer([b"first", Wait(more), b"second"], headers=[("Content-Type", "text/plain")]))
    async with gate.session.get(f"{gate.origin}/v1/files") as response:
        assert await response.content.readany() == b"first"
        more.set()
        assert await response.content.read() == b"second"


@pytest.mark.parametrize("steps", [[b"part", Reset()], [b"x" * 2_000_000, Reset()]])
async def test_a_broken_answer_breaks_off_for_the_client_too(gate: Rig, steps: list[bytes | Reset]) -> None:
    gate.upstream.set(Answer(steps))
    assert (await gate.fetch("GET", "/v1/files")).broken


async def test_a_short_answer_that_breaks_off_before_anything_was_sent_is_an_error(gate: Rig) -> None:
    gate.upstream.set(Answer([b"part", Reset()], headers=[*JSON, ("Content-Length", "100")]))
    answer = await gate.fetch("GET", "/v1/files")
    assert (answer.status, answer.doc["error"]["code"]) == (502, "upstream_protocol_error")


async def test_a_client_that_leaves_ends_the_upstream_call(gate: Rig) -> None:
    gate.upstream.set(Answer([b"first", Hang()], headers=[("Content-Type", "text/plain")]))
    async with gate.session.get(f"{gate.origin}/v1/files") as response:
        await response.content.readany()
        response.close()
    async with asyncio.timeout(10):
        await gate.upstream.gone.wait()


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_over_the_limit_is_refused(chunked: bool) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 1000

    async with rig(answers=[plain("ok")], limits={"body_bytes": 10_000}) as gate:
        answer = await gate.fetch("POST", "/v1/files", [], body() if chunked else b"x" * 30_000)
    assert (answer.status, answer.doc["error"]["code"]) == (413, "request_too_large")


async def test_a_dead_upstream_is_counted() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with rig(main={"url": url}) as gate:
        answer = await gate.fetch("GET", "/v1/models")
        assert (answer.status, answer.doc["error"]["code"]) == (502, "upstream_unavailable")
        assert gate.metric("chunkguard_requests_total", endpoint="models", status="5xx") == 1


async def test_the_guarded_endpoint_of_a_route_without_policies_is_not_read(gate: Rig) -> None:
    """What no policy touches need not even be JSON; where a policy touches it, it must be."""
    gate.upstream.set(failing(400))
    assert (await gate.fetch("POST", "/v1/chat/completions", [], b"no json")).doc["error"]["code"] == "boom"
    refused = await gate.fetch("POST", "/guarded/v1/chat/completions", [], b"no json")
    assert refused.doc["error"]["code"] == "invalid_json"


async def test_a_configured_key_replaces_the_clients_credentials_and_opens_only_what_is_allowed() -> None:
    async with rig(answers=[plain("ok")], main={"api_key": "sk-own"}) as gate:
        credentials = [("Authorization", "Bearer sk-client"), ("X-Api-Key", "k"), ("Cookie", "a=b"), ("OpenAI-Project", "p")]
        assert (await gate.fetch("GET", "/v1/models", credentials)).status == 200
        (seen,) = gate.upstream.seen
        assert seen.values("authorization") == ["Bearer sk-own"]
        assert [seen.values(name) for name in ("x-api-key", "cookie", "openai-project")] == [[], [], []]
        for method, target in (("GET", "/v1/files"), ("DELETE", "/v1/models/x"), ("GET", "/v1/models/../files")):
            assert (await gate.fetch(method, target, credentials)).status == 404
        assert len(gate.upstream.seen) == 1
