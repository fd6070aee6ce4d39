"""OpenAI responses through a whole gateway, with the official client: objects, events, errors, and what the provider keeps."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.proxy.apis import RESPONSES, item_docs, numbered, output_message, response_docs, response_of
from tests.proxy.fake_upstream import JSON, SSE, Answer, Hang, Seen
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, DENIAL, PEACE, PROSE, REBUTTAL_POLICY, SUM, WEATHER, rig, until

ACTS: dict[str, Any] = {"policies": [CODE_POLICY, REBUTTAL_POLICY]}
BLOCK: dict[str, Any] = {"extends": "code", "boundary": {"inject": "never"}, "ladder": [{"action": "block"}]}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": '{"x": 1}', "status": "completed"}
TOOLS: Any = [{"type": "function", "name": "look", "strict": False, "parameters": {"type": "object", "properties": {"x": {}}}}]


def whole(doc: Any) -> Answer:
    return Answer([json.dumps(doc).encode()], headers=list(JSON), length=True)


async def test_a_response() -> None:
    async with (
        rig(ACTS, answers=[RESPONSES.answer(CODE, False), RESPONSES.answer(PROSE, False)]) as gate,
        gate.client() as client,
    ):
        raw = await client.responses.with_raw_response.create(model="m", input=PEACE, instructions="Be kind.")
        response = raw.parse()
        assert (response.output_text, response.status, response.id) == (PROSE, "completed", "resp_1")
        assert (raw.headers["x-chunkguard-verdict"], raw.headers["x-chunkguard-attempts"]) == ("clear", "2")
        assert response.usage is not None
        assert (response.usage.input_tokens, response.usage.output_tokens) == (5, 7)
        assert gate.upstream.seen[1].doc["instructions"] == "Be kind."


async def test_events_come_in_order_with_their_numbers() -> None:
    async with (
        rig(ACTS, answers=[RESPONSES.answer(CODE, True), RESPONSES.answer(PROSE, True)]) as gate,
        gate.client() as client,
    ):
        stream = await client.responses.create(model="m", input=PEACE, stream=True)
        events = [event async for event in stream]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == PROSE
        assert events[-1].type == "response.completed"
        assert (await gate.recorded()).endpoint == "responses"


@pytest.mark.parametrize("report", [False, True])
async def test_the_streaming_helper(report: bool) -> None:
    route = {**ACTS, "report": report}
    async with (
        rig(route, answers=[RESPONSES.answer(CODE, True), RESPONSES.answer(PROSE, True)]) as gate,
        gate.client() as client,
    ):
        async with client.responses.stream(model="m", input=PEACE) as stream:
            kinds = [event.type async for event in stream]
            response = await stream.get_final_response()
        assert (response.output_text, "response.completed" in kinds) == (PROSE, True)
        assert ("chunkguard" in kinds) == report


class River(BaseModel):
    name: str


async def test_structured_outputs_are_parsed() -> None:
    async with rig(ACTS, answers=[RESPONSES.answer('{"name": "Danube"}', False)]) as gate, gate.client() as client:
        response = await client.responses.parse(model="m", input=WEATHER, text_format=River)
        assert response.output_parsed == River(name="Danube")
        assert len(gate.upstream.seen) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_block_is_incomplete_for_the_content_filter(stream: bool) -> None:
    async with rig({"policies": [BLOCK]}, answers=[RESPONSES.answer(CODE, stream)]) as gate, gate.client() as client:
        if stream:
            events = [event async for event in await client.responses.create(model="m", input=PEACE, stream=True)]
            assert [event.type for event in events] == ["response.created", "response.incomplete"]
            response = events[-1].response  # type: ignore[union-attr]
        else:
            response = await client.responses.create(model="m", input=PEACE)
        assert (response.status, response.output_text, response.incomplete_details.reason) == (
            "incomplete",
            "",
            "content_filter",
        )


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_loop(stream: bool) -> None:
    deltas: list[dict[str, Any]] = [{"type": "response.function_call_arguments.delta", "delta": p} for p in ('{"x"', ": 1}")]
    called = (
        Answer(numbered(*response_docs(item_docs(0, CALL, *deltas))), headers=list(SSE)) if stream else whole(response_of(CALL))
    )
    async with rig(ACTS, answers=[called, RESPONSES.answer(DANUBE, False)]) as gate, gate.client() as client:
        if stream:
            async with client.responses.stream(model="m", input=WEATHER, tools=TOOLS) as events:
                first = await events.get_final_response()
        else:
            first = await client.responses.create(model="m", input=WEATHER, tools=TOOLS)
        (call,) = first.output
        assert (call.type, call.arguments) == ("function_call", '{"x": 1}')  # type: ignore[union-attr]
        items: Any = [
            {"role": "user", "content": WEATHER},
            CALL,
            {"type": "function_call_output", "call_id": "c1", "output": "Danube"},
        ]
        second = await client.responses.create(model="m", input=items, tools=TOOLS)
        assert (second.output_text, len(gate.upstream.seen)) == (DANUBE, 2)
        assert gate.upstream.seen[1].doc["input"] == items


@pytest.mark.parametrize(
    "fields", [{"tools": [{"type": "web_search"}]}, {"store": True}, {"background": True}, {"conversation": "c"}]
)
async def test_what_may_not_be_asked_again_is_flagged(fields: dict[str, Any]) -> None:
    async with rig(ACTS, answers=[RESPONSES.answer(DENIAL, False)]) as gate, gate.client() as client:
        response = await client.responses.create(model="m", input=SUM, **fields)
        assert response.output_text == DENIAL
        assert (len(gate.upstream.seen), (await gate.recorded()).flagged) == (1, True)


@pytest.mark.parametrize(("fields", "deleted"), [({}, ["/v1/responses/resp_1"]), ({"store": False}, [])])
async def test_dropped_answers_that_the_provider_keeps_are_deleted(fields: dict[str, Any], deleted: list[str]) -> None:
    given = {name: RESPONSES.answer(text, False).body for name, text in (("1", CODE), ("2", PROSE))}

    def respond(seen: Seen) -> Answer:
        if seen.method == "DELETE":
            return Answer([b'{"deleted": true}'], length=True)
        number = sum(one.method == "POST" for one in gate.upstream.seen)
        return Answer([given[str(number)].replace(b"resp_1", f"resp_{number}".encode())], length=True)

    async with rig(ACTS) as gate, gate.client() as client:
        gate.upstream.respond = respond
        response = await client.responses.create(model="m", input=PEACE, **fields)
        assert (response.output_text, response.id) == (PROSE, "resp_2")
        if deleted:
            await until(lambda: gate.metric("chunkguard_deleted_responses_total", result="deleted") == 1)
        assert [one.target for one in gate.upstream.seen if one.method == "DELETE"] == deleted


async def test_errors_are_the_clients_own() -> None:
    async with rig(ACTS, answers=[RESPONSES.answer(DANUBE, False)]) as gate, gate.client() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(model="m", input=7)  # type: ignore[arg-type]
        assert caught.value.param == "input"


async def test_a_failure_after_the_head_is_raised() -> None:
    broken = Answer([RESPONSES.stream(CODE)[0], Hang()], headers=list(SSE))
    held = {"policies": [{**CODE_POLICY, "hold": {"default": "all"}}]}
    fields: Any = {"limits": {"keepalive_s": 0.05}, "main": {"timeouts": {"total_s": 0.4}}}
    async with rig(held, answers=[broken], **fields) as gate, gate.client() as client:
        with pytest.raises(openai.APIError) as caught:
            [event async for event in await client.responses.create(model="m", input=PEACE, stream=True)]
        assert caught.value.code == "upstream_timeout"


async def test_retrieving_cancelling_and_deleting_pass_untouched() -> None:
    async with rig(ACTS, answers=[whole(response_of(output_message(DANUBE)))]) as gate, gate.client() as client:
        assert (await client.responses.retrieve("resp_1", include=["reasoning.encrypted_content"])).output_text == DANUBE
        assert (await client.responses.cancel("resp_1")).id == "resp_1"
        await client.responses.delete("resp_1")
        await client.responses.input_items.list("resp_1")
        assert [(seen.method, seen.target.partition("?")[0]) for seen in gate.upstream.seen] == [
            ("GET", "/v1/responses/resp_1"),
            ("POST", "/v1/responses/resp_1/cancel"),
            ("DELETE", "/v1/responses/resp_1"),
            ("GET", "/v1/responses/resp_1/input_items"),
        ]
        assert gate.records == []
