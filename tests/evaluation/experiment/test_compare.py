"""Paired comparisons against figures worked out by hand."""

from __future__ import annotations

import pytest

from evaluation.experiment.compare import Pairing, pair


def test_pairs_are_counted() -> None:
    found = pair([(True, True), (False, True), (False, True), (True, False), (False, False)])
    assert found == Pairing(1, 2, 1, 1)
    assert found.n == 5
    assert found.fix_rate == pytest.approx(2 / 3)
    assert found.break_rate == pytest.approx(1 / 2)


def test_mcnemar_is_the_exact_binomial() -> None:
    assert Pairing(10, 8, 1, 3).p_value() == pytest.approx(2 * (1 + 9) / 2**9)
    assert Pairing(10, 0, 0, 3).p_value() == 1
    assert Pairing(0, 3, 3, 0).p_value() == 1


def test_a_difference_lies_in_its_interval_and_narrows() -> None:
    gain, low, high = Pairing(40, 30, 2, 28).difference()
    assert gain == pytest.approx(0.28)
    assert 0 < low < gain < high < 0.5
    _, wide_low, wide_high = Pairing(4, 3, 0, 3).difference()
    assert wide_high - wide_low > high - low


def test_nothing_says_nothing() -> None:
    nothing = Pairing(0, 0, 0, 0)
    assert (nothing.fix_rate, nothing.break_rate, nothing.difference()) == (None, None, (0.0, -1.0, 1.0))
    assert nothing.fix_interval == nothing.break_interval == (0.0, 1.0)
