"""Bad requests and bad answers on every guarded API: each gives what the upstream gives, or a clear error; none a 500.

One rule: the upstream answers everything with 200 here, so a 4xx is the proxy's own and must have the API's shape.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import brotli
import pytest
import pytest_asyncio
import zstandard

from core.types import MODES
from tests.proxy.apis import APIS, Api, Doc
from tests.proxy.fake_upstream import DONE, JSON, SSE, Answer, Headers, completion, events, message
from tests.proxy.rig import CODE, DANUBE, PEACE, PROSE, WEATHER, Raw, Rig, rig

CHAT = Api(
    name="chat_completions",
    path="/v1/chat/completions",
    ask=lambda prompt, **fields: {"model": "m", "messages": [{"role": "user", "content": prompt}], **fields},
    plain=lambda text: completion(message(text)),
    stream=lambda text: events(text, usage=True),
    read=lambda doc: str(doc["choices"][0]["message"]["content"]),
    said=lambda docs: "".join(choice["delta"].get("content") or "" for doc in docs for choice in doc["choices"]),
    error=lambda doc: str(doc["error"]["type"]),
    blocked=lambda doc: False,
)
ALL = [CHAT, *APIS]
each_api = pytest.mark.parametrize("api", ALL, ids=lambda api: api.name)
SENT: Headers = [("Content-Type", "application/json"), ("anthropic-version", "2023-06-01")]
ENFORCED: list[Any] = [{"extends": mode, "enforcement": "enforce"} for mode in MODES]

WRONG: list[Any] = [
    None, True, 0, -1, 1e308, 10**30, "", "x", "\ud83d", [], [None], [[]], [{}], {}, {"type": "x"}, {"type": []}, [{"type": 7}],
    [{"role": 7, "content": 7}], [{"type": "function", "function": 7}], {"a": {"b": [1, {}]}},
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Rig]:
    held = {
        "name": "held",
        "match": {"path_prefix": "/held"},
        "policies": [{"extends": "rebuttal", "hold": {"default": "all"}}],
    }
    only = {"name": "only", "match": {"path_prefix": "/only", "model": "known-*"}, "policies": ENFORCED}
    async with rig({"policies": ENFORCED}, held, only, limits={"body_bytes": 100_000, "retry_share": 1}) as running:
        yield running


def full(api: Api) -> Doc:
    """A request with every field that a codec looks at."""
    tools = [{"type": "function", "name": "f", "function": {"name": "f", "parameters": {}}, "input_schema": {}}]
    asked = api.ask(
        WEATHER, stream=False, n=1, tools=tools, tool_choice="auto", functions=[{"name": "f"}],
        response_format={"type": "text"}, store=False, background=False, max_tokens=9, max_completion_tokens=9,
        max_output_tokens=9, web_search_options=None, mcp_servers=[], container=None, output_config=None, output_format=None,
        text={"format": {"type": "text"}}, instructions="Be kind.", previous_response_id=None, conversation=None, suffix=None,
        echo=False, chunkguard={"report": False}, structured_outputs=None, guided_json=None, plugins=None,
        search_parameters=None, json_schema=None, grammar=None,
    )  # fmt: skip
    turns = [
        {"role": "system", "content": "Be kind."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}, {"type": "image_url"}],
        },
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "d"},
        {"role": "user", "content": WEATHER},
    ]
    if "messages" in asked:
        asked["messages"] = turns
    if "input" in asked:
        asked["input"] = [*turns[:2], {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}, turns[-1]]
    return asked


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


def put(doc: Doc, path: tuple[Any, ...], value: Any) -> bytes:
    """The document with another value at a place."""
    changed: Any = json.loads(json.dumps(doc))
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return json.dumps(changed).encode()


async def send(gate: Rig, api: Api, body: bytes, headers: Headers = SENT, prefix: str = "") -> Raw:
    return await gate.fetch("POST", f"{prefix}{api.path}", headers, body)


def check(api: Api, answer: Raw, what: Any) -> None:
    assert answer.status == 200 or 400 <= answer.status < 500, (what, answer.status, answer.body)
    if answer.status != 200:
        assert api.error(answer.doc) == "invalid_request_error", (what, answer.body)
        assert answer.doc["error"]["message"], what


@each_api
@pytest.mark.asyncio(loop_scope="module")
async def test_a_wrong_value_anywhere_is_no_500(gate: Rig, api: Api) -> None:
    gate.upstream.set(Answer([api.plain(DANUBE)], length=True))
    doc = full(api)
    check(api, await send(gate, api, json.dumps(doc).encode()), "as it is")
    for number, path in enumerate(places(doc)):
        # Every value at the top; deeper a different third of them at each place.
        for value in WRONG if len(path) == 1 else WRONG[number % 3 :: 3]:
            check(api, await send(gate, api, put(doc, path, value)), (path, value))


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "cut": b'{"model":"m","messages":[{"role":"user"',
    "not utf-8": b'{"model":"m","messages":"\xff"}',
    "utf-16": '{"model":"m"}'.encode("utf-16"),
    "a bom": b"\xef\xbb\xbf{}",
    "form": b"model=m&prompt=x",
    "nul bytes": b"\x00" * 100,
    "deep": b'{"messages":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "deep objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "nan": b'{"model":"m","temperature":NaN,"messages":[],"prompt":"x","input":"x"}',
    "two documents": b'{"model":"m"}{"model":"m"}',
    "a number": b"7",
}


@each_api
@pytest.mark.parametrize("name", BODIES)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_body_that_is_none_is_400(gate: Rig, api: Api, name: str) -> None:
    gate.upstream.set(Answer([api.plain(DANUBE)], length=True))
    answer = await send(gate, api, BODIES[name])
    assert (answer.status, api.error(answer.doc)) == (400, "invalid_request_error")
    assert gate.upstream.seen == []


@each_api
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None])
@pytest.mark.asyncio(loop_scope="module")
async def test_another_content_type_is_the_upstreams_to_refuse(gate: Rig, api: Api, kind: str | None) -> None:
    gate.upstream.set(Answer([b'{"error":{"message":"type","type":"invalid_request_error"}}'], status=415, length=True))
    answer = await send(gate, api, api.body(WEATHER), [("Content-Type", kind)] if kind else [])
    assert answer.status == 415
    (seen,) = gate.upstream.seen
    assert seen.values("content-type") == ([kind] if kind else [])


@each_api
@pytest.mark.asyncio(loop_scope="module")
async def test_a_huge_body_is_413_and_an_unknown_model_404(gate: Rig, api: Api) -> None:
    gate.upstream.set(Answer([api.plain(DANUBE)], length=True))
    huge = await send(gate, api, api.body("x" * 200_000))
    assert (huge.status, bool(api.error(huge.doc))) == (413, True)
    assert gate.upstream.seen == []
    # The upstream's own word on a model passes; a route that takes certain models passes others to the next one.
    gate.upstream.set(Answer([b'{"error":{"type":"not_found_error","message":"no such model"}}'], status=404, length=True))
    unknown = await send(gate, api, api.body(WEATHER, model="unknown"))
    assert (unknown.status, api.error({"type": "error", **unknown.doc})) == (404, "not_found_error")


PACKERS: dict[str, Any] = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstandard.compress}


@each_api
@pytest.mark.parametrize("coding", PACKERS)
@pytest.mark.asyncio(loop_scope="module")
async def test_packed_bodies_are_read_or_refused(gate: Rig, api: Api, coding: str) -> None:
    gate.upstream.set(Answer([api.plain(DANUBE)], length=True))
    headers: Headers = [*SENT, ("Content-Encoding", coding)]
    packed = PACKERS[coding](api.body(WEATHER))
    assert (await send(gate, api, packed, headers)).status == 200
    assert gate.upstream.seen[0].body == packed
    bomb = PACKERS[coding](api.body("x" * 5_000_000))
    for body, status in ((packed[:-9], 400), (b"junk", 400), (b"", 400), (packed + b"tail", 400), (bomb, 413)):
        answer = await send(gate, api, body, headers)
        if answer.status == 200:
            # gzip without its checksum, or with more behind it, is readable: it goes on as it is, and the upstream decides.
            assert (coding, gate.upstream.seen[-1].body) == ("gzip", body)
            continue
        assert answer.status in (status, 400), (coding, body[:9], answer.status)
        assert api.error(answer.doc), (coding, body[:9])


@each_api
@pytest.mark.asyncio(loop_scope="module")
async def test_an_encoding_that_nobody_knows_is_refused(gate: Rig, api: Api) -> None:
    gate.upstream.set(Answer([api.plain(DANUBE)], length=True))
    answer = await send(gate, api, api.body(WEATHER), [*SENT, ("Content-Encoding", "snappy")])
    assert answer.status in (400, 415)
    assert api.error(answer.doc) == "invalid_request_error"


@each_api
@pytest.mark.asyncio(loop_scope="module")
async def test_of_duplicate_keys_the_last_counts_as_upstream(gate: Rig, api: Api) -> None:
    gate.upstream.set(Answer([api.plain(CODE)], length=True), Answer([api.plain(PROSE)], length=True))
    first = api.body(PEACE)
    doubled = first[:-1] + b', "temperature": 1, "temperature": 0.5}'
    answer = await send(gate, api, doubled)
    assert (answer.status, api.read(answer.doc)) == (200, PROSE)
    assert [seen.doc["temperature"] for seen in gate.upstream.seen if seen.method == "POST"] == [0.5, 0.5]
    gate.upstream.set(Answer([api.plain(DANUBE)], length=True))
    untouched = api.body(WEATHER)[:-1] + b', "temperature": 1, "temperature": 0.5}'
    assert (await send(gate, api, untouched)).status == 200
    assert [seen.body for seen in gate.upstream.seen if seen.method == "POST"] == [untouched]


def junk(api: Api) -> dict[str, tuple[bytes, bool]]:
    """Answers of an upstream that has gone wrong -> (body, as a stream)."""
    stream = b"".join(api.stream(DANUBE))
    return {
        "no json": (b"<html>oops</html>", False),
        "nothing": (b"", False),
        "an array": (b"[]", False),
        "wrong types": (b'{"choices":7,"content":7,"output":7}', False),
        "wrong items": (b'{"choices":[7],"content":[7],"output":[7]}', False),
        "not utf-8": (api.plain("a").replace(b"a", b"\xff"), False),
        "cut stream": (stream[: len(stream) // 2], True),
        "junk events": (b"data: {\n\ndata: 7\n\ndata: []\n\n" + DONE, True),
        "wrong events": (b'data: {"choices":7,"type":7,"delta":7}\n\n' + stream, True),
        "invalid utf-8": (b"data: \xff\xfe\n\n" + stream, True),
        "no end": (b"data: " + b"x" * 50_000, True),
    }


@each_api
@pytest.mark.asyncio(loop_scope="module")
async def test_a_bad_answer_is_502_or_passes_and_never_a_500(gate: Rig, api: Api) -> None:
    for name, (body, stream) in junk(api).items():
        for prefix in ("", "/held"):
            gate.upstream.set(Answer([body], headers=list(SSE if stream else JSON), length=not stream))
            answer = await send(gate, api, api.body(WEATHER, stream=stream), prefix=prefix)
            assert answer.status in (200, 502), (name, prefix, answer.status, answer.body)
            if answer.status == 502:
                assert api.error(answer.doc), (name, prefix)
            else:
                assert answer.body == body, (name, prefix)
