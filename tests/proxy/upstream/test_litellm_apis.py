"""Responses, messages, legacy completions and embeddings of other providers through litellm, before the official clients."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from proxy.upstream.litellm import DROPPED
from tests.clients.shapes import Content
from tests.proxy.apis import docs_of
from tests.proxy.fake_upstream import JSON, Answer, Junk
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, PEACE, PROSE, WEATHER, Raw, Rig
from tests.proxy.upstream.providers import ANTHROPIC, BEDROCK, GEMINI, PROVIDERS, Provider
from tests.proxy.upstream.test_litellm_providers import before

pytestmark = pytest.mark.filterwarnings("ignore")  # litellm warns at import and in use; those are not ours to mend

each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
both = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
FLAT: Any = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": True}
TOOL: Any = {"name": "get_weather", "input_schema": SCHEMA}
CALL = ("get_weather", '{"city": "Vienna"}')
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
KINDS = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error", 503: "overloaded_error"}
PATHS = {"responses": "/v1/responses", "messages": "/v1/messages", "completions": "/v1/completions"}
each_api = pytest.mark.parametrize("api", PATHS)


def body_of(api: str, text: str = WEATHER, **fields: Any) -> dict[str, Any]:
    """A request with a system text where the API has one."""
    own: dict[str, dict[str, Any]] = {
        "responses": {"input": text, "instructions": "Be brief."},
        "messages": {"messages": [{"role": "user", "content": text}], "system": "Be brief.", "max_tokens": 300},
        "completions": {"prompt": text, "max_tokens": 300},
    }
    return {"model": "m", **own[api], **fields}


async def fetch(gate: Rig, api: str, text: str = WEATHER, **fields: Any) -> Raw:
    return await gate.fetch("POST", PATHS[api], list(JSON), json.dumps(body_of(api, text, **fields)).encode())


def text_of(raw: Raw, api: str, stream: bool) -> str:
    docs = docs_of(raw.body) if stream else [raw.doc]
    if api == "completions":
        return "".join(choice["text"] for doc in docs for choice in doc["choices"])
    if api == "responses":
        answer = docs[-1]["response"] if stream else docs[0]
        return "".join(p["text"] for item in answer["output"] if item["type"] == "message" for p in item["content"])
    if stream:
        return "".join(doc["delta"].get("text", "") for doc in docs if doc["type"] == "content_block_delta")
    return "".join(block.get("text", "") for block in docs[0]["content"])


@asynccontextmanager
async def anthropic_client(gate: Rig) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=gate.origin, api_key="sk-client", max_retries=0) as client:
        yield client


# ---- answers


@each_provider
@each_api
@both
async def test_an_answer_has_its_text_and_the_provider_its_prompt(provider: Provider, api: str, stream: bool) -> None:
    async with before(provider, provider.answer(Content(DANUBE), stream)) as (gate, server):
        raw = await fetch(gate, api, stream=stream)
        assert raw.status == 200
        assert text_of(raw, api, stream) == DANUBE
        told = provider.told(server.seen[0].doc)
        assert WEATHER in told
        assert ("Be brief." in told) == (api != "completions")
        assert provider.key(server.seen[0]) == "sk-operator"
        assert "sk-client" not in str(server.seen[0])


@each_provider
@both
async def test_the_openai_client_reads_responses(provider: Provider, stream: bool) -> None:
    content = Content(DANUBE, CALL, "Rivers.")
    async with before(provider, provider.answer(content, stream)) as (gate, _), gate.client() as client:
        asked: Any = {"model": "m", "input": WEATHER, "tools": [FLAT], "metadata": {"team": "a"}}
        if stream:
            async with client.responses.stream(**asked) as events:
                answer: Any = await events.get_final_response()
        else:
            answer = await client.responses.create(**asked)
        Response.model_validate(answer.model_dump())
        assert answer.output_text == DANUBE
        by_type = {item.type: item for item in answer.output}
        assert by_type["reasoning"].summary[0].text == "Rivers."
        assert json.loads(by_type["function_call"].arguments) == {"city": "Vienna"}
        assert by_type["function_call"].call_id
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == provider.tokens
        assert (answer.status, answer.store, answer.metadata) == ("completed", False, {"team": "a"})


@each_provider
async def test_events_of_responses_are_those_that_openai_documents(provider: Provider) -> None:
    async with before(provider, provider.answer(Content(DANUBE, CALL, "Rivers."), True)) as (gate, _):
        docs = docs_of((await fetch(gate, "responses", stream=True, tools=[FLAT])).body)
    for doc in docs:
        EVENT.validate_python(doc)
    assert [doc["sequence_number"] for doc in docs] == list(range(len(docs)))
    # One item is done before the next begins.
    opened = [doc["output_index"] for doc in docs if doc["type"] in ("response.output_item.added", "response.output_item.done")]
    assert opened == sorted(opened)
    assert len(opened) == 6


@each_provider
@both
async def test_the_anthropic_client_reads_messages(provider: Provider, stream: bool) -> None:
    content = Content(DANUBE, CALL, "Rivers run.")
    async with before(provider, provider.answer(content, stream)) as (gate, _), anthropic_client(gate) as client:
        asked: Any = {"model": "m", "max_tokens": 300, "messages": [{"role": "user", "content": WEATHER}], "tools": [TOOL]}
        if stream:
            async with client.messages.stream(**asked) as events:
                answer: Any = await events.get_final_message()
        else:
            answer = await client.messages.create(**asked)
        by_type = {block.type: block for block in answer.content}
        assert by_type["text"].text == DANUBE
        assert by_type["thinking"].thinking == "Rivers run."
        assert (by_type["tool_use"].name, by_type["tool_use"].input) == ("get_weather", {"city": "Vienna"})
        assert answer.stop_reason == "tool_use"
        assert answer.usage.output_tokens == provider.tokens[1]
        # Of Anthropic, cached tokens are counted beside the others.
        assert answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0) == provider.tokens[0]


@each_provider
async def test_turns_with_tools_reach_the_provider(provider: Provider) -> None:
    """What one API calls a call and its result is the same of all."""
    turns: dict[str, dict[str, Any]] = {
        "responses": {
            "input": [
                {"role": "user", "content": WEATHER},
                {"type": "function_call", "call_id": "c1", "name": CALL[0], "arguments": CALL[1]},
                {"type": "function_call_output", "call_id": "c1", "output": "21 degrees"},
            ],
            "tools": [FLAT],
        },
        "messages": {
            "messages": [
                {"role": "user", "content": WEATHER},
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "c1", "name": CALL[0], "input": {"city": "Vienna"}}],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "21 degrees"}]},
            ],
            "tools": [TOOL],
        },
    }
    for api, fields in turns.items():
        async with before(provider, provider.answer(Content(DANUBE), False)) as (gate, server):
            assert (await fetch(gate, api, **fields)).status == 200
            sent = server.seen[0].body.decode()
            assert "21 degrees" in sent
            assert sent.count("get_weather") >= 2


async def test_marks_of_prompt_caching_reach_a_provider_that_knows_them() -> None:
    marked = {"type": "text", "cache_control": {"type": "ephemeral"}}
    fields: Any = {
        "system": [{**marked, "text": "Be brief."}],
        "messages": [{"role": "user", "content": [{**marked, "text": WEATHER}]}],
    }
    async with before(ANTHROPIC, ANTHROPIC.answer(Content(DANUBE), False)) as (gate, server):
        assert (await fetch(gate, "messages", **fields)).status == 200
        assert server.seen[0].body.count(b'"cache_control":{"type":"ephemeral"}') == 2


async def test_thinking_goes_back_to_its_provider_signed() -> None:
    content = Content(DANUBE, reasoning="Rivers run.")
    async with before(ANTHROPIC, *(ANTHROPIC.answer(content, stream) for stream in (False, True, False))) as (gate, server):
        for stream in (False, True):
            raw = await fetch(gate, "responses", stream=stream)
            answer = docs_of(raw.body)[-1]["response"] if stream else raw.doc
            again = [{"role": "user", "content": WEATHER}, *answer["output"], {"role": "user", "content": "And Linz?"}]
            server.set(ANTHROPIC.answer(content, True), ANTHROPIC.answer(content, True))
            assert (await fetch(gate, "responses", input=again, stream=True)).status == 200
            blocks = [block for turn in server.seen[-1].doc["messages"] for block in turn["content"]]
            assert {"type": "thinking", "thinking": "Rivers run.", "signature": "c2lnbmF0dXJl"} in blocks


@both
async def test_a_stream_of_text_completions_has_its_usage_where_it_is_asked_for(stream: bool) -> None:
    async with before(ANTHROPIC, ANTHROPIC.answer(Content(DANUBE), stream)) as (gate, _), gate.client() as client:
        asked: Any = {"model": "m", "prompt": WEATHER, "max_tokens": 50}
        if stream:
            chunks = [
                c async for c in await client.completions.create(**asked, stream=True, stream_options={"include_usage": True})
            ]
            assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == DANUBE
            assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
            usage: Any = chunks[-1].usage
        else:
            usage = (await client.completions.create(**asked)).usage
        assert (usage.prompt_tokens, usage.completion_tokens) == ANTHROPIC.tokens


@pytest.mark.parametrize("packed", [True, False], ids=["base64", "floats"])
async def test_embeddings_come_as_they_were_asked_for(packed: bool) -> None:
    """The official client asks for base64, which no provider but OpenAI's has."""
    answer = Answer([json.dumps({"embeddings": [{"values": [1.0, -2.5]}]}).encode()], headers=list(JSON), length=True)
    async with before(GEMINI, answer) as (gate, server), gate.client() as client:
        if packed:
            found = await client.embeddings.create(model="m", input=["Vienna"])
            assert list(found.data[0].embedding) == [1.0, -2.5]
            raw = await gate.fetch(
                "POST", "/v1/embeddings", list(JSON), b'{"model":"m","input":"x","encoding_format":"base64"}'
            )
            assert base64.b64decode(raw.doc["data"][0]["embedding"]) == struct.pack("<2f", 1.0, -2.5)
        else:
            found = await client.embeddings.create(model="m", input="Vienna", encoding_format="float")
            assert list(found.data[0].embedding) == [1.0, -2.5]
        assert "Vienna" in server.seen[0].body.decode()


