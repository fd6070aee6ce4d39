"""Chat completions told as responses: every order of deltas gives events that OpenAI documents, in order and numbered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from proxy.upstream.litellm_responses import ResponseEvents, streamed, whole

Doc = dict[str, Any]
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, "prompt_tokens_details": {"cached_tokens": 4}}


def chunk(delta: Doc, finish: str | None = None, index: int = 0, **fields: Any) -> Doc:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "m", "choices": [choice], **fields}


def call(index: int, arguments: str, first: bool = False) -> Doc:
    """A part of a tool call; only the first has a name and an id."""
    named = {"id": f"call_{index}", "type": "function"} if first else {}
    return {"tool_calls": [{"index": index, **named, "function": {"arguments": arguments, **({"name": "f"} if first else {})}}]}


def told(*chunks: Doc, **request: Any) -> list[Doc]:
    events = ResponseEvents(request)
    return [event for one in chunks for event in events.feed(one)] + events.end()


def check(docs: list[Doc]) -> Doc:
    """What holds of every stream; gives its last answer."""
    for doc in docs:
        EVENT.validate_python(doc)
    assert [doc["sequence_number"] for doc in docs] == list(range(len(docs)))
    places = [doc["output_index"] for doc in docs if "output_index" in doc]
    assert places == sorted(places)
    answer: Doc = docs[-1]["response"]
    done = [doc["item"] for doc in docs if doc["type"] == "response.output_item.done"]
    assert answer["output"] == done
    ids = [item["id"] for item in done]
    assert len(set(ids)) == len(ids)
    return answer


PIECES = st.lists(
    st.one_of(
        st.text(min_size=1, max_size=5).map(lambda text: {"content": text}),
        st.text(min_size=1, max_size=5).map(lambda text: {"reasoning_content": text}),
        st.text(min_size=1, max_size=5).map(lambda text: {"refusal": text}),
        st.just({"role": "assistant"}),
    ),
    max_size=8,
)


@given(PIECES, st.integers(0, 3))
def test_any_order_of_deltas_is_told_in_order(pieces: list[Doc], calls: int) -> None:
    deltas = list(pieces)
    for number in range(calls):
        deltas += [call(number, "", first=True), call(number, '{"a": '), call(number, "1}")]
    answer = check(told(*map(chunk, deltas), chunk({}, "tool_calls" if calls else "stop")))
    said = "".join(
        part["text"] for item in answer["output"] for part in item.get("content", ()) if part["type"] == "output_text"
    )
    assert said == "".join(piece.get("content", "") for piece in pieces)
    thought = "".join(part["text"] for item in answer["output"] for part in item.get("summary", ()))
    assert thought == "".join(piece.get("reasoning_content", "") for piece in pieces)
    made = [item for item in answer["output"] if item["type"] == "function_call"]
    assert [(item["call_id"], item["arguments"]) for item in made] == [(f"call_{n}", '{"a": 1}') for n in range(calls)]


def test_deltas_make_up_what_is_done() -> None:
    docs = told(chunk({"content": "The "}), chunk({"content": "Danube."}), chunk({}, "stop"))
    check(docs)
    assert [doc["type"].removeprefix("response.") for doc in docs] == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert docs[6]["text"] == "The Danube."
    assert docs[3]["part"]["text"] == ""  # what was told stays as it was


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter"), ("stop", None)]
)
def test_an_answer_that_was_cut_is_incomplete(finish: str, reason: str | None) -> None:
    docs = told(chunk({"content": "The "}), chunk({}, finish))
    answer = check(docs)
    assert docs[-1]["type"] == ("response.incomplete" if reason else "response.completed")
    assert answer["status"] == ("incomplete" if reason else "completed")
    assert answer["incomplete_details"] == ({"reason": reason} if reason else None)


def test_usage_is_counted_as_responses_count_it() -> None:
    answer = check(told(chunk({"content": "x"}), chunk({}, "stop"), {"choices": [], "usage": USAGE}))
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"], answer["usage"]["total_tokens"]) == (9, 5, 14)
    assert answer["usage"]["input_tokens_details"]["cached_tokens"] == 4


def test_other_choices_than_the_first_are_not_told() -> None:
    answer = check(told(chunk({"content": "one"}), chunk({"content": "two"}, index=1), chunk({}, "stop")))
    assert [item["content"][0]["text"] for item in answer["output"]] == ["one"]


def test_what_was_asked_is_repeated_and_nothing_is_stored() -> None:
    answer = check(told(chunk({"content": "x"}), temperature=0.5, instructions="Be brief.", store=True, metadata={"a": "b"}))
    assert (answer["temperature"], answer["instructions"], answer["store"], answer["metadata"]) == (
        0.5,
        "Be brief.",
        False,
        {"a": "b"},
    )


def test_a_whole_answer_is_a_stream_of_one_chunk() -> None:
    message = {"role": "assistant", "content": "Hello.", "reasoning_content": "Hm.", **call(0, '{"a": 1}', first=True)}
    message["thinking_blocks"] = [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]
    completion = {"id": "chatcmpl-1", "created": 1, "model": "m", "usage": USAGE}
    answer = whole({}, {**completion, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})
    Response.model_validate(answer)
    assert [item["type"] for item in answer["output"]] == ["reasoning", "message", "function_call"]
    assert json.loads(answer["output"][0]["encrypted_content"]) == message["thinking_blocks"]


def test_signed_thinking_of_a_stream_is_sealed_with_its_text() -> None:
    signed = {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "c2ln"}]}
    answer = check(
        told(chunk({"reasoning_content": "Hm"}), chunk({"reasoning_content": "."}), chunk(signed), chunk({}, "stop"))
    )
    (item,) = answer["output"]
    assert json.loads(item["encrypted_content"]) == [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]
    both = {"thinking_blocks": [{"type": "redacted_thinking", "data": "x"}, *signed["thinking_blocks"]]}
    (item,) = check(told(chunk({"reasoning_content": "Hm."}), chunk(both), chunk({}, "stop")))["output"]
    assert json.loads(item["encrypted_content"]) == both["thinking_blocks"]


def test_an_answer_without_a_word_is_an_answer() -> None:
    assert check(told(chunk({"role": "assistant"}), chunk({}, "stop")))["output"] == []


async def test_events_are_named() -> None:
    async def chunks() -> AsyncIterator[Doc]:
        yield chunk({"content": "x"})
        yield chunk({}, "stop")

    lines = [line async for line in streamed({}, chunks())]
    assert lines[0].startswith(b"event: response.created\ndata: {")
    assert all(line.endswith(b"}\n\n") for line in lines)
    assert lines[-1].startswith(b"event: response.completed\n")
