"""What all APIs render alike: documents read again, events, the report's field."""

from __future__ import annotations

import orjson
import pytest

from core.types import Piece
from proxy.errors import Unavailable
from proxy.wire.render import add_field, documents, error_event, event, render, render_event, whole_body


def test_documents_of_a_stream() -> None:
    pieces = [
        Piece(b": x\n\n"),
        Piece(b'data: {"a":1}\n\n'),
        Piece(b'data: {"b":2}\ndata: {"c":3}\n\n'),
        Piece(b"data: [DONE]\n\n"),
    ]
    assert documents(pieces) == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert (whole_body([Piece(b'{"a"'), Piece(b":1}")]), whole_body([Piece(b"[]")])) == ({"a": 1}, {})


@pytest.mark.parametrize(
    ("body", "given"),
    [
        (b'{"a": 1.50 }\n', b'{"a": 1.50 ,"chunkguard":{"v":1}}\n'),
        (b"{}", b'{"chunkguard":{"v":1}}'),
        (b"[]", b"[]"),
        (b"junk", b"junk"),
        (b'{"chunkguard":0}', b'{"chunkguard":{"v":1}}'),
    ],
)
def test_the_report_changes_nothing_else(body: bytes, given: bytes) -> None:
    assert add_field(body, {"v": 1}) == given


def test_events_and_errors() -> None:
    assert (event({"a": 1}), event({"a": 1}, "x")) == (b'data: {"a":1}\n\n', b'event: x\ndata: {"a":1}\n\n')
    assert error_event({"error": {}}) == b'data: {"error":{}}\n\n'
    assert orjson.loads(render(Unavailable("gone")))["error"]["code"] == "upstream_unavailable"
    assert render_event(Unavailable("gone")).startswith(b"data: {")