async def test_a_provider_without_embeddings_says_so() -> None:
    async with before(ANTHROPIC) as (gate, _):
        raw = await gate.fetch("POST", "/v1/embeddings", list(JSON), b'{"model":"m","input":"x"}')
        assert 400 <= raw.status < 500
        assert raw.doc["error"]["message"]


# ---- the guard


@each_provider
@each_api
@both
async def test_a_misrouted_answer_is_asked_again(provider: Provider, api: str, stream: bool) -> None:
    answers = [provider.answer(Content(text), stream) for text in (CODE, PROSE)]
    async with before(provider, *answers, policies=[CODE_POLICY]) as (gate, server):
        raw = await fetch(gate, api, PEACE, stream=stream)
        assert text_of(raw, api, stream) == PROSE
        assert raw.own["attempts"] == "2"
        assert len(server.seen) == 2
        assert "Elucidate" not in str(provider.told(server.seen[1].doc))


# ---- errors


@each_api
@both
@pytest.mark.parametrize("status", [400, 401, 429, 503])
async def test_a_refusal_has_the_shape_of_its_api(api: str, stream: bool, status: int) -> None:
    failing = BEDROCK.failing(status, "not so fast", Retry_After="7")
    async with before(BEDROCK, failing) as (gate, server):
        raw = await fetch(gate, api, stream=stream)
        assert (raw.status, raw.value("retry-after")) == (status, "7")
        assert raw.doc["error"]["message"] == "not so fast"
        if api == "messages":
            kinds = {
                400: "invalid_request_error",
                401: "authentication_error",
                429: "rate_limit_error",
                503: "overloaded_error",
            }
            assert (raw.doc["type"], raw.doc["error"]["type"]) == ("error", kinds[status])
        assert len(server.seen) == 1


