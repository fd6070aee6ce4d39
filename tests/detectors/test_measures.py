"""Intervals against published values, areas against the definition."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.measures import area, wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 300, 0.0, 0.01264), (45, 50, 0.78640, 0.95652), (1, 1, 0.20655, 1.0)],
)
def test_wilson_intervals_are_the_published_ones(hits: int, n: int, low: float, high: float) -> None:
    assert wilson(hits, n) == pytest.approx((low, high), abs=2e-5)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_ends_are_where_the_score_test_rejects(counts: tuple[int, int]) -> None:
    """The definition: an end p of the interval has |rate - p| = 1.96 standard errors *at p*."""
    hits, n = counts
    low, high = wilson(hits, n)
    assert 0.0 <= low <= hits / n + 1e-12
    assert hits / n - 1e-12 <= high <= 1.0
    for end in (low, high):
        if 1e-9 < end < 1.0 - 1e-9:
            assert n * (hits / n - end) ** 2 == pytest.approx(1.96**2 * end * (1 - end), rel=1e-6)


def test_area_is_the_chance_to_outrank() -> None:
    scores = np.array([0.0, 1.0, 1.0, 2.0])
    assert area(scores, np.array([False, True, False, True])) == pytest.approx(0.875)


@pytest.mark.parametrize("positive", [[True] * 4, [False] * 4, []])
def test_one_class_has_no_area(positive: list[bool]) -> None:
    assert np.isnan(area(np.arange(len(positive), dtype=float), np.array(positive, dtype=bool)))


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), st.booleans()), min_size=2, max_size=40))
def test_area_counts_every_pair(rows: list[tuple[float, bool]]) -> None:
    scores, positive = np.array([score for score, _ in rows]), np.array([label for _, label in rows])
    pairs = list(product(scores[positive], scores[~positive]))
    if pairs:
        won = sum(1.0 if up > down else 0.5 if up == down else 0.0 for up, down in pairs)
        assert area(scores, positive) == pytest.approx(won / len(pairs))
