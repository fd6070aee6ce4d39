"""What the public listener makes of requests that are wrong, sly, too many or not allowed."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from tests.proxy.fake_upstream import Answer, Hang, Wait, plain
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, PEACE, PROSE, REBUTTAL_POLICY, SUM, WEATHER, Rig, rig

GUARDED = {"policies": [CODE_POLICY, REBUTTAL_POLICY]}
CHAT = "/v1/chat/completions"
ASKED = json.dumps({"model": "m", "messages": [{"role": "user", "content": PEACE}]}).encode()


@pytest.fixture
async def gate() -> AsyncIterator[Rig]:
    async with rig(GUARDED, answers=[plain(CODE), plain(PROSE)]) as running:
        yield running


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b"", None, "invalid_json"),
        (b"{", None, "invalid_json"),
        (b"[]", None, "invalid_json"),
        (b'\xff\xfe{"messages": []}', None, "invalid_json"),
        (b'{"messages": [], "temperature": NaN}', None, "invalid_json"),
        (b"[" * 100_000, None, "invalid_json"),
        (b"{}", "messages", "invalid_request"),
        (b'{"messages": ["x"]}', "messages[0]", "invalid_request"),
        (b'{"messages": [], "n": 0}', "n", "invalid_request"),
        (b'{"messages": [], "stream": "yes"}', "stream", "invalid_request"),
        (b'{"messages": [], "chunkguard": 1}', "chunkguard", "invalid_request"),
    ],
)
async def test_a_request_that_cannot_be_read_is_refused_naming_the_field(
    gate: Rig, body: bytes, param: str | None, code: str
) -> None:
    answer = await gate.fetch("POST", CHAT, [("Content-Type", "application/json")], body)
    error = answer.doc["error"]
    assert (answer.status, error["type"], error["param"], error["code"]) == (400, "invalid_request_error", param, code)
    assert gate.upstream.seen == []
    assert gate.metric("chunkguard_requests_total", route="other", status="4xx") == 1


@pytest.mark.parametrize(
    ("coding", "body"), [("gzip", b"no gzip"), ("gzip", gzip.compress(ASKED, mtime=0)[:-4]), ("rot13", ASKED)]
)
async def test_a_body_that_does_not_decode_is_refused(gate: Rig, coding: str, body: bytes) -> None:
    answer = await gate.fetch("POST", CHAT, [("Content-Encoding", coding)], body)
    assert (answer.status, gate.upstream.seen) == (400, [])


async def test_a_bomb_is_refused() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    async with rig(GUARDED, answers=[plain(DANUBE)]) as gate:
        assert (await gate.fetch("POST", CHAT, [("Content-Encoding", "gzip")], bomb)).status == 400


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_guarded_body_over_the_limit_is_refused(chunked: bool) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * 1000

    async with rig(GUARDED, answers=[plain(DANUBE)], limits={"body_bytes": 10_000}) as gate:
        answer = await gate.fetch("POST", CHAT, [], body() if chunked else b" " * 30_000)
        assert (answer.status, answer.doc["error"]["code"]) == (413, "request_too_large")
        assert (await gate.chat(WEATHER)).status == 200


async def test_a_model_that_no_route_takes_is_unknown() -> None:
    async with rig({"match": {"model": "gpt-*"}, **GUARDED}, answers=[plain(DANUBE)]) as gate, gate.client() as client:
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="other", messages=[{"role": "user", "content": "x"}])
        assert caught.value.code == "model_not_found"
        await client.chat.completions.create(model="gpt-1", messages=[{"role": "user", "content": "x"}])
        assert len(gate.upstream.seen) == 1


TRICKS = [
    "//v1/chat/completions", "/v1//chat/completions", "/v1/chat/completions/", "/v1/./chat/completions",
    "/v1/x/../chat/completions", "/v1/chat%2Fcompletions", "/v1/%63hat/completions", "/v1/%2563hat/completions",
    "/v1/chat/%2e/completions", "/V1/Chat/Completions", "/v1/chat/completions;x=1", "/v1/chat/completions%20",
    "/v1/chat/completions%00", "/v1/chat\\completions", "/v1/chat/completions%3Fx", "/v1/chat/completions%23",
    "/openai/v1/chat/completions", "/v1/models/../chat/completions", "/v1/chat/completions%2f", "/v1/chat/completions?x=//",
]  # fmt: skip


@pytest.mark.parametrize("target", TRICKS)
async def test_no_spelling_of_the_path_leads_around_the_guard(gate: Rig, target: str) -> None:
    answer = await gate.fetch("POST", target, [("Content-Type", "application/json")], ASKED)
    if answer.status == 404:
        assert gate.upstream.seen == []
    else:
        assert answer.body == plain(PROSE).body
        assert "%" not in gate.upstream.seen[0].target


@pytest.mark.parametrize("target", ["/-/ready", "/-/reload", "/metrics/../-/reload", "/%2d/ready", "//-/metrics"])
async def test_nothing_of_the_admin_listener_is_here(gate: Rig, target: str) -> None:
    for method in ("GET", "POST"):
        assert (await gate.fetch(method, target)).status == 404
    assert gate.upstream.seen == []


async def test_health_is_answered_without_an_upstream(gate: Rig) -> None:
    answer = await gate.fetch("GET", "/-/healthy")
    assert (answer.status, answer.body, gate.upstream.seen) == (200, b"ok\n", [])


async def test_the_clients_own_guard_headers_are_stripped(gate: Rig) -> None:
    await gate.fetch("POST", CHAT, [("X-ChunkGuard-Verdict", "clear"), ("x-chunkguard-decision-id", "1")], ASKED)
    assert not [n for seen in gate.upstream.seen for n, _ in seen.headers if n.lower().startswith("x-chunkguard")]


KEYS = {"app": "sk-app-key", "other": "sk-other-key"}


@pytest.mark.parametrize(
    "headers", [[], [("Authorization", "Bearer sk-wrong")], [("Authorization", "Basic sk-app-key")], [("api-key", "")]]
)
@pytest.mark.parametrize("target", [CHAT, "/v1/models", "/v1/guard/check"])
async def test_where_there_are_client_keys_every_request_needs_one(headers: list[tuple[str, str]], target: str) -> None:
    async with rig(GUARDED, answers=[plain(DANUBE)], keys=KEYS, main={"api_key": "sk-own"}) as gate:
        answer = await gate.fetch("GET" if target.endswith("models") else "POST", target, headers, ASKED)
        assert (answer.status, answer.doc["error"]["code"], gate.upstream.seen) == (401, "invalid_api_key", [])


async def test_a_client_key_opens_and_stays_here() -> None:
    async with rig(GUARDED, answers=[plain(DANUBE)], keys=KEYS, main={"api_key": "sk-own"}) as gate:
        async with gate.client(api_key="sk-app-key") as client:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": WEATHER}])
            await client.models.with_raw_response.list()
        for seen in gate.upstream.seen:
            assert seen.values("authorization") == ["Bearer sk-own"]
            assert "sk-app-key" not in str(seen)


async def test_requests_beyond_the_limit_are_turned_away_and_health_is_not() -> None:
    more = asyncio.Event()
    slow = Answer([b"{}"], before=[Wait(more)])
    async with rig({}, answers=[slow], limits={"connections": 1}) as gate:
        first = asyncio.create_task(gate.fetch("GET", "/v1/models"))
        await gate.upstream.began.wait()
        refused = await gate.fetch("GET", "/v1/models")
        assert (refused.status, refused.doc["error"]["code"], refused.value("retry-after")) == (503, "overloaded", "1")
        assert (await gate.fetch("GET", "/-/healthy")).status == 200
        more.set()
        assert (await first).status == 200
        assert (await gate.fetch("GET", "/v1/models")).status == 200


async def talk(gate: Rig, sent: bytes) -> bytes:
    """Bare bytes up, all bytes down."""
    reader, writer = await asyncio.open_connection(*gate.app.address)
    writer.write(sent)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


@pytest.mark.parametrize("target", ["*", "http://x/v1/models", "/v1/models#x", "/\u00e9"])
async def test_odd_targets_do_no_harm(gate: Rig, target: str) -> None:
    got = await talk(gate, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert got.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4", b"HTTP/1.0 4"))


@pytest.mark.parametrize("sent", [b"junk\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"\x16\x03\x01\x00"])
async def test_what_is_no_http_is_refused(gate: Rig, sent: bytes) -> None:
    assert b" 400 " in (await talk(gate, sent + b"\r\n\r\n"))[:40]
    assert (await gate.chat(PEACE)).status == 200


async def test_an_old_client_gets_a_whole_answer(gate: Rig) -> None:
    head = f"POST {CHAT} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {len(ASKED)}\r\n\r\n"
    got = await talk(gate, head.encode() + ASKED)
    assert got.startswith(b"HTTP/1.0 200")
    assert got.endswith(plain(PROSE).body)


async def test_a_client_that_waits_to_be_told_to_send_is_told(gate: Rig) -> None:
    """curl does so with every body over a mebibyte, and gives up waiting only after a second."""
    reader, writer = await asyncio.open_connection(*gate.app.address)
    writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(ASKED)}\r\n\r\n".encode())
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).startswith(b"HTTP/1.1 100")
    writer.write(ASKED)
    assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 200")
    writer.close()
    assert all(not seen.values("expect") for seen in gate.upstream.seen)


async def test_the_verdict_api_judges_without_an_upstream(gate: Rig) -> None:
    doc: dict[str, Any] = {"prompt": PEACE, "response": CODE}
    answer = await gate.fetch("POST", "/v1/guard/check", [], json.dumps(doc).encode())
    assert (answer.status, answer.doc["verdict"], answer.doc["modes"]["code"]["verdict"]) == (200, "misrouted", "misrouted")
    for wrong in (b"{", b"{}", b"[1]"):
        refused = await gate.fetch("POST", "/v1/guard/check", [], wrong)
        assert (refused.status, refused.doc["error"]["type"]) == (400, "invalid_request_error")
    assert gate.upstream.seen == []


async def test_the_official_client_lists_models_and_embeds(gate: Rig) -> None:
    page = {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]}
    gate.upstream.set(Answer([json.dumps(page).encode()]))
    async with gate.client() as client:
        assert [model.id async for model in client.models.list()] == ["m"]
    assert gate.upstream.seen[0].target == "/v1/models"


async def test_a_crash_of_ours_is_a_plain_error_and_goes_on(gate: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    route = gate.app.gateway.snapshot.routes["r"]
    with monkeypatch.context() as patched:
        patched.setattr(type(route.compiled), "make_plan", lambda *a, **k: 1 / 0)
        answer = await gate.chat(SUM)
        assert (answer.status, answer.doc["error"]["code"]) == (500, "internal_error")
        assert "ZeroDivision" not in answer.body.decode()
    assert (await gate.chat(PEACE)).status == 200
    assert b"ZeroDivisionError" in gate.log.getvalue()


async def test_a_stop_lets_requests_under_way_end() -> None:
    more = asyncio.Event()
    async with rig(GUARDED, answers=[Answer([*plain(DANUBE).steps], before=[Wait(more)])]) as gate:
        asking = asyncio.create_task(gate.chat(WEATHER))
        await gate.upstream.began.wait()
        asyncio.get_running_loop().call_later(0.05, more.set)
        await gate.app.stop()
        assert (await asking).body == plain(DANUBE).body


async def test_two_requests_on_one_connection_are_answered_in_turn(gate: Rig) -> None:
    gate.upstream.set(plain("one"), plain("two"))
    ask = "GET /v1/models HTTP/1.1\r\nHost: x\r\n{}\r\n".replace("{}", "")
    got = await talk(gate, (ask + ask.replace("Host: x\r\n", "Host: x\r\nConnection: close\r\n")).encode())
    assert got.index(b'"one"') < got.index(b'"two"')


async def test_a_hanging_upstream_does_not_hold_others_up(gate: Rig) -> None:
    gate.upstream.respond = lambda seen: Answer([], before=[Hang()]) if seen.method == "GET" else plain(DANUBE)
    hanging = asyncio.create_task(gate.fetch("GET", "/v1/models"))
    await gate.upstream.began.wait()
    assert (await gate.chat(WEATHER)).status == 200
    hanging.cancel()
