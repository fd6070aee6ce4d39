"""Tests and ratios against scipy's own, and what a false discovery rate promises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from attribution import statistics as st

TABLES = [(3, 5, 9, 60), (8, 10, 20, 400), (1, 1, 1, 50), (12, 12, 12, 30), (4, 40, 10, 1_000), (7, 3_000, 9, 20_000)]


@pytest.mark.parametrize("table", TABLES)
def test_the_exact_test_is_fishers(table: tuple[int, int, int, int]) -> None:
    both, first, second, total = table
    got = st.fisher(*(np.array([float(each)]) for each in (both, first, second)), float(total))
    rest = total - first - second + both
    assert got[0] == pytest.approx(
        stats.fisher_exact([[both, first - both], [second - both, rest]], "greater").pvalue, rel=1e-6
    )


def test_the_g_test_agrees_with_scipys_up_to_its_correction() -> None:
    both, first, second, total = 60.0, 200.0, 400.0, 4_000.0
    got = st.over_represented(np.array([both]), np.array([first]), np.array([second]), total)[0]
    table = [[both, first - both], [second - both, total - first - second + both]]
    reference = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood").pvalue / 2
    assert reference < got < 30 * reference < 1e-10


def test_less_than_expected_is_never_found() -> None:
    p = st.over_represented(np.array([1.0, 0.0]), np.array([50.0, 5.0]), np.array([50.0, 5.0]), 100.0)
    assert (p == 1.0).all()


def test_fractions_of_votes_are_rounded_to_the_careful_side() -> None:
    one, other = (st.over_represented(np.array([each]), np.array([9.0]), np.array([9.0]), 90.0)[0] for each in (5.9, 5.0))
    assert one == other


def test_a_lift_is_shrunk_and_its_bound_rises_with_the_votes() -> None:
    shrunk, low = st.lift(np.array([1.0, 10.0, 1_000.0]), np.array([0.1, 1.0, 100.0]))
    assert shrunk[0] < shrunk[1] < shrunk[2] < 10
    assert low[0] < low[1] < low[2] < 10
    assert low[1] == pytest.approx(stats.gamma.ppf(0.025, 10.5) / 1.5)


def test_the_common_odds_ratio_is_mantels_and_haenszels() -> None:
    from scipy.stats.contingency import odds_ratio

    first = np.array([[40.0, 60.0]])
    second, total = np.array([[50.0, 90.0]]), np.array([[200.0, 300.0]])
    both = np.array([[20.0, 35.0]])
    ratio, low = st.mantel_haenszel(both, first, second, total)
    parts = [odds_ratio([[20, 20], [30, 130]]).statistic, odds_ratio([[35, 25], [55, 185]]).statistic]
    assert min(parts) * 0.9 < ratio[0] < max(parts) * 1.1
    assert 1 < low[0] < ratio[0]


def test_what_only_stands_in_the_same_source_has_no_odds_within() -> None:
    """Simpson's case: the feature and the behaviour are independent in each source, and both live in the first."""
    first, second, total = np.array([[90.0, 10.0]]), np.array([[80.0, 20.0]]), np.array([[100.0, 1_000.0]])
    both = first * second / total
    ratio, low = st.mantel_haenszel(both, first, second, total)
    _, whole_low = st.odds_ratio(both.sum(axis=1), first.sum(axis=1), second.sum(axis=1), 1_100.0)
    assert low[0] < 1 < ratio[0] < 1.5
    assert whole_low[0] > 20


def test_a_stratum_without_the_feature_changes_nothing() -> None:
    one = st.mantel_haenszel(np.array([[8.0]]), np.array([[20.0]]), np.array([[30.0]]), np.array([[100.0]]))
    two = st.mantel_haenszel(np.array([[8.0, 0]]), np.array([[20.0, 0]]), np.array([[30.0, 50]]), np.array([[100.0, 90]]))
    assert np.allclose(one, two)


def test_the_stratified_test_holds_its_level() -> None:
    rng = np.random.default_rng(5)
    first, second, total = np.array([40, 300]), np.array([10, 200]), np.array([400, 900])
    both = np.array(
        [[rng.hypergeometric(f, n - f, b) for f, b, n in zip(first, second, total, strict=True)] for _ in range(4_000)]
    )
    expected = float((first * second / total).sum())
    variance = float((first * (total - first) * second * (total - second) / (total**2 * (total - 1.0))).sum())
    p = st.more_than_expected(both.sum(axis=1).astype(float), np.full(4_000, expected), np.full(4_000, variance))
    assert (p <= 0.05).mean() <= 0.05
    few = st.more_than_expected(np.array([1.0, 4.0]), np.array([2.0, 0.5]), np.array([1.0, 0.4]))
    assert few[0] == 1.0
    assert few[1] == pytest.approx(stats.poisson.sf(3, 0.5))


def test_q_values_are_benjaminis_and_hochbergs() -> None:
    p = np.array([0.01, 0.02, 0.03, 0.5])
    assert np.allclose(st.false_discovery(p, 4), stats.false_discovery_control(p))
    assert np.allclose(st.false_discovery(p[:2], 100), [1.0, 1.0])
    assert len(st.false_discovery(np.empty(0), 5)) == 0


def test_a_deficit_brings_the_rate_to_the_target() -> None:
    missing = st.deficit(30.0, 10.0, 0.1)
    assert 30 / (30 + 10 + missing) == pytest.approx(0.1)
    assert st.deficit(1.0, 99.0, 0.1) == 0.0