async def test_official_clients_raise_what_they_raise_of_their_own_providers() -> None:
    async with before(GEMINI, GEMINI.failing(429, "slow"), GEMINI.failing(429, "slow")) as (gate, _):
        async with gate.client() as client:
            with pytest.raises(openai.RateLimitError):
                await client.responses.create(model="m", input=WEATHER)
        async with anthropic_client(gate) as other:
            with pytest.raises(anthropic.RateLimitError):
                await other.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": WEATHER}])


@each_provider
@each_api
async def test_a_stream_that_is_lost_is_no_complete_answer(provider: Provider, api: str) -> None:
    async with before(provider, provider.cut(Content(DANUBE), Junk(b""))) as (gate, _):
        raw = await fetch(gate, api, stream=True)
        ends = (b"response.completed", b"message_stop", b"[DONE]")
        assert raw.broken or not any(end in raw.body for end in ends)


@pytest.mark.parametrize(
    ("api", "fields", "param"),
    [
        ("responses", {"previous_response_id": "resp_1"}, "previous_response_id"),
        ("responses", {"conversation": "conv_1"}, "conversation"),
        ("responses", {"background": True}, "background"),
        ("responses", {"prompt": {"id": "p"}}, "prompt"),
        ("responses", {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "tools"),
        ("responses", {"tools": [{"type": "mcp", "server_url": "http://127.0.0.1:9"}]}, "tools"),
        ("responses", {"input": 7}, "input"),
        ("responses", {"api_base": "http://127.0.0.1:9"}, "api_base"),
        ("messages", {"mcp_servers": [{"url": "http://127.0.0.1:9"}]}, "mcp_servers"),
        ("messages", {"container": "c"}, "container"),
        ("messages", {"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools"),
        ("messages", {"messages": []}, "messages"),
        ("messages", {"api_key": "sk-thief"}, "api_key"),
        ("completions", {"echo": True}, "echo"),
        ("completions", {"suffix": "."}, "suffix"),
        ("completions", {"prompt": ["a", "b"]}, "prompt"),
        ("completions", {"prompt": [1, 2]}, "prompt"),
        ("completions", {"custom_llm_provider": "x"}, "custom_llm_provider"),
    ],
)
async def test_what_no_other_provider_could_follow_is_refused_by_name(api: str, fields: dict[str, Any], param: str) -> None:
    async with before(ANTHROPIC) as (gate, server):
        raw = await fetch(gate, api, **fields)
        assert (raw.status, raw.doc["error"]["param"]) == (400, param)
        assert server.seen == []


@each_api
async def test_strange_bodies_are_refused_and_never_a_500(api: str) -> None:
    strange: list[Any] = [[], "x", {"messages": [7]}, {"input": [7]}, {"input": [{"type": 3}]}, {"prompt": [None]}]
    async with before(ANTHROPIC, *[ANTHROPIC.answer(Content(DANUBE), False)] * 7) as (gate, _):
        for one in strange:
            doc = {**body_of(api), **one} if isinstance(one, dict) else one
            raw = await gate.fetch("POST", PATHS[api], list(JSON), json.dumps(doc).encode())
            assert raw.status in (200, 400, 404, 502), (one, raw)
            assert raw.status == 200 or raw.doc["error"]["message"]


async def test_other_paths_are_answered_404() -> None:
    async with before(ANTHROPIC) as (gate, _):
        for method, path in (
            ("GET", "/v1/responses/resp_1"), ("DELETE", "/v1/responses/resp_1"), ("POST", "/v1/messages/count_tokens"),
            ("POST", "/v1/images/generations"), ("GET", "/v1/files"),
        ):  # fmt: skip
            raw = await gate.fetch(method, path, list(JSON), b'{"model":"m"}' if method == "POST" else None)
            assert raw.status == 404
            assert raw.doc["error"]["message"]


# ---- what the provider was not told


@pytest.mark.parametrize(
    ("provider", "api", "fields", "lost"),
    [
        (ANTHROPIC, "responses", {"metadata": {"a": "b"}, "truncation": "auto"}, {"metadata", "truncation"}),
        (GEMINI, "responses", {"user": "u-1", "temperature": 0.5}, {"user"}),
        (GEMINI, "responses", {"tools": [FLAT], "parallel_tool_calls": False}, {"parallel_tool_calls"}),
        (BEDROCK, "responses", {"tools": [FLAT], "parallel_tool_calls": False}, {"parallel_tool_calls"}),
        (GEMINI, "messages", {"metadata": {"user_id": "u-1"}, "top_k": 3}, {"metadata"}),
        (ANTHROPIC, "messages", {"metadata": {"user_id": "u-1"}, "top_k": 3, "service_tier": "auto"}, {"service_tier"}),
        (BEDROCK, "completions", {"user": "u-1", "temperature": 0.5}, {"user"}),
        (ANTHROPIC, "completions", {"user": "u-1", "temperature": 0.5}, set()),
    ],
)
async def test_what_was_dropped_is_said(provider: Provider, api: str, fields: dict[str, Any], lost: set[str]) -> None:
    async with before(provider, provider.answer(Content(DANUBE), False)) as (gate, server):
        raw = await fetch(gate, api, **fields)
        assert raw.status == 200
        assert {name for name in (raw.value(DROPPED) or "").split(", ") if name} == lost
        assert len(server.seen) == 1  # nobody is asked to find out


async def test_what_litellm_drops_after_its_own_mapping_is_said_of_chat_too() -> None:
    """Its mapping keeps `parallel_tool_calls` for Gemini, and its request leaves it out."""
    tool: Any = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
    async with before(GEMINI, GEMINI.answer(Content(DANUBE), False)) as (gate, server), gate.client() as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="m", messages=[{"role": "user", "content": WEATHER}], tools=[tool], parallel_tool_calls=False, temperature=0.5
        )
        assert raw.headers[DROPPED] == "parallel_tool_calls"
        assert b"arallel" not in server.seen[0].body
