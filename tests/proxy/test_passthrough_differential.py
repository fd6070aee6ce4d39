"""Direct = untouched = observed, and enforced with nothing found: as bytes, over varied requests, answers and every cut.

Identical means: status, body bytes, end-to-end headers; and the upstream was sent the same bytes.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import brotli
import pytest
import pytest_asyncio
import zstandard

from core.types import MODES
from tests.proxy.fake_upstream import (
    DONE,
    JSON,
    SSE,
    USAGE,
    Answer,
    Headers,
    completion,
    event,
    events,
    failing,
    message,
    plain,
    streamed,
)
from tests.proxy.rig import DANUBE, PEACE, PROSE, WEATHER, Rig, rig

OBSERVED = [{"extends": mode, "enforcement": "observe"} for mode in MODES]
HOLDS: dict[str, Any] = {"all": "all", "prefix": {"kind": "prefix", "chars": 40}, "window": {"kind": "window", "chars": 40}}


def enforced(hold: Any) -> dict[str, Any]:
    return {"extends": "rebuttal", "hold": {"default": hold}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Rig]:
    routes: list[dict[str, Any]] = [{}, {"name": "observe", "match": {"path_prefix": "/observe"}, "policies": OBSERVED}]
    routes += [
        {"name": kind, "match": {"path_prefix": f"/{kind}"}, "policies": [enforced(hold)]} for kind, hold in HOLDS.items()
    ]
    async with rig(*routes) as running:
        yield running


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"x": {}}}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}
PICTURE = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]


def asking(content: Any = WEATHER, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}], **fields}


def written(doc: dict[str, Any]) -> bytes:
    return json.dumps(doc).encode()


#: Request bodies by what is odd about them.
REQUESTS: dict[str, bytes] = {
    "usual": written(asking()),
    "triggers": written(asking(PEACE)),
    "tools": written(asking(tools=[TOOL], tool_choice="auto", parallel_tool_calls=False)),
    "tool results": written(
        {"model": "m", "messages": [message(None, tool_calls=[CALL]), {"role": "tool", "tool_call_id": "c1", "content": "4"}]}
    ),
    "three": written(asking(n=3, logprobs=True, top_logprobs=2, temperature=0.5)),
    "picture": written(asking(PICTURE)),
    "odd unicode": json.dumps(
        asking("e\u0301\u200b\u202e\U0001f9d1\u200d\U0001f680 \x00\x7f \ufeff"), ensure_ascii=False
    ).encode(),
    "lone surrogates": rb'{"model":"m","messages":[{"role":"user","content":"half \ud83d an emoji \udc00"}]}',
    "unknown fields": written(asking(x_new={"a": [1, None, {"b": 2}]}, metadata={"k": "v"}, reasoning_effort="high")),
    "long numbers": b'{"model":"m","seed":123456789012345678901234567890,"temperature":0.10000000000000000001,"messages":[]}',
    "odd spacing": b'\r\n { "model"\t:"m" ,\n"messages":[ {"content":"a\\/b\\u00e9","role":"user"} ] }  \n',
    "same key twice": b'{"model":"a","messages":[],"model":"m"}',
    "no model": b'{"messages":[{"role":"developer","content":"be short"},{"role":"user","content":null}]}',
    "structured": written(asking(response_format={"type": "json_object"}, max_tokens=5)),
    "stored": written(asking(store=True)),
}
#: Answers by what is odd about them; `[True]` where a stream was asked for.
ANSWERS: dict[str, Answer] = {
    "usual": plain(DANUBE),
    "chunked": Answer([completion(message(DANUBE))[:50], completion(message(DANUBE))[50:]]),
    "tool call": Answer([completion(message(None, tool_calls=[CALL]), finish="tool_calls")], length=True),
    "choices": plain(DANUBE, PROSE, "Ja."),
    "reasoning": Answer(
        [completion(message(DANUBE, reasoning_content="Rivers... \u00e9"), system_fingerprint="fp")], length=True
    ),
    "odd json": Answer(
        [b' { "choices" : [ {"index":0,"message":{"content":"a\\/b \\ud83d"},"x":1e2} ], "n":12345678901234567890 }']
    ),
    "gzip": Answer([gzip.compress(completion(message(DANUBE)))], headers=[*JSON, ("Content-Encoding", "gzip")], length=True),
    "br": Answer([brotli.compress(completion(message(DANUBE)))], headers=[*JSON, ("Content-Encoding", "br")], length=True),
    "zstd": Answer([zstandard.compress(completion(message(DANUBE)))], headers=[*JSON, ("Content-Encoding", "zstd")]),
    "cookies": Answer(
        [completion(message("a"))], headers=[*JSON, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("ETag", '"x"')]
    ),
    "rate limit": failing(429, "rate_limit_exceeded", Retry_After="7", X_RateLimit_Remaining="0"),
    "bad request": failing(400, "context_length_exceeded"),
    "server error": Answer([b"<html>oops</html>"], status=502, headers=[("Content-Type", "text/html")], reason="Oh Dear"),
    "redirect": Answer([], status=307, headers=[("Location", "/v1/elsewhere")], length=True),
    "overloaded": Answer([b""], status=529, headers=[("X-Should-Retry", "true")]),
}
SENT: Headers = [("Content-Type", "application/json"), ("Authorization", "Bearer sk"), ("X-Stainless-Lang", "python")]


async def compare(gate: Rig, prefix: str, body: bytes, headers: Headers = SENT) -> None:
    """One request past the gateway and through a route: what the upstream gets and what the client gets are the same."""
    target = "/v1/chat/completions?api-version=1"
    gate.upstream.seen.clear()
    gate.upstream.answers = gate.upstream.answers[:1]
    direct = await gate.direct("POST", target, headers, body)
    through = await gate.fetch("POST", prefix + target, headers, body)
    first, second = gate.upstream.seen
    assert (second.target, second.body) == (first.target, first.body)
    assert sorted((n.lower(), v) for n, v in second.headers if n.lower() != "host") == sorted(
        (n.lower(), v) for n, v in first.headers if n.lower() != "host"
    )
    if prefix in ("", "/observe"):
        assert through.own.keys() == ({"decision-id"} if prefix else set())
        assert through.without("x-chunkguard-decision-id") == direct.message
    else:
        assert (through.status, through.body) == (direct.status, direct.body)


ROUTES = ["", "/observe", "/all"]


@pytest.mark.parametrize("prefix", ROUTES)
@pytest.mark.parametrize("request_of", REQUESTS)
@pytest.mark.asyncio(loop_scope="module")
async def test_every_request_arrives_as_it_was_sent(gate: Rig, request_of: str, prefix: str) -> None:
    gate.upstream.set(plain(DANUBE))
    await compare(gate, prefix, REQUESTS[request_of])


@pytest.mark.parametrize("prefix", ROUTES)
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.asyncio(loop_scope="module")
async def test_compressed_requests_arrive_compressed(gate: Rig, coding: str, prefix: str) -> None:
    gate.upstream.set(plain(DANUBE))
    compress = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstandard.compress}[coding]
    await compare(gate, prefix, compress(REQUESTS["tools"]), [*SENT, ("Content-Encoding", coding)])


@pytest.mark.parametrize("prefix", ROUTES)
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.asyncio(loop_scope="module")
async def test_every_answer_comes_back_as_it_was_given(gate: Rig, answer: str, prefix: str) -> None:
    gate.upstream.set(ANSWERS[answer])
    await compare(gate, prefix, REQUESTS["usual"])


@pytest.mark.parametrize("prefix", ["", "/observe"])
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.asyncio(loop_scope="module")
async def test_so_does_every_answer_to_a_request_for_a_stream(gate: Rig, answer: str, prefix: str) -> None:
    gate.upstream.set(ANSWERS[answer])
    await compare(gate, prefix, written(asking(stream=True)))


STREAMED: dict[str, Answer] = {
    "usual": streamed(DANUBE, usage=True),
    "choices": streamed(DANUBE, PROSE),
    "with a length": Answer(events(DANUBE), headers=list(SSE), length=True),
    "gzip": Answer([gzip.compress(b"".join(events(DANUBE)))], headers=[*SSE, ("Content-Encoding", "gzip")]),
    "zstd": Answer([zstandard.compress(b"".join(events(DANUBE)))], headers=[*SSE, ("Content-Encoding", "zstd")]),
    "an error inside": Answer([event({"content": "The "}), b'data: {"error":{"message":"x"}}\n\n'], headers=list(SSE)),
    "junk inside": Answer([b": hi\n\nevent: x\ndata: {not json\n\n", *events(DANUBE)], headers=list(SSE)),
}


@pytest.mark.parametrize("prefix", ["", "/observe", "/all", "/prefix", "/window"])
@pytest.mark.parametrize("answer", STREAMED)
@pytest.mark.asyncio(loop_scope="module")
async def test_every_stream_comes_back_as_it_was_given(gate: Rig, answer: str, prefix: str) -> None:
    gate.upstream.set(STREAMED[answer])
    await compare(gate, prefix, written(asking(stream=True)))


def tool_delta(**fields: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, **fields}]}


#: Everything that is hard to cut: several byte characters, all line ends, comments, tools, reasoning, usage, a last comment.
RECORDED = b"".join([
    b": hello\n\n",
    b'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\r\n\r\n',
    'data:{"id":"c","choices":[{"index":0,"delta":{"content":"Donau \u00e9\U0001f9d1"}}]}\n\n'.encode(),
    b'event: message\ndata: {"id":"c","choices":[{"index":0,\ndata: "delta":{"reasoning_content":"hm"}}]}\r\r',
    b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n',
    b'data: {"choices":[],"usage":' + json.dumps(USAGE).encode() + b"}\n\n",
    DONE,
    b": bye\n\n",
])  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "/observe", "/all", "/prefix", "/window"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_stream_may_be_cut_anywhere(gate: Rig, prefix: str) -> None:
    body = written(asking(stream=True))
    for cut in range(1, len(RECORDED)):
        gate.upstream.set(Answer([RECORDED[:cut], RECORDED[cut:]], headers=list(SSE)))
        through = await gate.fetch("POST", f"{prefix}/v1/chat/completions", SENT, body)
        assert (through.status, through.broken, through.body) == (200, False, RECORDED), cut


@pytest.mark.parametrize("prefix", ["", "/observe", "/all", "/prefix", "/window"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_stream_may_come_byte_by_byte(gate: Rig, prefix: str) -> None:
    gate.upstream.set(Answer([RECORDED[at : at + 1] for at in range(len(RECORDED))], headers=list(SSE)))
    through = await gate.fetch("POST", f"{prefix}/v1/chat/completions", SENT, written(asking(stream=True)))
    assert (through.status, through.broken, through.body) == (200, False, RECORDED)
