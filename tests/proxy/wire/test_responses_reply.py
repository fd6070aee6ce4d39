"""Replies of /v1/responses as pieces: from deltas, from items, from the final response, each text once."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from core.attempt import Answer
from core.types import Reply, ToolCall, Usage
from proxy.wire.responses_reply import ReplyDecoder
from tests.proxy.apis import RESPONSES, item_docs, message_docs, named, numbered, output_message, response_docs, response_of

CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": '{"x":1}', "status": "completed"}
SHELL = {"type": "local_shell_call", "id": "ls_1", "call_id": "c2", "action": {"type": "exec", "command": ["ls"]}}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
REFUSED = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}


def read(streamed: bool, body: bytes) -> tuple[ReplyDecoder, Reply | None, Usage | None]:
    decoder, answer, data = ReplyDecoder(streamed), Answer(), b""
    for piece in (*decoder.feed(body), *decoder.flush()):
        answer.read(piece)
        data += piece.data
    assert data == body
    replies = answer.replies()
    return decoder, replies[0] if replies else None, answer.usage


@pytest.mark.parametrize("streamed", [True, False])
def test_text_reasoning_usage_and_end(streamed: bool) -> None:
    decoder, reply, usage = read(streamed, RESPONSES.answer("A b c.", streamed).body)
    assert reply == Reply(0, "A b c.", "Hm \u00e9.", finish_reason="stop")
    assert (usage, decoder.complete, decoder.id, decoder.malformed, decoder.error) == (Usage(5, 7), True, "resp_1", 0, None)


def test_calls_of_the_client_are_read_and_of_the_provider_not() -> None:
    deltas: list[dict[str, Any]] = [
        {"type": "response.function_call_arguments.delta", "delta": part} for part in ('{"x"', ":1}")
    ]
    streams = [item_docs(0, SEARCH), item_docs(1, CALL, *deltas), item_docs(2, SHELL)]
    body = b"".join(numbered(*response_docs(*streams)))
    shell = ToolCall("local_shell", '{"type":"exec","command":["ls"]}', "c2")
    for streamed, given in ((True, body), (False, orjson.dumps(response_of(SEARCH, CALL, SHELL)))):
        _, reply, _ = read(streamed, given)
        assert reply is not None
        assert reply.tool_calls == (ToolCall("look", '{"x":1}', "c1"), shell)


def test_a_call_without_deltas_is_read_from_its_item() -> None:
    _, reply, _ = read(True, b"".join(numbered(*response_docs(item_docs(0, CALL)))))
    assert reply is not None
    assert reply.tool_calls == (ToolCall("look", '{"x":1}', "c1"),)


@pytest.mark.parametrize("keep", ["item", "response"])
def test_a_text_without_deltas_is_read_once(keep: str) -> None:
    kinds = {"item": ("response.output_item.done", "response.completed"), "response": ("response.completed",)}[keep]
    docs = [doc for doc in response_docs(message_docs(0, "A b")) if doc["type"] in kinds]
    _, reply, _ = read(True, b"".join(numbered(*docs)))
    assert reply is not None
    assert reply.text == "A b"


def test_refusals_of_the_api() -> None:
    _, reply, _ = read(False, orjson.dumps(response_of(REFUSED)))
    assert reply is not None
    assert (reply.text, reply.refusal) == ("", "No.")
    assert read(True, named({"type": "response.refusal.delta", "delta": "No."}))[1] == Reply(refusal="No.")


@pytest.mark.parametrize(
    ("fields", "finish", "error"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "max_output_tokens", None),
        ({"status": "incomplete"}, "incomplete", None),
        ({"status": "queued", "usage": None}, None, None),
        ({"status": "failed", "error": {"code": "x"}}, None, {"code": "x"}),
    ],
)
def test_other_ends(fields: dict[str, Any], finish: str | None, error: Any) -> None:
    decoder, reply, _ = read(False, orjson.dumps(response_of(output_message("a"), **fields)))
    assert reply is not None
    assert (reply.finish_reason, decoder.error, decoder.complete) == (finish, error, error is None)
    streamed = named({"type": "response.failed", "response": response_of(**fields)})
    assert read(True, streamed)[0].error == error


def test_errors() -> None:
    flat = {"type": "error", "code": "x", "message": "m", "sequence_number": 1}
    assert read(True, named(flat))[0].error == flat
    assert read(True, named({**flat, "error": {"code": "y"}}))[0].error == {"code": "y"}
    assert read(False, b'{"error":{"code":"y"}}')[0].error == {"code": "y"}


def test_a_truncated_stream_is_not_complete() -> None:
    body = RESPONSES.stream("A b")
    assert not read(True, b"".join(body[:-1]))[0].complete
    assert read(True, b"".join(body[:-1]) + b"data: [DONE]\n\n")[0].complete


def test_odd_types_are_read_as_nothing() -> None:
    docs: list[dict[str, Any]] = [
        {"type": "response.output_item.added", "item": 7},
        {"type": "response.output_item.done", "output_index": "x", "item": {"type": "message", "content": "x"}},
        {"type": "response.output_item.done", "output_index": 4, "item": {"type": "function_call", "name": "f"}},
        {"type": "response.x_new.delta", "delta": "zzz"},
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "x"},
    ]
    decoder, reply, _ = read(True, b"".join(map(named, docs)))
    assert reply is not None
    assert (reply.text, reply.tool_calls, decoder.id, decoder.malformed) == ("", (ToolCall("f", ""),), "r", 0)
    assert read(False, b'{"object":"x"}')[0].malformed == 1
    assert read(False, orjson.dumps(response_of(7)))[0].malformed == 1  # type: ignore[arg-type]
