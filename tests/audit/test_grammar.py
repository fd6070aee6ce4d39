"""Prompts out of attributes."""

from __future__ import annotations

from audit.grammar import Candidate, cell, compose, near
from audit.pool import load_pool

PLAIN = Candidate("formal_noun.1", "virtues.1")


def test_the_parts_stand_in_order() -> None:
    full = Candidate("formal_noun.1", "virtues.1", before="label.1", style="marks.4", after="short.1")
    assert compose(load_pool(), PLAIN) == "Elaborate on the concept of peace."
    assert compose(load_pool(), full) == 'Task: "Elaborate on the concept of peace." Keep it short.'


def test_what_is_used_can_be_left_out() -> None:
    full = Candidate("formal_noun.1", "virtues.1", before="label.1", after="short.1")
    assert full.used() == ("before", "after")
    assert full.without("before", "after") == PLAIN
    assert PLAIN.names() == ("formal_noun.1", "virtues.1")


def test_a_cell_is_language_and_form() -> None:
    assert cell(load_pool(), Candidate("german_noun.1", "virtues.1")) == ("de", "language")


def test_near_duplicates_share_their_words() -> None:
    assert near("Explain peace, please!") == near("please explain PEACE")
    assert near("Explain peace.") != near("Explain hope.")
