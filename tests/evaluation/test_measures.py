"""Every measure against figures worked out by hand, and against its definition by brute force."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evaluation.measures import Bools, Floats, Rate, auc, calibration, precision_at, rate_of, recall_within, roc

SCORES = st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.31, 0.5, 0.77, 0.9, 1.0]), min_size=1, max_size=30)


def array(values: Iterable[float]) -> Floats:
    return np.array(list(values), dtype=float)


def bools(*values: bool) -> Bools:
    return np.array(values, dtype=bool)


def rate(hits: int, n: int) -> Rate:
    return rate_of(np.arange(n) < hits)


def test_a_rate_has_its_count_and_interval() -> None:
    assert rate(45, 50) == Rate(45, 50, 0.9, pytest.approx(0.78640, abs=1e-5), pytest.approx(0.95652, abs=1e-5))
    assert rate(0, 0) == Rate(0, 0, None, 0.0, 1.0)


def test_precision_follows_from_bayes() -> None:
    # Of 10,000 answers 100 are mis-routed: 80 are flagged, and 99 of the 9,900 others.
    assert precision_at(0.01, rate(80, 100), rate(1, 100)).value == pytest.approx(80 / 179, abs=1e-6)
    assert precision_at(0.05, rate(1, 2), rate(0, 10)).value == 1.0


def test_precision_is_bounded_by_the_worse_ends() -> None:
    recall, false = rate(80, 100), rate(0, 300)
    found = precision_at(0.01, recall, false)
    assert found.value == 1.0
    assert found.low == pytest.approx(0.01 * recall.low / (0.01 * recall.low + 0.99 * false.high), abs=1e-6)
    assert found.low < 0.4


@pytest.mark.parametrize(("recall", "false"), [((0, 0), (1, 9)), ((1, 9), (0, 0)), ((0, 9), (0, 9))])
def test_precision_of_nothing_is_none(recall: tuple[int, int], false: tuple[int, int]) -> None:
    assert precision_at(0.01, rate(*recall), rate(*false)).value is None


def test_auc_by_hand() -> None:
    # Pairs: .8>.5, .8>.1, .5=.5, .5>.1 -> 3.5 of 4.
    assert auc(array([0.8, 0.5]), array([0.5, 0.1])) == 0.875
    assert auc(array([]), array([0.5])) is None
    assert auc(array([0.5]), array([])) is None


@given(SCORES, SCORES)
def test_auc_is_the_area_under_the_roc_and_the_share_of_won_pairs(up: list[float], down: list[float]) -> None:
    won = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(up, down)) / (len(up) * len(down))
    rates, recalls, _ = roc(array(up), array(down))
    assert auc(array(up), array(down)) == pytest.approx(won, abs=1e-6)
    assert np.trapezoid(recalls, rates) == pytest.approx(won)


@given(SCORES, SCORES)
def test_every_point_of_the_roc_is_what_its_threshold_does(up: list[float], down: list[float]) -> None:
    rates, recalls, thresholds = roc(array(up), array(down))
    assert (rates[0], recalls[0], rates[-1], recalls[-1]) == (0.0, 0.0, 1.0, 1.0)
    for at, false, recall in zip(thresholds, rates, recalls, strict=True):
        assert recall == pytest.approx(np.mean(array(up) >= at))
        assert false == pytest.approx(np.mean(array(down) >= at))


def test_recall_within_a_rate_by_hand() -> None:
    up, down = array([0.9, 0.7, 0.5, 0.1]), array([0.6] + [0.0] * 99)
    found = recall_within(0.01, up, down)
    assert found is not None
    assert (found.recall, found.false_positive_rate, found.threshold) == (1.0, 0.01, 0.1)
    strict = recall_within(0.009, up, down)
    assert strict is not None
    assert (strict.recall, strict.false_positive_rate, strict.threshold) == (0.5, 0.0, 0.7)


def test_recall_is_zero_where_only_flagging_nothing_holds_the_rate() -> None:
    found = recall_within(0.01, array([0.5, 0.2]), array([0.9, 0.1]))
    assert found is not None
    assert (found.recall, found.false_positive_rate, found.threshold) == (0.0, 0.0, None)
    assert recall_within(0.01, array([]), array([0.1])) is None
    assert recall_within(0.01, array([0.1]), array([])) is None


@given(SCORES, SCORES, st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]))
def test_no_threshold_does_better(up: list[float], down: list[float], limit: float) -> None:
    found = recall_within(limit, array(up), array(down))
    options = [float("inf"), *up, *down]
    reached = [np.mean(array(up) >= at) for at in options if np.mean(array(down) >= at) <= limit]
    assert found is not None
    assert found.recall == pytest.approx(max(reached), abs=1e-6)
    assert found.false_positive_rate <= limit


def test_calibration_by_hand() -> None:
    # Bin [0, .1): scores 0, .04, one of them positive -> |.02 - .5|; bin [.9, 1]: .9 and 1, both positive -> |.95 - 1|.
    found = calibration(array([0.0, 0.04, 0.9, 1.0]), bools(False, True, True, True))
    assert found.error == pytest.approx((0.48 * 2 + 0.05 * 2) / 4)
    assert [(each.low, each.high, each.rows, each.mean_score) for each in found.bins] == [
        (0.0, 0.1, 2, 0.02),
        (0.9, 1.0, 2, 0.95),
    ]
    # A negative weighs 1/2, a positive 1/6: in the first bin 1/2 and 1/6 -> mean .01, share .25; in the second share 1.
    assert [each.share_even for each in found.bins] == pytest.approx([0.25, 1.0])
    assert found.error_even == pytest.approx(abs(0.01 - 0.25) * 2 / 3 + 0.05 / 3, abs=1e-6)


@pytest.mark.parametrize("label", [True, False])
def test_calibration_of_one_class_has_no_even_error(label: bool) -> None:
    found = calibration(array([0.2, 0.3]), bools(label, label))
    assert found.error == pytest.approx(0.75 if label else 0.25)
    assert found.error_even is None
    assert calibration(array([]), bools()).error is None


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.7, 1.0]), st.booleans()), min_size=1, max_size=40))
def test_calibration_loses_no_row(rows: list[tuple[float, bool]]) -> None:
    scores, positive = array(score for score, _ in rows), bools(*(label for _, label in rows))
    found = calibration(scores, positive)
    assert sum(each.rows for each in found.bins) == len(rows)
    assert sum(each.share.hits for each in found.bins) == positive.sum()
    assert found.error is not None
    assert found.error >= abs(scores.mean() - positive.mean()) - 1e-6
    assume(positive.any() and not positive.all())
    assert found.error_even is not None
    assert 0.0 <= found.error_even <= 1.0
