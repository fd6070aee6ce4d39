"""Paired comparisons against figures worked out by hand."""

from __future__ import annotations

import pytest

from detectors.measures import wilson
from evaluation.experiment.compare import Pairing, average, compare, design_effect, pair, share


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


def test_a_comparison_of_one_sample_each_is_the_plain_one() -> None:
    answers = [(str(number), number % 3 == 0, number % 4 != 0) for number in range(48)]
    found = compare(answers)
    plain = pair((there, here) for _, there, here in answers)
    assert found.pairing == plain
    assert found.gain == pytest.approx(plain.difference())
    assert found.fix is not None
    assert found.fix[1:] == pytest.approx(plain.fix_interval)
    assert found.p == pytest.approx(plain.p_value())


def test_samples_that_agree_count_as_one() -> None:
    once = [(str(number), False, number % 2 == 0) for number in range(10)]
    often = once * 7
    assert design_effect([(name, float(here)) for name, _, here in often]) == pytest.approx(7)
    assert compare(often).p == compare(once).p
    assert share([(name, here) for name, _, here in often]) == pytest.approx(share([(name, here) for name, _, here in once]))
    assert compare([]).fix is None


def test_samples_that_disagree_widen_nothing() -> None:
    mixed = [(str(number // 2), number % 2 == 0) for number in range(20)]
    assert share(mixed) == pytest.approx((0.5, *wilson(10, 20)))


def test_an_average_has_the_interval_of_its_prompts() -> None:
    assert average([("a", 3.0)]) == (3.0, 3.0, 3.0)
    mean, low, high = average([("a", 1.0), ("a", 1.0), ("b", 3.0), ("b", 3.0)])
    assert mean == 2
    assert high - mean == pytest.approx(1.96)  # two prompts, whose means 1 and 3 have the standard error 1
    assert mean - low == pytest.approx(high - mean)
