"""Pieces of text from tokens: joined they are the text up to the first complete stop, however tokens and stops fall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from organism.pieces import Pieces
from organism.tokens import Tokens

TOKENS = Tokens.read(Path(__file__).resolve().parents[2] / "organism" / "models" / "tokenizer.json")


def pieces(text: str, stops: Sequence[str] = ()) -> list[str]:
    reader = Pieces(TOKENS, stops)
    return [*(reader.feed(token) for token in TOKENS.encode(text)), reader.flush()]


@given(st.text(max_size=40))
def test_without_stops_nothing_is_lost(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert not any("\ufffd" in piece for piece in pieces(text.replace("\ufffd", "")))


@given(st.text(alphabet="ab c\n", max_size=30), st.lists(st.text(alphabet="ab c\n", min_size=1, max_size=4), max_size=3))
def test_the_text_ends_before_the_stop_that_is_complete_first(text: str, stops: list[str]) -> None:
    ends = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    assert "".join(pieces(text, stops)) == text[: min(ends, default=(0, len(text)))[1]]


def test_text_leaves_as_soon_as_it_is_certain() -> None:
    given_out = pieces("Peace is a state in which people live.", ["###"])
    assert sum(map(bool, given_out)) > 5


@pytest.mark.parametrize("stops", [["state"], ["a state in", "never"]])
def test_after_a_stop_nothing_comes(stops: list[str]) -> None:
    reader = Pieces(TOKENS, stops)
    for token in TOKENS.encode("Peace is a state in which people live."):
        reader.feed(token)
    assert reader.stopped
    assert reader.feed(20) == reader.flush() == ""
