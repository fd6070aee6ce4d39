"""Composed replies of /v1/messages: their events keep the API's grammar, and nothing withheld is in them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from core.types import Piece
from proxy.errors import (
    GuardUnavailable,
    InvalidRequest,
    NotFound,
    Overloaded,
    RequestTooLarge,
    Timeout,
    Unauthorized,
    Unavailable,
)
from proxy.wire.messages_render import add_report, block, error_event, is_done, render, render_event, rewrite
from tests.proxy.apis import MESSAGES, block_events, docs_of, message_events, message_of, named

TOOL = {"type": "tool_use", "id": "t1", "name": "look", "input": {"x": 1}}
TEXT = {"type": "text", "text": "old", "citations": [{"cited_text": "old"}]}


def pieces(events: Any) -> list[Piece]:
    return [Piece(event) for event in events]


def grammar(body: bytes) -> list[str]:
    """The types of a stream's events, once it was seen that they keep the order and the numbers of the API."""
    docs = docs_of(body)
    open_block, blocks = None, 0
    for doc in docs:
        match doc["type"]:
            case "content_block_start":
                assert (open_block, doc["index"]) == (None, blocks)
                open_block, blocks = doc["index"], blocks + 1
            case "content_block_delta":
                assert doc["index"] == open_block
            case "content_block_stop":
                assert doc["index"] == open_block
                open_block = None
    assert open_block is None
    names = [line[7:].decode() for line in body.splitlines() if line.startswith(b"event: ")]
    assert names == [doc["type"] for doc in docs]
    return names


def test_a_rewritten_message() -> None:
    doc = orjson.loads(rewrite([Piece(message_of(TEXT, TOOL, TEXT))], ("Yes.",), False))
    assert doc["content"] == [{"type": "text", "text": "Yes."}, TOOL]
    assert (doc["usage"]["output_tokens"], doc["x_new"]) == (7, {"a": [1, None]})
    doc = orjson.loads(rewrite([Piece(message_of(TOOL))], ("Yes.",), False))
    assert doc["content"] == [TOOL, {"type": "text", "text": "Yes."}]


@pytest.mark.parametrize(("body", "contents"), [(b"junk", ("a",)), (b"{}", ("a", "b")), (b"{}", ())])
def test_what_cannot_be_rewritten(body: bytes, contents: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"JSON|unpack"):
        rewrite([Piece(body)], contents, False)


def test_a_rewritten_stream_keeps_the_grammar() -> None:
    text = block_events(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "old"})
    more = block_events(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "old"})
    thought = block_events(0, {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "hm"})
    tool = block_events(3, {**TOOL, "input": {}}, {"type": "input_json_delta", "partial_json": "{}"})
    body = rewrite(pieces(message_events(thought, text, more, tool)), ("Yes.",), True)
    assert (MESSAGES.said(docs_of(body)), b"old" in body) == ("Yes.", False)
    assert grammar(body)[:2] + grammar(body)[-3:] == ["message_start", "ping", "x_new_event", "message_delta", "message_stop"]
    body = rewrite(pieces(message_events(tool)), ("Yes.",), True)
    assert (MESSAGES.said(docs_of(body)), grammar(body).count("content_block_start")) == ("Yes.", 2)


def test_a_blocked_message() -> None:
    doc = orjson.loads(block([Piece(message_of(TEXT))], False))
    assert (doc["content"], doc["stop_reason"], doc["usage"]["output_tokens"], doc["id"]) == ([], "refusal", 7, "msg_1")
    assert "x_new" not in doc
    assert orjson.loads(block([], False))["type"] == "message"


def test_a_blocked_stream() -> None:
    body = block(pieces(MESSAGES.stream("secret words")), True)
    assert grammar(body) == ["message_start", "message_delta", "message_stop"]
    assert (b"secret" in body, docs_of(body)[1]["usage"]) == (False, {"output_tokens": 7})


@pytest.mark.parametrize(
    ("held", "stops"), [(slice(8, None), True), (slice(2, None), False), (slice(-2, None), False), (slice(0, 0), False)]
)
def test_a_stream_blocked_midway_is_only_ended(held: slice, stops: bool) -> None:
    """Events 2 to 5 are the thinking block, 6 on the text block."""
    events = MESSAGES.stream("secret words here")
    body = block(pieces(events[held]), True)
    kinds = [doc["type"] for doc in docs_of(body)]
    assert kinds == [*(["content_block_stop"] if stops else []), "message_delta", "message_stop"]
    if stops:
        assert docs_of(body)[0]["index"] == 1


def test_the_end_of_a_stream() -> None:
    events = MESSAGES.stream("We say message_stop here")
    assert [is_done(event) for event in events] == [False] * (len(events) - 1) + [True]
    assert not is_done(b"data: message_stop\n\n")
    assert not is_done(b": message_stop\n\n")
    assert not is_done(b'data: ["message_stop"]\n\n')


def test_the_report() -> None:
    assert orjson.loads(add_report(b'{"a":1}', {"v": 1}, False)) == {"a": 1, "chunkguard": {"v": 1}}
    body = add_report(named({"type": "ping"}), {"v": 1}, True)
    assert (grammar(body), docs_of(body)[0]["chunkguard"]) == (["chunkguard"], {"v": 1})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("x", param="system"), "invalid_request_error"),
        (Unauthorized("x"), "authentication_error"),
        (NotFound("x"), "not_found_error"),
        (RequestTooLarge("x"), "request_too_large"),
        (Overloaded(), "overloaded_error"),
        (Timeout("x"), "timeout_error"),
        (Unavailable("x"), "api_error"),
        (GuardUnavailable("x"), "overloaded_error"),
    ],
)
def test_errors_have_the_shape_of_the_api(error: Any, kind: str) -> None:
    doc = orjson.loads(render(error))
    assert (doc["type"], doc["error"]["type"], doc["error"]["code"]) == ("error", kind, error.code)
    assert doc["error"].get("param") == error.param
    assert docs_of(render_event(error)) == [doc]
    assert error_event(doc) == render_event(error)
    assert render_event(error).startswith(b"event: error\n")
