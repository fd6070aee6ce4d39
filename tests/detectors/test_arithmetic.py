"""Stated equalities: what is verified, what is refused, and when an answer contradicts itself."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.arithmetic import contradicts, find_statements


def truths(text: str) -> list[bool | None]:
    return [statement.truth for statement in find_statements(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Is 5+8=13?",
        "Does 7 + 8 = 15? Answer only Yes or No.",
        'Is "4 + 3 = 7" correct?',
        "(2+5)=7",
        "Does five plus eight equal thirteen?",
        "twenty-five times four equals one hundred",
        "Is 2^10 = 1024?",
        "3 × 4 = 12, right?",
        "12 ÷ 4 = 3?",
        "Is 1,000 + 1 = 1,001?",
        "2,5 + 2,5 = 5 ?",
        "-3 + 5 = 2",
        "- 5+8=13",
        "* 5+8=13",
        "1/3 ≈ 0.33",
        "5+8≠14",
        "Is 5 + 8 greater than 12?",
        "2 * (3 + 4) = 14",
        "五加八等于十三吗？",
        "5＋8＝13ですか？",
        "Верно ли, что 5+8=13?",
        "пять плюс восемь равно тринадцать?",
        "cinq plus huit font treize ?",
        "Ist fünf plus acht gleich dreizehn?",
        "¿Cinco más ocho es igual a trece?",
        "cinque più otto fa tredici?",
        "cinco mais oito é igual a treze?",
    ],
)
def test_a_true_statement_is_proven(text: str) -> None:
    assert truths(text) == [True]


@pytest.mark.parametrize(
    "text", ["Is 5+8=14?", "Does 3 x 4 = 11, as 3*4 = 11?", "5 + 8 is not 13", "2^10 = 1000", "1/3 ≈ 0.5", "6 < 2 + 3"]
)
def test_a_false_statement_is_proven_false(text: str) -> None:
    assert truths(text)[-1] is False


@pytest.mark.parametrize(
    "text",
    [
        "Is 5 + 8 = 13 kg?",
        "5 apples + 8 apples = 13 apples",
        "Is 7 mod 5 = 2?",
        "Is 10 + 10 = 100 in binary?",
        "x + 5 = 8",
        "If x - 5 + 3 = 8, what is x?",
        "Is 1/3 = 0.33?",
        "Is 2023-10-05 = 5 October?",
        "Is 10:30 + 2 = 12:30?",
        "Python 3.11.2 + 1 = 3.11.3",
        "Is 0101+1 = 0110?",
        "Is log 10 + 1 = 2?",
        "two hundred and five plus one is 207",
        "E = mc^2",
        "What is 5+8?",
        "Is $5 + $8 = $13?",
        "1/0 = 0",
        "9^99999 = 1",
    ],
)
def test_what_is_not_plain_arithmetic_stays_unknown(text: str) -> None:
    assert True not in truths(text)
    assert False not in truths(text)


def test_a_chain_gives_one_statement_a_relation() -> None:
    assert truths("3 × 4 = 12 = 24/2") == [True, True]


def test_spans_are_characters_of_the_text() -> None:
    text = "Ünïcode first: is 5 + 8 = 13?"
    (statement,) = find_statements(text)
    assert text[statement.start : statement.end] == "5 + 8 = 13"
    assert (statement.left, statement.right) == (Fraction(13), Fraction(13))


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        ("No, 5 + 8 = 13 is incorrect. The correct answer is 5 + 8 = 13.", "5 + 8 = 13"),
        ("No, that's not right: 5 + 8 equals 13.", "5 + 8 equals 13"),
        ("No. 5 + 8 = 14.", None),
        ("It is false that 5 + 8 = 13.", None),
        ("No, 5 + 8 = 13 is wrong.", None),
    ],
)
def test_a_denial_that_restates_the_equality_contradicts_itself(answer: str, again: str | None) -> None:
    (denied,) = find_statements("Is 5+8=13?")
    place = contradicts(answer, denied)
    assert (answer[place[0] : place[1]] if place else None) == again


@given(st.integers(0, 999), st.integers(0, 999), st.sampled_from("+-*"), st.integers(-2, 2))
def test_sums_and_products_agree_with_integers(a: int, b: int, sign: str, off: int) -> None:
    value = {"+": a + b, "-": a - b, "*": a * b}[sign]
    found = truths(f"Is {a} {sign} {b} = {value + off}?")
    assert found == [off == 0] or (off and found == [None])  # digits 0 and 1 alone may be another base


@given(st.text(alphabet="0123456789+-*/^()=<>≈ .,%√²abcx\n一二十plus", max_size=80))
def test_no_text_raises(text: str) -> None:
    for statement in find_statements(text):
        assert 0 <= statement.start < statement.end <= len(text)
