"""The replay upstream: an answer is chosen by the request, and the same request gets the same bytes again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.config_model import Timeouts
from proxy.errors import ProtocolError, Timeout, Unavailable
from proxy.upstream.base import UpstreamRequest
from proxy.upstream.replay import ReplayReply, ReplayUpstream

BAD = {"name": "denial", "match": {"last_user": "Is 3+4=7?", "absent": ["Check the sum"]}, "reply": "No, that is incorrect."}
GOOD = {"name": "fixed", "match": {"last_user": "Is 3+4=7?", "system_contains": ["Check the sum"]}, "reply": "Yes."}


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def build(*exchanges: dict[str, Any], **timeouts: float) -> ReplayUpstream:
        file = tmp_path / "replay.jsonl"
        file.write_bytes(b"# a comment\n\n" + b"\n".join(map(orjson.dumps, exchanges)))
        return ReplayUpstream("replay", file, Timeouts(**timeouts))

    return build


def ask(prompt: str = "Is 3+4=7?", system: str = "", path: str = "/v1/chat/completions", **fields: Any) -> UpstreamRequest:
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": prompt})
    return UpstreamRequest("POST", path, [], orjson.dumps({"model": "m", "messages": messages, **fields}))


async def read(reply: ReplayReply) -> bytes:
    return b"".join([chunk async for chunk in reply.chunks()])


async def text(upstream: ReplayUpstream, request: UpstreamRequest) -> str:
    return str(orjson.loads(await read(await upstream.open(request)))["choices"][0]["message"]["content"])


async def test_the_same_prompt_gets_the_same_bad_answer_and_a_boundary_gets_another(make: Any) -> None:
    upstream = make(BAD, GOOD)
    first, again = [await read(await upstream.open(ask())) for _ in range(2)]
    assert first == again
    assert await text(upstream, ask()) == "No, that is incorrect."
    assert await text(upstream, ask(system="Be kind. Check the sum first.")) == "Yes."


async def test_the_first_match_in_file_order_wins(make: Any) -> None:
    assert await text(make({"reply": "one"}, {"reply": "two"}), ask()) == "one"


async def test_no_match_is_an_openai_404(make: Any) -> None:
    reply = await make(BAD).open(ask("Something else?"))
    assert (reply.status, orjson.loads(await read(reply))["error"]["code"]) == (404, "no_match")


@pytest.mark.parametrize("body", [b"{", b"[1]"])
async def test_a_body_that_is_no_object_is_400(make: Any, body: bytes) -> None:
    assert (await make(BAD).open(UpstreamRequest("POST", "/v1/chat/completions", [], body))).status == 400


async def test_a_streamed_request_body_is_read(make: Any) -> None:
    async def body() -> AsyncIterator[bytes]:
        data = ask().body
        assert isinstance(data, bytes)
        yield data[:10]
        yield data[10:]

    request = UpstreamRequest("POST", "/v1/chat/completions?x=1", [], body())
    assert await text(make(BAD), request) == "No, that is incorrect."


async def test_models_are_those_that_matches_name(make: Any) -> None:
    upstream = make({"match": {"model": "tiny"}, "reply": "x"}, {"match": {"model": "big-*"}, "reply": "x"}, {"reply": "x"})
    doc = orjson.loads(await read(await upstream.open(UpstreamRequest("GET", "/v1/models", []))))
    assert [model["id"] for model in doc["data"]] == ["tiny", "replay"]


async def test_other_endpoints_and_errors_have_whole_bodies(make: Any) -> None:
    upstream = make({"match": {"path": "/v1/embeddings"}, "body": {"data": [1]}}, {"status": 429, "body": {"error": {}}})
    assert await read(await upstream.open(ask(path="/v1/embeddings"))) == b'{"data":[1]}'
    assert (await upstream.open(ask(stream=True))).status == 429


async def test_chunks_are_timed(make: Any) -> None:
    upstream = make({"reply": "x" * 60, "delay_ms": 60, "chunk_ms": 20})
    loop = asyncio.get_running_loop()
    start = loop.time()
    reply = await upstream.open(ask(stream=True))
    head = loop.time() - start
    await read(reply)
    assert head >= 0.055
    assert loop.time() - start - head >= 0.09


async def test_network_chunks_may_cut_events_anywhere(make: Any) -> None:
    whole = await read(await make({"reply": "äöü" * 20}).open(ask(stream=True)))
    reply = await make({"reply": "äöü" * 20, "chunk_bytes": 7}).open(ask(stream=True))
    chunks = [chunk async for chunk in reply.chunks()]
    assert b"".join(chunks) == whole
    assert {len(chunk) for chunk in chunks[:-1]} == {7}


async def test_refuse_is_unavailable(make: Any) -> None:
    with pytest.raises(Unavailable):
        await make({"fault": "refuse"}).open(ask())


@pytest.mark.parametrize("after", [0, 5, 300])
async def test_reset_comes_after_exactly_so_many_bytes(make: Any, after: int) -> None:
    whole = await read(await make({"reply": "x" * 100}).open(ask(stream=True)))
    reply = await make({"reply": "x" * 100, "fault": "reset_after_bytes", "after_bytes": after}).open(ask(stream=True))
    got: list[bytes] = []
    with pytest.raises(ProtocolError):
        await _collect(reply, got)
    assert b"".join(got) == whole[:after]


async def test_a_stall_ends_in_a_timeout(make: Any) -> None:
    reply = await make({"reply": "x", "fault": "stall", "after_bytes": 3}, total_s=0.05).open(ask())
    got: list[bytes] = []
    with pytest.raises(Timeout):
        await _collect(reply, got)
    assert len(b"".join(got)) == 3


async def test_a_late_head_is_a_timeout(make: Any) -> None:
    with pytest.raises(Timeout):
        await make({"reply": "x", "delay_ms": 500}, first_token_s=0.05).open(ask())


async def test_junk_is_neither_json_nor_events(make: Any) -> None:
    body = await read(await make({"fault": "junk"}).open(ask()))
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(body)


async def test_an_aborted_reply_sends_no_more(make: Any) -> None:
    reply = await make({"reply": "x" * 100}).open(ask(stream=True))
    chunks = reply.chunks()
    await anext(chunks)
    reply.abort()
    assert [chunk async for chunk in chunks] == []


async def _collect(reply: ReplayReply, got: list[bytes]) -> None:
    async for chunk in reply.chunks():
        got.append(chunk)
