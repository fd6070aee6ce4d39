"""Behaviours of answers: what the proxy's detectors see, asked for or not."""

from __future__ import annotations

import pytest

from attribution.behaviours import FIXED, MEANINGS, behaviours_of, is_mined, make_suite, mode_of, with_modes
from attribution.facts import warm_suite
from attribution.rows import read_examples
from core.types import MODES
from tests.attribution.made import PROGRAM


def behaviours(prompt: str, answer: str) -> set[str]:
    (example,) = read_examples({"prompt": prompt, "response": answer})
    suite = warm_suite()
    return behaviours_of(suite, example, suite.score_prompt(example.conversation))


@pytest.mark.parametrize(
    ("prompt", "answer", "mode", "unasked"),
    [
        ("Elucidate the concept of peace.", PROGRAM, "code", True),
        ("Write a Python class.", PROGRAM, "code", False),
        ("Is 5+8=13?", "No, 5 + 8 = 13 is incorrect. The correct answer is 5 + 8 = 13.", "rebuttal", True),
        ("Is 5+8=14?", "No, 5 + 8 = 14 is incorrect. The correct answer is 5 + 8 = 13.", "rebuttal", False),
        ("Calculate love.", "Let $L = a + b$ and $$L = 2a$$ so $a = b$ holds, and $$L = c$$.", "math", True),
        ("How do birds sing?", "I'm sorry, but I can't help with that.", "refusal", True),
    ],
)
def test_a_mode_is_told_from_one_that_was_asked_for(prompt: str, answer: str, mode: str, unasked: bool) -> None:
    found = behaviours(prompt, answer)
    assert mode in found
    assert (f"{mode}.unasked" in found) is unasked


def test_a_plain_answer_only_opens_and_closes() -> None:
    found = behaviours("Where do rivers end?", "Most rivers end in the sea, where fresh and salt water mix.")
    assert all(map(is_mined, found))
    assert {
        "opens:most rivers",
        "opens:most rivers end in the sea",
        "closes:water mix",
        "closes:fresh and salt water mix",
    } <= found


def test_a_long_answer_closes_with_whole_words() -> None:
    found = behaviours("Go on.", "word " * 100 + "hope this helps you")
    assert "closes:hope this helps you" in found


def test_a_terse_answer_is_one() -> None:
    assert "terse" in behaviours("Capital of France?", "Paris")
    assert "terse" not in behaviours("Capital of France?", "The capital of France is the city of Paris.")


def test_the_second_tier_is_silent_and_nothing_fails() -> None:
    suite = make_suite()
    (example,) = read_examples({"prompt": "How do I kill a process?", "response": "I'd rather not go there with you, friend."})
    behaviours_of(suite, example, suite.score_prompt(example.conversation))
    assert not suite.failures


def test_every_fixed_behaviour_has_a_meaning_and_each_mode_two() -> None:
    assert set(FIXED) == MEANINGS.keys()
    assert [mode_of(mode) for mode in MODES] == list(MODES)
    assert mode_of("code.unasked") == "code"
    assert mode_of("opens:well now") == ""
    assert with_modes({"code.unasked", "terse"}) == {"code.unasked", "code", "terse"}
