"""Memory: what a worker holds is bounded, whatever clients and upstreams do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from tests.proxy.fake_upstream import DONE, SSE, Answer, Hang, Wait, event, plain
from tests.proxy.rig import DANUBE, WEATHER, rig, until

GUARDED: dict[str, Any] = {
    "name": "guarded",
    "policies": [{"extends": "code", "hold": {"default": "all", "on_trigger": "all"}}],
}
PREFIX: dict[str, Any] = {"name": "prefix", "match": {"path_prefix": "/prefix"}, "policies": ["rebuttal"]}
PLAIN: dict[str, Any] = {"name": "plain", "match": {"path_prefix": "/plain"}}
#: More than kernel and queues of one stream take, in chunks of 64 kB.
MUCH = 1 << 30


def letters(size: int) -> dict[str, Any]:
    return {"user": "x" * size}


@pytest.mark.parametrize("prefix", ["", "/plain"])
async def test_requests_that_do_not_fit_are_turned_away_before_they_are_read(prefix: str) -> None:
    more = asyncio.Event()
    slow = Answer([*plain(DANUBE).steps], before=[Wait(more)])
    async with rig(GUARDED, PLAIN, answers=[slow], limits={"held_bytes": 100_000}) as gate:
        first = asyncio.create_task(gate.chat(WEATHER, prefix=prefix, **letters(60_000)))
        await gate.upstream.began.wait()
        refused = await gate.chat(WEATHER, prefix=prefix, **letters(60_000))
        assert (refused.status, refused.doc["error"]["code"], refused.value("retry-after")) == (503, "overloaded", "1")
        small = asyncio.create_task(gate.chat(WEATHER, prefix=prefix))
        await until(lambda: len(gate.upstream.seen) == 2)
        more.set()
        assert {(await first).status, (await small).status} == {200}
        assert (await gate.chat(WEATHER, prefix=prefix, **letters(60_000))).status == 200
        await until(lambda: gate.app.gateway.room.held == 0)


async def test_a_request_that_is_larger_than_the_room_is_served_alone() -> None:
    async with rig(GUARDED, answers=[plain(DANUBE)], limits={"held_bytes": 1000}) as gate:
        assert (await gate.chat(WEATHER, **letters(5000))).status == 200


async def test_held_answers_count_until_they_have_left() -> None:
    more = asyncio.Event()
    long = Answer([*[event({"content": "word " * 2000})] * 10, Wait(more), event({}, finish="stop"), DONE], headers=SSE)
    async with rig(GUARDED, answers=[long], limits={"held_bytes": 90_000}) as gate:
        held = asyncio.create_task(gate.chat(WEATHER, stream=True))
        await until(lambda: gate.app.gateway.room.held > 100_000)
        assert (await gate.chat(WEATHER)).status == 503
        more.set()
        assert (await held).body == long.body
        assert gate.app.gateway.room.held == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_an_endless_answer_is_an_error_and_not_the_end_of_the_worker(stream: bool) -> None:
    chunk = event({"content": "word " * 10_000}) if stream else b" " * 50_000
    endless = Answer([*[chunk] * 100, Hang()], headers=SSE if stream else [("Content-Type", "application/json")])
    async with rig(GUARDED, answers=[endless], limits={"answer_bytes": 1_000_000, "holdout": 0}) as gate:
        got = await gate.chat(WEATHER, stream=stream)
        assert (got.status, got.doc["error"]["code"]) == (502, "upstream_protocol_error")
        assert "1000000" in got.doc["error"]["message"]
        await asyncio.wait_for(gate.upstream.gone.wait(), 5)
        assert gate.app.gateway.room.held == 0


async def test_a_body_over_its_limit_is_refused_by_its_length_alone() -> None:
    async with rig(GUARDED, answers=[plain(DANUBE)], limits={"body_bytes": 1000}) as gate:
        reader, writer = await asyncio.open_connection(*gate.app.address)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
        assert b"413" in head
        writer.close()


@pytest.mark.parametrize("prefix", ["/prefix", "/plain"])
async def test_a_client_that_does_not_read_stops_the_upstream(prefix: str) -> None:
    sent = [0]
    async with rig(PREFIX, PLAIN) as gate:
        gate.upstream.respond = lambda seen: plain(DANUBE)
        server = web.Server(lambda request: pour(request, sent))
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        upstream: Any = gate.app.gateway.snapshot.upstreams["main"]
        moved = type(upstream)("main", upstream._settings.model_copy(update={"url": f"http://127.0.0.1:{port}/v1"}))
        upstream.open = moved.open
        reader, writer = await asyncio.open_connection(*gate.app.address, limit=4096)
        body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"Which river runs through Vienna?"}]}'
        head = f"POST {prefix}/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await reader.readuntil(b"\r\n")
        await settled(sent)
        # Sockets and queues on the way take some megabytes; then nothing moves until the client reads.
        stood = sent[0]
        assert 0 < stood < 200 << 20
        writer.close()
        await moved.close()
        await runner.cleanup()


async def pour(request: web.BaseRequest, sent: list[int]) -> web.StreamResponse:
    await request.read()
    response = web.StreamResponse(headers=dict(SSE))
    await response.prepare(request)
    chunk = event({"content": "word " * 13_000})
    while sent[0] < MUCH:
        await response.write(chunk)
        sent[0] += len(chunk)
    return response


async def settled(sent: list[int]) -> None:
    """Wait until nothing was sent for a while."""
    before = -1
    while before != sent[0] or not before:
        before = sent[0]
        await asyncio.sleep(0.3)
