"""What clients and upstreams write reaches no log line and no metric label, however they write it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.proxy.fake_upstream import Answer, Junk, Seen, failing, plain
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, PEACE, Rig, rig
from tests.threats.raw import request, talk

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK = "PLANTED"
LINE = f'{MARK}\n{{"level":"info","event":"decision","decision_id":"{MARK}"}}\r\n\x1b[31m{MARK}\u2028${{jndi:ldap://x}}%n%s'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Rig]:
    def respond(seen: Seen) -> Answer:
        if b"boom" in seen.body:
            return failing(500, LINE)
        if b"junk" in seen.body:
            return Answer(before=[Junk(b"HTTP/1.1 200 " + LINE.encode() + b"\r\nX-" + LINE.encode() + b"\r\n\r\n")])
        return plain(CODE if b"Elucidate" in seen.body else f"{DANUBE} {LINE}", id=LINE, model=LINE)

    routes = ({"policies": [CODE_POLICY]}, {"name": "pass", "match": {"path_prefix": "/pass"}})
    async with rig(*routes) as running:
        running.upstream.respond = respond
        yield running


async def test_nothing_that_anybody_writes_is_in_the_log(gate: Rig) -> None:
    before = len(gate.records)
    for prompt in (LINE, f"boom {LINE}", f"junk {LINE}", f"{PEACE} {LINE}"):
        for prefix in ("", "/pass"):
            await gate.chat(
                prompt, prefix=prefix, model=LINE, user=LINE, headers=[("X-Request-Id", MARK), ("User-Agent", MARK)]
            )
    await talk(gate, request(f"/v1/{MARK}", f"X-{MARK}: {MARK}"), f"{MARK} nonsense\r\n\r\n".encode(), wait_s=0.3)
    await talk(gate, f"GET /{MARK}\r\n\r\n".encode(), wait_s=0.3)
    lines = gate.log.getvalue().splitlines()
    assert MARK.encode() not in gate.log.getvalue()
    assert b"\x1b" not in gate.log.getvalue()
    decisions = [line for line in map(json.loads, lines) if line["event"] == "decision"]
    assert len(decisions) == len(gate.records) >= before + 4


def series(gate: Rig) -> set[str]:
    lines = gate.app.metrics.exposition().decode().splitlines()
    return {line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")}


async def test_labels_come_from_closed_sets(gate: Rig) -> None:
    """Hundreds of models, paths, methods, hosts and tools make no series that a few of them did not make."""

    async def all_kinds(number: int) -> None:
        odd = f"x{number}-{MARK}"
        await gate.chat(DANUBE, model=odd, tools=[{"type": "function", "function": {"name": odd, "parameters": {}}}])
        await gate.chat(PEACE, model=odd, prefix="/pass", headers=[("Host", odd), ("X-Route", odd)])
        for method in ("GET", f"M{number}", "DELETE"):
            await gate.fetch(method, f"/v1/{odd}/{number}?{odd}={number}")
        asked = json.dumps({"model": odd, "messages": []}).encode()
        for path in (f"/{odd}/v1/chat/completions", f"/openai/deployments/{odd}/chat/completions"):
            await gate.fetch("POST", path, [], b"{")
            await gate.fetch("POST", path, [], asked)

    for number in range(3):
        await all_kinds(number)
    before = series(gate)
    for number in range(3, 60):
        await all_kinds(number)
    assert series(gate) - before == set()
    assert MARK not in gate.app.metrics.exposition().decode()
