"""Simple rules: what they see, and what they cannot."""

from __future__ import annotations

import pytest

from core.types import MODES
from evaluation.baselines import BASELINE_MODES, BASELINES, REFUSAL_PHRASES, has_code_fence, has_refusal_phrase


@pytest.mark.parametrize(
    ("answer", "flagged"),
    [
        ("I'm sorry, but I cannot help with that.", True),
        ("I’M SORRY, BUT no.", True),
        ('Certainly. He said: "I can\'t help you", and left.', True),  # a quotation: the rule cannot know
        ("Je ne peux pas vous aider.", False),
        ("I would leave that question alone.", False),
        ("", False),
    ],
)
def test_refusal_phrases(answer: str, flagged: bool) -> None:
    assert has_refusal_phrase(answer) is flagged


def test_phrases_can_all_match() -> None:
    assert all(has_refusal_phrase(phrase.upper()) for phrase in REFUSAL_PHRASES)
    assert len(set(REFUSAL_PHRASES)) == len(REFUSAL_PHRASES)


def test_code_fences() -> None:
    assert has_code_fence("Look:\n```\nx = 1\n```")
    assert not has_code_fence("Use `x`.")


def test_each_baseline_stands_for_a_mode() -> None:
    assert BASELINES.keys() == BASELINE_MODES.keys()
    assert set(BASELINE_MODES.values()) <= set(MODES)
