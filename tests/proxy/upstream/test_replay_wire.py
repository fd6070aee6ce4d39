"""The bytes of recorded answers, as an OpenAI client reads them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from proxy.upstream.replay_file import ReplayExchange
from proxy.upstream.replay_wire import body_of, events_of

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hello there"}]}
CALL = {"id": "call_1", "type": "function", "function": {"name": "lookup", "arguments": '{"q": "a long enough question"}'}}


def exchange(**fields: Any) -> ReplayExchange:
    return ReplayExchange.model_validate(fields)


def docs_of(events: list[bytes]) -> list[dict[str, Any]]:
    assert events[-1] == b"data: [DONE]\n\n"
    return [orjson.loads(event.removeprefix(b"data: ")) for event in events[:-1]]


def test_a_plain_answer_is_a_chat_completion() -> None:
    doc = orjson.loads(body_of(exchange(reply="Hi."), REQUEST))
    parsed = ChatCompletion.model_validate(doc, strict=True)
    assert (parsed.choices[0].message.content, parsed.choices[0].finish_reason, parsed.model) == ("Hi.", "stop", "m")
    assert doc["usage"] == {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}


def test_a_stream_is_chunks_whose_text_is_the_content() -> None:
    docs = docs_of(events_of(exchange(reply="A text of more than forty characters, so three deltas."), REQUEST))
    chunks = [ChatCompletionChunk.model_validate(doc) for doc in docs]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == (
        "A text of more than forty characters, so three deltas."
    )
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 4 + ["stop"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert all("usage" not in doc for doc in docs)


def test_usage_comes_last_when_it_is_asked_for() -> None:
    docs = docs_of(events_of(exchange(reply="Hi."), {**REQUEST, "stream_options": {"include_usage": True}}))
    assert (docs[-1]["choices"], docs[-1]["usage"]["total_tokens"]) == ([], 4)
    assert all(doc["usage"] is None for doc in docs[:-1])


@pytest.mark.parametrize(("chunks", "deltas"), [(3, ["abcd", "efgh", "ij"]), (["ab", "cdefghij"], ["ab", "cdefghij"])])
def test_chunks_are_as_recorded(chunks: Any, deltas: list[str]) -> None:
    docs = docs_of(events_of(exchange(reply="abcdefghij", chunks=chunks), REQUEST))
    assert [doc["choices"][0]["delta"]["content"] for doc in docs[1:-1]] == deltas


def test_n_takes_so_many_choices_and_repeats_the_last() -> None:
    recorded = exchange(reply={"choices": [{"message": {"content": text}} for text in "ab"]})
    texts = [choice["message"]["content"] for choice in orjson.loads(body_of(recorded, {**REQUEST, "n": 3}))["choices"]]
    assert texts == ["a", "b", "b"]
    assert len(orjson.loads(body_of(recorded, REQUEST))["choices"]) == 1
    docs = docs_of(events_of(recorded, {**REQUEST, "n": 2}))
    assert {doc["choices"][0]["index"] for doc in docs} == {0, 1}


def test_tool_calls_come_whole_or_in_deltas() -> None:
    recorded = exchange(reply={"tool_calls": [CALL]})
    choice = orjson.loads(body_of(recorded, REQUEST))["choices"][0]
    assert (choice["finish_reason"], choice["message"]["tool_calls"]) == ("tool_calls", [CALL])
    docs = docs_of(events_of(recorded, REQUEST))
    calls = [call for doc in docs for call in doc["choices"][0]["delta"].get("tool_calls", ())]
    assert (calls[0]["id"], calls[0]["function"]["name"]) == ("call_1", "lookup")
    assert "".join(call["function"]["arguments"] for call in calls) == CALL["function"]["arguments"]  # type: ignore[index]
    assert docs[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_reasoning_refusal_and_logprobs_are_kept() -> None:
    message = {"reasoning_content": "hm", "content": "yes", "refusal": "no"}
    recorded = exchange(reply={"choices": [{"message": message, "logprobs": {"content": [1]}}]})
    deltas = [(doc["choices"][0]["delta"], doc["choices"][0]["logprobs"]) for doc in docs_of(events_of(recorded, REQUEST))]
    assert ({"reasoning_content": "hm"}, None) in deltas
    assert ({"content": "yes"}, {"content": [1]}) in deltas
    assert ({"refusal": "no"}, None) in deltas
    assert orjson.loads(body_of(recorded, REQUEST))["choices"][0]["logprobs"] == {"content": [1]}


def test_ids_depend_on_the_prompt_and_nothing_else() -> None:
    recorded = exchange(reply="x")
    other = {**REQUEST, "messages": [{"role": "user", "content": "Bye"}]}
    first, again, third = [orjson.loads(body_of(recorded, doc))["id"] for doc in (REQUEST, REQUEST, other)]
    assert first == again != third
