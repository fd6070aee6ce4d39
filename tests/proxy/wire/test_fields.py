"""Shared fields: strict where the form of the answer hangs on them, and errors that name the field."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import InvalidRequest
from proxy.wire.fields import arguments_text, kind_of, list_of, model_of, n_of, read_object, report_of, stream_of, tokens_of


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b'{"a":NaN}', b'{"a":"\xff"}', b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"]
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_object(body)
    assert caught.value.code == "invalid_json"


def test_of_duplicate_keys_the_last_counts() -> None:
    assert read_object(b'{"a":1,"a":2}') == {"a": 2}


@pytest.mark.parametrize(
    ("read", "name", "value"),
    [
        (model_of, "model", 7),
        (stream_of, "stream", "true"),
        (stream_of, "stream", 1),
        (n_of, "n", 0),
        (n_of, "n", True),
        (n_of, "n", "2"),
        (report_of, "chunkguard", True),
        (report_of, "chunkguard", {"report": 1}),
        (report_of, "chunkguard", {"x": True}),
    ],
)
def test_a_wrong_type_is_named(read: Any, name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read({name: value})
    assert caught.value.param == name


def test_what_is_absent_or_right_is_read() -> None:
    assert (model_of({}), stream_of({"stream": None}), n_of({}), report_of({})) == ("", False, 1, False)
    assert (model_of({"model": "m\ud800"}), stream_of({"stream": True}), n_of({"n": 3})) == ("m\ufffd", True, 3)
    assert report_of({"chunkguard": {"report": True}})
    assert (tokens_of({"a": "x", "b": 5}, "a", "b"), tokens_of({"a": True}, "a")) == (5, None)
    assert (list_of({"a": [1]}, "a"), list_of({"a": "x"}, "a")) == ([1], [])
    assert (kind_of({}), kind_of({"type": "x"}), kind_of({"type": 7})) == (None, "x", "")


def test_arguments_are_text() -> None:
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    assert [arguments_text(value) for value in ("{", None, {"a": 1}, deep)] == ["{", "", '{"a":1}', ""]
