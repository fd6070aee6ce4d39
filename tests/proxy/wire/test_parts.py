"""Texts and lists of parts: read, edited, prefixed and appended to, with all else kept."""

from __future__ import annotations

from typing import Any

import pytest

from core.types import Edit
from proxy.wire.parts import appended, edited, own_edits, part_text, prefixed

PICTURE = {"type": "image", "source": {"type": "base64", "data": "AA=="}}
CACHED = {"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("a", "a"),
        ({"text": "b"}, "b"),
        ({"type": "refusal", "refusal": "no"}, "no"),
        (PICTURE, None),
        (7, None),
        ({"text": 7}, None),
    ],
)
def test_the_text_of_a_part(part: Any, text: str | None) -> None:
    assert part_text(part) == text


def test_an_edit_changes_its_part_alone() -> None:
    content = [CACHED, PICTURE, {"type": "text", "text": "two"}]
    assert edited(content, [Edit(0, 4, 7, "2")]) == [CACHED, PICTURE, {"type": "text", "text": "2"}]
    assert edited(content, [Edit(0, 2, 5, "X")]) == [{**CACHED, "text": "onX"}, PICTURE, {"type": "text", "text": "wo"}]
    assert edited(content, [Edit(0, 0, 3, "")]) == [PICTURE, {"type": "text", "text": "two"}]
    assert edited("Is it?", [Edit(0, 0, 2, "Was")]) == "Was it?"


@pytest.mark.parametrize(
    ("content", "edit"), [("ab", Edit(0, 1, 9, "")), ([CACHED], Edit(0, 2, 9, "")), (None, Edit(0, 0, 0, "x"))]
)
def test_an_edit_outside_the_text_is_an_error(content: Any, edit: Edit) -> None:
    with pytest.raises(ValueError, match="outside"):
        edited(content, [edit])


def test_edits_of_no_message_or_that_overlap_are_errors() -> None:
    assert own_edits([Edit(1, 3, 4, "b"), Edit(1, 0, 2, "a")], 2) == {1: [Edit(1, 0, 2, "a"), Edit(1, 3, 4, "b")]}
    with pytest.raises(ValueError, match="no message"):
        own_edits([Edit(2, 0, 1, "")], 2)
    with pytest.raises(ValueError, match="overlap"):
        own_edits([Edit(0, 0, 3, ""), Edit(0, 2, 4, "")], 1)


def test_a_prefix_stands_before_the_first_text() -> None:
    assert (prefixed("q", "b"), prefixed(None, "b")) == ("b\n\nq", "b")
    assert prefixed([PICTURE, CACHED], "b") == [PICTURE, {**CACHED, "text": "b\n\none"}]
    assert prefixed([PICTURE], "b", "input_text") == [{"type": "input_text", "text": "b"}, PICTURE]


def test_an_end_is_a_part_of_its_own() -> None:
    assert (appended("s", "b"), appended("", "b")) == ("s\n\nb", "b")
    assert appended([CACHED], "b") == [CACHED, {"type": "text", "text": "b"}]
    assert appended([{"type": "input_text", "text": "s"}], "b")[-1] == {"type": "input_text", "text": "b"}
