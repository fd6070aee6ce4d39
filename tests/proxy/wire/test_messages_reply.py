"""Replies of /v1/messages as pieces, plain and streamed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from core.attempt import Answer
from core.types import Reply, ToolCall, Usage
from proxy.wire.messages_reply import ReplyDecoder
from tests.proxy.apis import MESSAGES, block_events, message_events, message_of, named

TOOL = {"type": "tool_use", "id": "t1", "name": "look", "input": {"x": 1}}
SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}


def read(streamed: bool, body: bytes) -> tuple[ReplyDecoder, Reply | None, Usage | None]:
    decoder, answer, data = ReplyDecoder(streamed), Answer(), b""
    for piece in (*decoder.feed(body), *decoder.flush()):
        answer.read(piece)
        data += piece.data
    assert data == body
    replies = answer.replies()
    return decoder, replies[0] if replies else None, answer.usage


@pytest.mark.parametrize("streamed", [True, False])
def test_text_thinking_usage_and_end(streamed: bool) -> None:
    decoder, reply, usage = read(streamed, MESSAGES.answer("A b c.", streamed).body)
    assert reply == Reply(0, "A b c.", "Hm \u00e9.", finish_reason="end_turn")
    assert (usage, decoder.complete, decoder.id, decoder.malformed, decoder.error) == (Usage(5, 7), True, "msg_1", 0, None)


def tool_stream() -> bytes:
    pieces: list[dict[str, Any]] = [{"type": "input_json_delta", "partial_json": part} for part in ("", '{"x"', ":1}")]
    blocks = block_events(0, SEARCH, *pieces), block_events(1, {**TOOL, "input": {}}, *pieces)
    return b"".join(message_events(*blocks, stop="tool_use"))


def test_calls_of_the_clients_tools_are_read_and_of_the_providers_not() -> None:
    for streamed, body in ((True, tool_stream()), (False, message_of(SEARCH, TOOL, stop="tool_use"))):
        _, reply, _ = read(streamed, body)
        assert reply is not None
        assert (reply.tool_calls, reply.finish_reason) == ((ToolCall("look", '{"x":1}', "t1"),), "tool_use")


def test_a_call_without_arguments() -> None:
    _, reply, _ = read(False, message_of({**TOOL, "input": {}}))
    assert reply is not None
    assert reply.tool_calls == (ToolCall("look", "{}", "t1"),)


def test_an_empty_answer_is_one() -> None:
    decoder, reply, _ = read(False, message_of(stop="end_turn"))
    assert (decoder.complete, reply) == (True, Reply(finish_reason="end_turn"))
    doc = {"type": "message", "content": [], "stop_reason": None}
    assert read(False, orjson.dumps(doc))[1] == Reply()


def test_an_error_in_the_middle() -> None:
    error = {"type": "overloaded_error", "message": "x"}
    body = b"".join(MESSAGES.stream("A b")[:4]) + named({"type": "error", "error": error})
    decoder, _, usage = read(True, body)
    assert (decoder.error, decoder.complete, usage) == (error, False, None)
    assert read(True, named({"type": "error"}))[0].error == {"type": "error"}
    assert read(False, b'{"error":{"message":"x"}}')[0].error == {"message": "x"}


def test_a_truncated_stream_is_not_complete() -> None:
    assert not read(True, b"".join(MESSAGES.stream("A b")[:6]))[0].complete
    assert read(True, b"".join(MESSAGES.stream("A b")[:-1]))[0].complete
    assert read(True, b"".join(MESSAGES.stream("A b")))[0].complete
    assert read(True, named({"type": "message_stop"}))[0].complete


@pytest.mark.parametrize(
    "doc", [{"type": "x"}, {"type": "message", "content": "x"}, {"type": "message", "content": ["x"]}, {"a": 1}]
)
def test_what_cannot_be_read_is_counted(doc: dict[str, Any]) -> None:
    assert read(False, orjson.dumps(doc))[0].malformed == 1


def test_odd_types_are_read_as_nothing() -> None:
    docs: list[dict[str, Any]] = [
        {"type": "message_start", "message": 7},
        {"type": "message_start", "message": {"content": [{"type": "text", "text": "a"}], "usage": 7}},
        {"type": "content_block_start", "index": "x", "content_block": {"type": "text", "text": 7}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "b"}},
        {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": "{"}},
        {"type": "message_delta", "delta": {"stop_reason": 7}, "usage": {"output_tokens": 3, "input_tokens": "x"}},
        {"type": "x_new"},
    ]
    decoder, reply, usage = read(True, b"".join(map(named, docs)))
    assert reply is not None
    assert (reply.text, reply.tool_calls, usage, decoder.complete) == ("ab", (), Usage(0, 3), False)
