"""Paths that would lead around the guard, climb out of it or name another host, as bytes on a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.proxy.fake_upstream import plain
from tests.proxy.rig import CODE, PROSE, Rig, rig
from tests.threats.raw import CHAT, GUARDED, request, statuses, talk

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Rig]:
    async with rig(GUARDED, answers=[plain(CODE), plain(PROSE)]) as running:
        yield running


AROUND = [
    "//v1/chat/completions", "/v1//chat/completions", "/v1/chat/completions/", "/v1/../v1/chat/completions",
    "/v1/models/..%2f..%2fv1/chat/completions", "/%76%31/chat/completions", "/v1/chat/%63ompletions",
    "/v1/%2e/chat/completions", "/v1/%252e/chat/completions",
    "/V1/Chat/Completions", "/\\v1\\chat\\completions", "/v1/chat/completions?",
    "/v1/chat/completions#a",
    "/v1/chat/completions#?a=b", "/v1/chat/completions%23", "/v1/chat/completions;x=1", "/v1/chat%00/completions",
    "/v1/chat/completions/.", "/v1/chat/completions/x/..", "/a/b/../../v1/chat/completions", "/openai/v1/chat/completions",
    "http://evil.example/v1/chat/completions", "HTTPS://x//v1/chat/completions/", "http://x@y:1/v1/chat/completions",
    "http://x/v1/%63hat/completions",
]  # fmt: skip


@pytest.mark.parametrize("target", AROUND)
async def test_a_trick_with_the_path_is_guarded(gate: Rig, target: str) -> None:
    gate.upstream.seen.clear()
    got = await talk(gate, request(target, "Connection: close"), wait_s=5)
    assert statuses(got) == [200]
    assert b"x-chunkguard-attempts: 2" in got.lower()
    assert {seen.target.partition("?")[0] for seen in gate.upstream.seen} <= {CHAT, f"/openai{CHAT}"}


NOWHERE = [
    "/v1/chat/completions%0d%0aX-Evil:%201", "/v1/chat/completions%250aX", "/v1/chat/completions%u002f", "/v1/../../etc/passwd",
    "/..%2f..%2fetc%2fpasswd", "/v1/files/%2e%2e/%2e%2e/secret", "/v1/files/..;/x", "/-/reload", "//-/metrics", "/%2d/ready",
    "http://127.0.0.1/-/reload", "/v1/models/%00", "/v1/%2525252563hat/completions", "/v1/files/a#/../../b",
]  # fmt: skip
NO_TARGET = [
    "*",
    "v1/chat/completions",
    "evil.example:443",
    "/v1/chat/ſcompletions",
    "/v1/chat/completions\t",
    "/" + "a/../" * 20_000,
]


@pytest.mark.parametrize("target", NOWHERE)
async def test_a_path_that_climbs_or_hides_leads_nowhere(gate: Rig, target: str) -> None:
    gate.upstream.seen.clear()
    assert statuses(await talk(gate, request(target, "Connection: close"), wait_s=5)) == [404]
    assert gate.upstream.seen == []


@pytest.mark.parametrize("target", NO_TARGET, ids=range(len(NO_TARGET)))
async def test_what_is_no_target_is_no_request(gate: Rig, target: str) -> None:
    gate.upstream.seen.clear()
    found = statuses(await talk(gate, request(target, "Connection: close"), wait_s=5))
    assert found in ([400], [404], [])
    assert gate.upstream.seen == []


async def test_the_authority_of_a_target_chooses_no_upstream(gate: Rig) -> None:
    """Taken for a proxy, the gateway is none: Host and authority decide nothing."""
    gate.upstream.seen.clear()
    await talk(
        gate, request("http://169.254.169.254/v1/chat/completions", "X-Forwarded-Host: x", "Connection: close"), wait_s=5
    )
    assert {seen.values("host")[0] for seen in gate.upstream.seen} == {f"127.0.0.1:{gate.upstream.port}"}
