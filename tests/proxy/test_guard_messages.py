"""Anthropic messages through a whole gateway, with the official client: the same objects and errors as from the API itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest

from detectors.combine import JUDGES
from tests.proxy.apis import MESSAGES, block_events, message_events, message_of
from tests.proxy.fake_upstream import JSON, SSE, Answer, Hang, Reset
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, PEACE, PROSE, REBUTTAL_POLICY, WEATHER, Rig, rig

ACTS: dict[str, Any] = {"policies": [CODE_POLICY, REBUTTAL_POLICY]}
BLOCK: dict[str, Any] = {"extends": "code", "boundary": {"inject": "never"}, "ladder": [{"action": "block"}]}
TOOLS: Any = [
    {"name": "look", "description": "d", "input_schema": {"type": "object", "properties": {"x": {"type": "integer"}}}}
]
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"x": 1}}


@asynccontextmanager
async def asking(*routes: Any, answers: Any, **fields: Any) -> AsyncIterator[tuple[Rig, anthropic.AsyncAnthropic]]:
    async with (
        rig(*routes, answers=answers, **fields) as gate,
        anthropic.AsyncAnthropic(base_url=gate.origin, api_key="sk-ant-client", max_retries=0) as client,
    ):
        yield gate, client


def asked(prompt: Any = PEACE, **fields: Any) -> Any:
    return {"model": "m", "max_tokens": 60, "messages": [{"role": "user", "content": prompt}], **fields}


async def test_a_message() -> None:
    async with asking(ACTS, answers=[MESSAGES.answer(CODE, False), MESSAGES.answer(PROSE, False)]) as (gate, client):
        raw = await client.messages.with_raw_response.create(**asked(system="Be kind."))
        message = await raw.parse()
        assert (raw.headers["x-chunkguard-verdict"], raw.headers["x-chunkguard-attempts"]) == ("clear", "2")
        assert [block.type for block in message.content] == ["thinking", "text"]
        assert message.content[1].text == PROSE  # type: ignore[union-attr]
        assert (message.stop_reason, message.usage.output_tokens, message.usage.cache_read_input_tokens) == ("end_turn", 7, 2)
        first, second = gate.upstream.seen
        for name in ("authorization", "x-api-key", "anthropic-version", "user-agent"):
            assert first.values(name) == second.values(name)
        assert "sk-ant-client" in str(first.headers)
        assert gate.upstream.seen[1].doc["system"] == "Be kind."


async def test_a_stream() -> None:
    async with asking(ACTS, answers=[MESSAGES.answer(CODE, True), MESSAGES.answer(PROSE, True)]) as (gate, client):
        async with client.messages.stream(**asked()) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            message = await stream.get_final_message()
        assert (text, message.content[1].text) == (PROSE, PROSE)  # type: ignore[union-attr]
        assert (message.stop_reason, message.usage.output_tokens, message.usage.input_tokens) == ("end_turn", 7, 2)
        record = await gate.recorded()
        assert (record.endpoint, record.streamed, record.fixed) == ("messages", True, ("code",))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_block_is_a_refusal_of_the_api(stream: bool) -> None:
    async with asking({"policies": [BLOCK]}, answers=[MESSAGES.answer(CODE, stream)]) as (_, client):
        message = await final(client, stream)
        assert (message.stop_reason, message.content, message.id) == ("refusal", [], "msg_1")


async def final(client: anthropic.AsyncAnthropic, stream: bool, **fields: Any) -> anthropic.types.Message:
    if not stream:
        return await client.messages.create(**asked(**fields))  # type: ignore[no-any-return]
    async with client.messages.stream(**asked(**fields)) as events:
        return await events.get_final_message()  # type: ignore[no-any-return]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_client_reads_an_answer_with_a_report(stream: bool) -> None:
    async with asking({**ACTS, "report": True}, answers=[MESSAGES.answer(DANUBE, stream)]) as (_, client):
        message = await final(client, stream, prompt=WEATHER)
        assert message.content[1].text == DANUBE  # type: ignore[union-attr]


def tool_answer(stream: bool) -> Answer:
    if not stream:
        return Answer([message_of(CALL, stop="tool_use")], headers=list(JSON), length=True)
    pieces: list[Any] = [{"type": "input_json_delta", "partial_json": part} for part in ("", '{"x"', ": 1}")]
    return Answer(message_events(block_events(0, {**CALL, "input": {}}, *pieces), stop="tool_use"), headers=list(SSE))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_loop(stream: bool) -> None:
    """A declared tool's call passes; its result goes up as it was sent."""
    async with asking(ACTS, answers=[tool_answer(stream), MESSAGES.answer(DANUBE, stream)]) as (gate, client):
        first = await final(client, stream, prompt=WEATHER, tools=TOOLS)
        (call,) = first.content
        assert (call.type, call.name, call.input, first.stop_reason) == ("tool_use", "look", {"x": 1}, "tool_use")  # type: ignore[union-attr]
        result = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "Danube"}]
        messages = [
            *asked(WEATHER)["messages"],
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": result},
        ]
        second = await client.messages.create(model="m", max_tokens=9, tools=TOOLS, messages=messages, stream=False)
        assert len(gate.upstream.seen) == 2
        assert gate.upstream.seen[1].doc["messages"][2]["content"] == result
        assert stream or second.content[1].text == DANUBE


