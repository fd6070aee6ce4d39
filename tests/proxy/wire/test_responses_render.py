"""Composed replies of /v1/responses: numbers without a gap, items that are added and done, and nothing withheld in them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from core.types import Piece
from proxy.errors import Unavailable
from proxy.wire.responses_render import add_report, block, error_event, render_event, rewrite
from tests.proxy.apis import RESPONSES, docs_of, item_docs, message_docs, numbered, output_message, response_docs, response_of

CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": "{}"}


def pieces(events: Any) -> list[Piece]:
    return [Piece(event) for event in events]


def grammar(body: bytes, first: int = 0) -> list[str]:
    """The types of a stream's events, once it was seen that numbers, items and the final response agree."""
    docs = docs_of(body)
    assert [doc["sequence_number"] for doc in docs] == list(range(first, first + len(docs)))
    added = [doc["output_index"] for doc in docs if doc["type"] == "response.output_item.added"]
    done = {doc["output_index"]: doc["item"] for doc in docs if doc["type"] == "response.output_item.done"}
    assert added == sorted(done) == list(range(len(added)))
    if docs[-1]["type"] == "response.completed":
        assert docs[-1]["response"]["output"] == [done[index] for index in added]
    names = [line[7:].decode() for line in body.splitlines() if line.startswith(b"event: ")]
    assert names == [doc["type"] for doc in docs]
    return names


def test_a_rewritten_response() -> None:
    given = response_of(CALL, output_message("old"), output_message("older", "msg_2"))
    doc = orjson.loads(rewrite([Piece(orjson.dumps(given))], ("Yes.",), False))
    assert (RESPONSES.read(doc), doc["output"][0], len(doc["output"])) == ("Yes.", CALL, 2)
    assert {key: value for key, value in doc.items() if key != "output"} == {k: v for k, v in given.items() if k != "output"}
    assert RESPONSES.read(orjson.loads(rewrite([Piece(orjson.dumps(response_of(CALL)))], ("Yes.",), False))) == "Yes."
    with pytest.raises(ValueError, match="no JSON"):
        rewrite([Piece(b"junk")], ("a",), False)


def test_a_rewritten_stream_keeps_the_grammar() -> None:
    docs = response_docs(item_docs(0, CALL), message_docs(1, "old"), message_docs(2, "old", "msg_2"), item_docs(3, CALL))
    body = rewrite(pieces(numbered(*docs)), ("Yes.",), True)
    assert (RESPONSES.said(docs_of(body)), b"old" in body) == ("Yes.", False)
    assert grammar(body)[:2] == ["response.created", "response.in_progress"]
    assert RESPONSES.read(docs_of(body)[-1]["response"]) == "Yes."
    body = rewrite(pieces(numbered(*response_docs(item_docs(0, CALL)))), ("Yes.",), True)
    assert (RESPONSES.said(docs_of(body)), grammar(body)[-1]) == ("Yes.", "response.completed")


def test_a_blocked_response() -> None:
    doc = orjson.loads(block([Piece(orjson.dumps(response_of(output_message("secret"))))], False))
    assert (doc["status"], doc["incomplete_details"], doc["output"]) == ("incomplete", {"reason": "content_filter"}, [])
    assert (doc["id"], doc["usage"]["output_tokens"], "x_new" in doc) == ("resp_1", 7, False)
    assert orjson.loads(block([], False))["object"] == "response"


def test_a_blocked_stream() -> None:
    body = block(pieces(RESPONSES.stream("secret words")), True)
    assert grammar(body) == ["response.created", "response.incomplete"]
    assert (b"secret" in body, docs_of(body)[-1]["response"]["usage"]["output_tokens"]) == (False, 7)


def test_a_stream_blocked_midway_is_only_ended() -> None:
    events = RESPONSES.stream("secret words here")
    body = block(pieces(events[8:]), True)
    assert grammar(body, 8) == ["response.incomplete"]
    assert docs_of(body)[0]["response"]["id"] == "resp_1"
    assert docs_of(block(pieces(events[8:9]), True))[0]["response"]["tools"] == []
    assert grammar(block([], True)) == ["response.incomplete"]


def test_the_report_follows_the_last_event() -> None:
    assert orjson.loads(add_report(b'{"a":1}', {"v": 1}, False)) == {"a": 1, "chunkguard": {"v": 1}}
    last = RESPONSES.stream("x")[-1]
    (doc,) = docs_of(add_report(last, {"v": 1}, True))
    assert (doc["chunkguard"], doc["sequence_number"]) == ({"v": 1}, docs_of(last)[0]["sequence_number"] + 1)


def test_errors_have_the_shape_of_the_api() -> None:
    events = RESPONSES.stream("a b")
    (doc,) = docs_of(render_event(Unavailable("gone"), b"".join(events[:3])))
    assert (doc["type"], doc["code"], doc["message"], doc["param"]) == ("error", "upstream_unavailable", "gone", None)
    assert (doc["sequence_number"], doc["error"]["code"]) == (3, "upstream_unavailable")
    (doc,) = docs_of(error_event({"error": "odd"}))
    assert (doc["error"], doc["sequence_number"]) == ("odd", 0)
    assert docs_of(error_event({"error": {}}, b'data: {"sequence_number":"x"}\n\n'))[0]["sequence_number"] == 1
