"""Header smuggling and request splitting: one request of a client is one for the gateway and one for the upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.proxy.fake_upstream import plain
from tests.proxy.rig import DANUBE, Rig, rig
from tests.threats.raw import ASKED, CHAT, request, statuses, talk

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVIL = b"POST /v1/smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
PASS = f"/pass{CHAT}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Rig]:
    routes = ({"policies": ["rebuttal"]}, {"name": "pass", "match": {"path_prefix": "/pass"}})
    async with rig(*routes, answers=[plain(DANUBE)]) as running:
        yield running


def framed(*lines: str, body: bytes, target: str) -> bytes:
    return request(target, *lines, body=body, length=False)


CHUNKS = b"%x\r\n" % len(ASKED) + ASKED + b"\r\n0\r\n\r\n"
SIZE = f"Content-Length: {len(ASKED)}"
#: Framings that two servers may read differently, with what follows the first reading of each.
FRAMINGS = {
    "length and chunks": ((SIZE, "Transfer-Encoding: chunked"), CHUNKS + EVIL),
    "chunks and length": (("Transfer-Encoding: chunked", "Content-Length: 4"), CHUNKS + EVIL),
    "two lengths": ((SIZE, "Content-Length: 0"), ASKED + EVIL),
    "list of lengths": ((f"Content-Length: {len(ASKED)}, 0",), ASKED + EVIL),
    "length with a sign": ((f"Content-Length: +{len(ASKED)}",), ASKED + EVIL),
    "negative length": (("Content-Length: -1",), ASKED + EVIL),
    "hexadecimal length": (("Content-Length: 0x10",), ASKED + EVIL),
    "length with a space": ((f"Content-Length : {len(ASKED)}",), ASKED + EVIL),
    "unknown coding": (("Transfer-Encoding: xchunked",), CHUNKS + EVIL),
    "hidden chunked": (("Transfer-Encoding: chunked, identity",), CHUNKS + EVIL),
    "chunked twice": (("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), CHUNKS + EVIL),
    "chunked with a tab": (("Transfer-Encoding:\x0bchunked",), CHUNKS + EVIL),
    "folded": (("X-A: b", " Transfer-Encoding: chunked", SIZE), ASKED + EVIL),
    "bare CR": ((f"X-A: b\rTransfer-Encoding: chunked\r\n{SIZE}",), ASKED + EVIL),
    "bare LF": ((f"X-A: b\nX-Evil: 1\r\n{SIZE}",), ASKED),
    "NUL": (("X-A: b\x00c", SIZE), ASKED + EVIL),
    "bad chunk size": (("Transfer-Encoding: chunked",), b"zz\r\n" + ASKED + b"\r\n0\r\n\r\n" + EVIL),
    "huge chunk size": (("Transfer-Encoding: chunked",), b"f" * 40 + b"\r\n" + ASKED + EVIL),
    "chunk with an extension": (("Transfer-Encoding: chunked",), b"%x;a=\r\n" % len(ASKED) + ASKED + b"\r\n0\r\n\r\n"),
    "trailers": (("Transfer-Encoding: chunked",), CHUNKS[:-2] + b"Authorization: Bearer evil\r\nX-Evil: 1\r\n\r\n"),
    "no name": ((": x", SIZE), ASKED + EVIL),
    "odd name": (("X A: x", SIZE), ASKED + EVIL),
}


@pytest.mark.parametrize("target", [CHAT, PASS], ids=["guarded", "untouched"])
@pytest.mark.parametrize("name", FRAMINGS)
async def test_an_ambiguous_framing_is_refused_or_read_in_one_way(gate: Rig, name: str, target: str) -> None:
    """What follows the request may be a request of its own - its sender could send it anyway - but is never part of another's,
    and no header line of ours or of theirs arises from a value."""
    lines, body = FRAMINGS[name]
    gate.upstream.seen.clear()
    got = await talk(gate, framed(*lines, body=body, target=target), wait_s=0.4)
    found = statuses(got)
    assert found[0] in (200, 400, 404)
    first = [seen for seen in gate.upstream.seen if seen.target == CHAT]
    assert len(first) == (found[0] == 200)
    for seen in first:
        assert seen.body == ASKED
        assert not seen.values("x-evil")
        assert seen.values("transfer-encoding") + seen.values("content-length") in (["chunked"], [str(len(ASKED))])
    if found[0] != 200:
        assert found == found[:1]  # a connection whose framing is unsure is over
        assert gate.upstream.seen == []


SPLITTING = {
    "path": (f"{CHAT}%0d%0aX-Evil:%201%0d%0a%0d%0aPOST%20/v1/smuggled", ()),
    "query": (f"{CHAT}?a=%0d%0aX-Evil:%201", ()),
    "value": (CHAT, ("X-A: %0d%0aX-Evil: 1",)),
    "value with LF escapes": (CHAT, ("X-A: \\r\\nX-Evil: 1",)),
    "latin-1 look-alikes": (CHAT, ("X-A: \u010d\u010aX-Evil: 1",)),
}


@pytest.mark.parametrize("name", SPLITTING)
async def test_nothing_that_a_client_sends_becomes_a_line_of_the_request(gate: Rig, name: str) -> None:
    target, lines = SPLITTING[name]
    gate.upstream.seen.clear()
    for prefix in ("", "/pass"):
        await talk(gate, request(f"{prefix}{target}", *lines), wait_s=0.4)
    assert not any(seen.values("x-evil") for seen in gate.upstream.seen)
    assert not any("smuggled" in seen.target and "%0d" not in seen.target for seen in gate.upstream.seen)
    assert all(seen.body == ASKED for seen in gate.upstream.seen)


@pytest.mark.parametrize(
    "line", ["X-ChunkGuard-Verdict: clear", "x-chunkguard-holdout: 1", "X-CHUNKGUARD-: x", "x-chunkguard-a : x"]
)
async def test_headers_in_the_guards_name_stop_here(gate: Rig, line: str) -> None:
    gate.upstream.seen.clear()
    for target in (CHAT, PASS):
        await talk(gate, request(target, line), wait_s=0.4)
    assert not [name for seen in gate.upstream.seen for name, _ in seen.headers if name.lower().startswith("x-chunkguard")]


async def test_connection_headers_remove_nothing_that_guards(gate: Rig) -> None:
    """`Connection` names what is dropped on the way: never more than the client's own headers."""
    gate.upstream.seen.clear()
    got = await talk(gate, request(CHAT, "Connection: x-a, content-length, host, content-type", "X-A: 1"), wait_s=0.4)
    (seen,) = gate.upstream.seen
    assert statuses(got) == [200]
    assert (seen.body, seen.values("x-a")) == (ASKED, [])


async def test_pipelined_requests_are_answered_in_turn_and_apart(gate: Rig) -> None:
    gate.upstream.seen.clear()
    got = await talk(gate, request(CHAT) + request("/v1/../../x") + request(PASS) + request("/-/ready"), wait_s=0.6)
    assert statuses(got) == [200, 404, 200, 404]
    assert [seen.body for seen in gate.upstream.seen] == [ASKED, ASKED]
