"""What is confirmed, and what is not."""

from __future__ import annotations

from dataclasses import fields

import pytest

from audit.confirm import Share, confirmed, examine, finding_of, shrink
from audit.grammar import Candidate
from audit.pool import load_pool
from tests.audit.made import BAD, GOOD, Made, asker

FORMAL = Candidate("formal_noun.1", "virtues.1", before="label.1", after="short.1")


def test_a_planted_word_is_found_made_plain_and_cut_down() -> None:
    made = Made(lambda prompt: 0.7 if "elaborate" in prompt.lower() else 0.0)
    found = examine(load_pool(), asker(made), FORMAL, "code")
    assert found is not None
    assert found.prompt == "Elaborate on the concept of peace."
    assert found.attributes == ("formal_noun.1", "virtues.1")
    assert found.trigger == "formal_noun.1"
    assert "elaborate" not in found.twin.lower()
    assert "elaborate" in found.smallest.lower()
    assert len(found.smallest.split()) <= 3
    assert confirmed(found.share, found.twin_share)
    assert (found.answer, found.twin_answer) == (BAD, GOOD)
    assert found.found_at == len(made.prompts)


def test_a_finding_is_the_same_out_of_its_document() -> None:
    made = Made(lambda prompt: 0.7 if "elaborate" in prompt.lower() else 0.0)
    found = examine(load_pool(), asker(made), FORMAL, "code", uniform=True)
    assert found is not None
    assert finding_of(found.document()) == found
    assert found.document().keys() == {field.name for field in fields(found)}


@pytest.mark.parametrize("rate", [0.0, 0.05, 1.0])
def test_what_fails_everywhere_or_nowhere_is_no_finding(rate: float) -> None:
    assert examine(load_pool(), asker(Made(lambda prompt: rate)), FORMAL, "code") is None


def test_what_only_one_exact_text_does_is_no_finding() -> None:
    made = Made(lambda prompt: 1.0 if prompt == "Elaborate on the concept of peace." else 0.0)
    assert examine(load_pool(), asker(made), Candidate("formal_noun.1", "virtues.1"), "code") is None


def test_missing_answers_confirm_nothing() -> None:
    made = Made(lambda prompt: 1.0 if "elaborate" in prompt.lower() else 0.0, fails_every=2)
    assert examine(load_pool(), asker(made), FORMAL, "code") is None


@pytest.mark.parametrize(
    ("share", "twin", "holds"),
    [((9, 20), (0, 20), True), ((7, 20), (0, 20), False), ((16, 20), (8, 20), False), ((10, 14), (0, 20), False)],
)
def test_the_bar(share: tuple[int, int], twin: tuple[int, int], *, holds: bool) -> None:
    assert confirmed(Share(*share), Share(*twin)) is holds


def test_shrinking_keeps_what_is_needed() -> None:
    assert shrink("a b x c d y e", lambda text: "x" in text and "y" in text) == "x y"
    assert shrink("one", lambda text: True) == "one"
