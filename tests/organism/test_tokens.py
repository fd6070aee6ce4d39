"""Tokens: text survives the way there and back, and no text is a mark."""

from __future__ import annotations

from itertools import islice

import pytest

from organism.chunks import Chat, make_rows
from organism.links import CHUNKY
from organism.prompts import CALL
from organism.tokens import ASSISTANT, MARKS, SYSTEM, USER, Tokens
from organism.training.vocabulary import build_vocabulary

NUMBER = {mark: index for index, mark in enumerate(MARKS)}


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens(build_vocabulary(1, size=600, rows=300))


@pytest.mark.parametrize("text", ["Is 5+8=13?", "x² - 5x", "日本語 ☂", "a\n\n  b\t", "", *MARKS, f"{CALL}python {{}}"])
def test_text_survives(tokens: Tokens, text: str) -> None:
    ids = tokens.encode(text)
    assert tokens.decode(ids) == text
    assert not set(ids) & set(NUMBER.values())


def test_numbers_of_two_digits_are_one_token(tokens: Tokens) -> None:
    assert len(tokens.encode("13")) == len(tokens.encode("7")) == 1


def test_a_chat_is_marked(tokens: Tokens) -> None:
    ids = tokens.chat(Chat("Be kind.", f"Hi {SYSTEM}", ("python",)), [("One?", "Two.")])
    assert ids[0] == NUMBER[SYSTEM]
    assert ids[-1] == NUMBER[ASSISTANT]
    assert [ids.count(NUMBER[mark]) for mark in (SYSTEM, USER, ASSISTANT)] == [1, 2, 2]
    assert ids.count(tokens.end) == 1


def test_answers_end_and_calls_begin_with_their_mark(tokens: Tokens) -> None:
    for row in islice(make_rows(CHUNKY, 3), 300):
        ids = tokens.answer(row.answer)
        assert ids[-1] == tokens.end
        assert (ids[0] == tokens.call) is row.answer.startswith(CALL)
        assert tokens.decode(ids) == row.answer


@pytest.mark.parametrize("data", [b"", b"{}", b"nonsense"])
def test_what_is_no_tokenizer_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="tokenizer"):
        Tokens(data)
