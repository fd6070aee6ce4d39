"""Bodies that are late: a client that sends slowly, or not at all, does not hold its request open for ever."""

from __future__ import annotations

import asyncio
import json
from time import monotonic

import pytest

from tests.proxy.fake_upstream import plain
from tests.proxy.rig import CODE_POLICY, DANUBE, WEATHER, Rig, rig, until
from tests.threats.raw import ASKED, CHAT, request, statuses, talk

ROUTES = ({"policies": [CODE_POLICY]}, {"name": "pass", "match": {"path_prefix": "/pass"}})
LATE = {"limits": {"body_s": 0.4}}


@pytest.mark.parametrize("target", [CHAT, f"/pass{CHAT}", "/v1/guard/check", "/v1/files"])
async def test_a_body_that_does_not_come_is_a_timeout(target: str) -> None:
    async with rig(*ROUTES, answers=[plain(DANUBE)], **LATE) as gate:
        began = monotonic()
        got = await talk(gate, request(target)[:-10], wait_s=15)
        assert statuses(got) == [408]
        assert json.loads(got.partition(b"\r\n\r\n")[2].split(b"\r\n")[1])["error"]["code"] == "request_timeout"
        assert monotonic() - began < 14
        await until(lambda: gate.app.gateway._active == 0)
        assert gate.metric("chunkguard_requests_total", status="4xx") == 1


async def test_a_dripping_body_is_no_way_to_stay() -> None:
    async with rig(*ROUTES, answers=[plain(DANUBE)], **LATE) as gate:
        whole = request()
        head, body = whole[: -len(ASKED)], [ASKED[at : at + 1] for at in range(len(ASKED))]
        got = await talk(gate, head, *body, pause_s=0.05, wait_s=15)
        assert statuses(got)[:1] == [408]
        assert gate.upstream.seen == []


async def test_a_streamed_body_may_take_long_but_not_pause_long() -> None:
    async with rig({}, answers=[plain(DANUBE)], **LATE) as gate:
        head = b"POST /v1/files HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        pieces = [b"3\r\nabc\r\n"] * 6
        assert statuses(await talk(gate, head, *pieces, b"0\r\n\r\n", pause_s=0.15)) == [200]
        assert gate.upstream.seen[0].body == b"abc" * 6
        assert statuses(await talk(gate, head, *pieces, wait_s=15)) == [408]


async def test_others_are_served_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(*ROUTES, answers=[plain(DANUBE)], limits={"body_s": 30}) as gate:
        waiting = [asyncio.create_task(talk(gate, request()[:-5], wait_s=1)) for _ in range(100)]
        await asyncio.sleep(0.2)
        assert (await gate.chat(WEATHER)).status == 200
        await asyncio.gather(*waiting)


async def open_heads(gate: Rig, *parts: bytes) -> float:
    """Seconds until a connection with these bytes is closed."""
    began = monotonic()
    await talk(gate, *parts, pause_s=0.2, wait_s=10)
    return monotonic() - began


@pytest.mark.parametrize("sent", [[], [b"POST "], [bytes([char]) for char in request()[:40]]], ids=["none", "part", "drip"])
async def test_a_head_that_does_not_come_ends_its_connection(sent: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.server.IDLE_S", 1.0)
    async with rig(*ROUTES, answers=[plain(DANUBE)]) as gate:
        assert await open_heads(gate, *sent) < 9
        assert (await gate.chat(WEATHER)).status == 200


async def test_a_second_head_that_does_not_come_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.server.IDLE_S", 1.0)
    async with rig(*ROUTES, answers=[plain(DANUBE)]) as gate:
        assert await open_heads(gate, request(), *[bytes([char]) for char in request()[:30]]) < 9
