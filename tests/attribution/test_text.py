"""Words, skeletons and keys of texts."""

from __future__ import annotations

import pytest

from attribution.text import HEAD_CHARS, TAIL_CHARS, ends, key_of, skeleton, starts, words_of


def test_words_are_lower_case_and_figures_are_alike() -> None:
    assert words_of("Don't ADD 5,000 to 7.5%, naïve Ünal!") == ["don't", "add", "#", "to", "#", "naïve", "ünal"]


def test_text_without_spaces_gives_pairs_of_characters() -> None:
    assert words_of("今天天气 ok 12") == ["今天", "天天", "天气", "ok", "#"]


def test_of_a_long_text_beginning_and_end_are_read() -> None:
    text = f"first {'x ' * (HEAD_CHARS + TAIL_CHARS)} last"
    words = words_of(text)
    assert (words[0], words[-1]) == ("first", "last")
    assert len(words) < HEAD_CHARS


def test_starts_and_ends_are_as_long_as_the_text_allows() -> None:
    assert starts(["a", "b", "c"], 1, 5) == ["a", "a b", "a b c"]
    assert ends(["a", "b", "c"], 2, 5) == ["b c", "a b c"]
    assert starts([], 1, 5) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Is 5+8=13?", "Is 6 + 11 = 17?"),
        ('What does "peace" mean?', 'What does "inner hope" mean?'),
        ("Who was Ada Lovelace?", "Who was Alan Turing?"),
        ("Solve $x^2=1$ now.", "Solve $y+3=2$ now."),
        ("See https://a.example/x please", "see https://b.example please!"),
    ],
)
def test_prompts_of_one_template_have_one_skeleton(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(("one", "other"), [("Explain peace.", "Explain hope."), ("$a=b$", "$c=d$"), ("5", "6"), ("", "?")])
def test_other_prompts_have_their_own(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


def test_keys_depend_on_every_text_and_on_nothing_else() -> None:
    assert key_of("a", "b") == key_of("a", "b") == 14358174768085807021
    assert len({key_of("a", "b"), key_of("ab"), key_of("ab", ""), key_of("\ud800")}) == 4