async def test_an_undeclared_call_is_held_until_it_is_judged_and_asked_again() -> None:
    policy = {"extends": "tool_call", "hold": {"default": "all"}, "ladder": [{"action": "retry", "change": ["boundary"]}]}
    async with asking({"policies": [policy]}, answers=[tool_answer(True), MESSAGES.answer(PROSE, True)]) as (gate, client):
        message = await final(client, True, prompt=WEATHER)
        assert message.content[1].text == PROSE  # type: ignore[union-attr]
        assert len(gate.upstream.seen) == 2


async def test_the_operators_cached_system_prompt_comes_first() -> None:
    always = {"extends": "code", "boundary": {"inject": "always", "placement": "system_append"}}
    system: Any = [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]
    async with asking({"policies": [always]}, answers=[MESSAGES.answer(DANUBE, False)]) as (gate, client):
        await client.messages.create(**asked(WEATHER, system=system))
        sent = gate.upstream.seen[0].doc
        assert (sent["system"][:1], len(sent["system"]), sent["messages"]) == (system, 2, asked(WEATHER)["messages"])


async def test_errors_of_the_gateway_are_the_clients_own() -> None:
    async with asking(ACTS, answers=[Answer([], before=[Reset()])], limits={"body_bytes": 5000}) as (_, client):
        with pytest.raises(anthropic.BadRequestError, match="valid list"):
            await client.messages.create(model="m", max_tokens=9, messages={"a": 1})  # type: ignore[arg-type, call-overload]
        with pytest.raises(anthropic.APIStatusError) as large:
            await client.messages.create(**asked("x" * 9000))
        assert (large.value.status_code, large.value.body["error"]["type"]) == (413, "request_too_large")  # type: ignore[index]
        with pytest.raises(anthropic.InternalServerError) as dead:
            await client.messages.create(**asked())
        assert dead.value.body["error"]["code"] == "upstream_unavailable"  # type: ignore[index]


async def test_a_strangers_key_is_refused_in_the_shape_of_the_api() -> None:
    async with asking(ACTS, answers=[MESSAGES.answer(DANUBE, False)], keys={"team": "sk-team"}) as (_, client):
        with pytest.raises(anthropic.AuthenticationError):
            await client.messages.create(**asked())
        with pytest.raises(anthropic.AuthenticationError) as counted:
            await client.messages.count_tokens(model="m", messages=asked()["messages"])
        assert counted.value.body["type"] == "error"  # type: ignore[index]


async def test_an_upstreams_errors_are_the_clients_own() -> None:
    body = json.dumps(
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"}
    ).encode()
    async with asking(ACTS, answers=[Answer([body], status=529, length=True)]) as (_, client):
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(**asked())
        assert (caught.value.status_code, caught.value.body["request_id"]) == (529, "r")  # type: ignore[index]


async def test_a_failure_after_the_head_is_an_error_event() -> None:
    broken = Answer([MESSAGES.stream(CODE)[0], Hang()], headers=list(SSE))
    held = {"policies": [{**CODE_POLICY, "hold": {"default": "all"}}]}
    fields: Any = {"limits": {"keepalive_s": 0.05}, "main": {"timeouts": {"total_s": 0.4}}}
    async with asking(held, answers=[broken], **fields) as (_, client):
        with pytest.raises(anthropic.APIStatusError) as caught:
            await final(client, True)
        assert caught.value.body["error"]["type"] == "timeout_error"  # type: ignore[index]


async def test_what_fails_closed_midway_is_an_error_event(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = {**REBUTTAL_POLICY, "failure_mode": "fail_closed", "hold": {"default": {"kind": "window", "chars": 40}}}
    async with asking({"policies": [policy]}, answers=[MESSAGES.answer(f"{DANUBE} " * 5, True)]) as (_, client):
        judge, calls = JUDGES["rebuttal"], iter(range(100))

        def crash(case: Any) -> Any:
            if next(calls):
                raise RuntimeError
            return judge(case)

        monkeypatch.setattr("detectors.suite.JUDGES", {**JUDGES, "rebuttal": crash})
        with pytest.raises(anthropic.APIStatusError) as caught:
            await final(client, True, prompt=WEATHER)
        assert caught.value.body["error"]["code"] == "guard_unavailable"  # type: ignore[index]


@pytest.mark.parametrize("prefix", ["", "/observe"])
async def test_counting_tokens_and_batches_pass_untouched(prefix: str) -> None:
    routes: list[Any] = [
        ACTS,
        {"name": "o", "match": {"path_prefix": "/observe"}, "policies": [{"extends": "code", "enforcement": "observe"}]},
    ]
    counted = Answer([b'{"input_tokens": 14}'], length=True)
    async with rig(*routes, answers=[counted]) as gate:
        for path in ("/v1/messages/count_tokens", "/v1/messages/batches", "/v1/threads/t/messages"):
            gate.upstream.seen.clear()
            body = json.dumps(asked()).encode()
            answer = await gate.fetch("POST", f"{prefix}{path}?beta=true", [("x-api-key", "k")], body)
            assert (answer.body, answer.own, gate.upstream.seen[0].body) == (counted.body, {}, body)
            assert gate.upstream.seen[0].target == f"{path}?beta=true"
