"""How sure a link is: exact and G tests, shrunk lifts with lower bounds, odds ratios over strata, false discovery rates.

One rule: plain arithmetic on arrays of counts, which may be fractions of votes; every test is one-sided: more than by chance.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

#: Expected counts below this are tested exactly.
FEW: Final = 5.0
#: What is added to both sides of a lift: half a case, as in the information component of drug safety (Noren et al. 2013).
PRIOR: Final = 0.5
_Z: Final = 1.959963984540054
_MOST_TERMS: Final = 4_000


def over_represented(both: Floats, first: Floats, second: Floats, total: float) -> Floats:
    """P of at least `both` examples with both, by chance, given how many have either: Fisher's test where few are expected,
    else the G test with Williams' correction. Fractions of votes are rounded to the careful side."""
    both, first, second = np.floor(both + 1e-9), np.round(first), np.round(second)
    total = float(round(total))
    expected = first * second / max(total, 1.0)
    p = np.ones(len(both))
    more = both > expected
    many = more & (expected >= FEW)
    p[many] = _g_test(both[many], first[many], second[many], total)
    few = more & ~many
    p[few] = fisher(both[few], first[few], second[few], total)
    return p


def fisher(both: Floats, first: Floats, second: Floats, total: float) -> Floats:
    """The upper tail of the hypergeometric distribution, summed until terms do not matter."""

    def choose(n: Floats, k: Floats) -> Floats:
        chosen: Floats = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
        return chosen

    at = both.copy()
    rest = total - first
    log_first = choose(first, at) + choose(rest, np.clip(second - at, 0, rest)) - choose(np.full_like(first, total), second)
    term = np.ones(len(both))
    tail = np.ones(len(both))
    for _ in range(_MOST_TERMS):
        ratio = (first - at) * (second - at) / ((at + 1) * np.maximum(total - first - second + at + 1, 1.0))
        term = term * np.maximum(ratio, 0.0)
        tail += term
        at += 1
        if not len(term) or (term < tail * 1e-12).all():
            break
    p: Floats = np.minimum(1.0, np.exp(log_first) * tail)
    return p


def _g_test(both: Floats, first: Floats, second: Floats, total: float) -> Floats:
    observed = np.stack([both, first - both, second - both, total - first - second + both])
    rows, columns = np.stack([first, total - first]), np.stack([second, total - second])
    expected = np.stack([rows[0] * columns[0], rows[0] * columns[1], rows[1] * columns[0], rows[1] * columns[1]]) / total
    expected = np.maximum(expected, 1e-12)
    g = 2 * np.maximum(special.xlogy(np.maximum(observed, 0.0), np.maximum(observed, 0.0) / expected).sum(axis=0), 0.0)
    inner = (total / np.maximum(rows, 1.0)).sum(axis=0) - 1
    outer = (total / np.maximum(columns, 1.0)).sum(axis=0) - 1
    g /= 1 + inner * outer / (6 * total)
    p: Floats = special.erfc(np.sqrt(g / 2)) / 2
    return p


def lift(both: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Shrunk ratio of observed to expected, and the lower end of its 95% credibility interval (gamma posterior)."""
    shrunk = (both + PRIOR) / (expected + PRIOR)
    low = special.gammaincinv(both + PRIOR, 0.025) / (expected + PRIOR)
    return shrunk, low


def more_than_expected(both: Floats, expected: Floats, variance: Floats) -> Floats:
    """P of the stratified test (Cochran, Mantel, Haenszel): sums over strata. Where few are expected, the Poisson tail, which
    is never smaller than the exact one."""
    p = np.ones(len(both))
    more = both > expected
    many = more & (expected >= FEW) & (variance > 0)
    z = (both[many] - expected[many] - 0.5) / np.sqrt(variance[many])
    p[many] = special.ndtr(-np.maximum(z, 0.0))
    few = more & ~many
    whole = np.floor(both[few] + 1e-9)
    p[few] = np.where(whole > expected[few], special.gammainc(np.maximum(whole, 1.0), np.maximum(expected[few], 1e-12)), 1.0)
    return p


def mantel_haenszel(both: Floats, first: Floats, second: Floats, total: Floats) -> tuple[Floats, Floats]:
    """The common odds ratio of links (rows) over strata (columns), and its lower 95% bound (Robins, Breslow, Greenland).

    Half an example is added to each cell of a stratum that holds the feature and the behaviour at all."""
    live = ((first > 0) & (second > 0) & (total > 0)).astype(float) * 0.5
    a, b, c = both + live, first - both + live, second - both + live
    d = total - first - second + both + live
    n = np.maximum(a + b + c + d, 1e-12)
    up, down = a * d / n, b * c / n
    p, q = (a + d) / n, (b + c) / n
    ups, downs = up.sum(axis=1), down.sum(axis=1)
    known = (ups > 0) & (downs > 0)
    safe_up, safe_down = np.where(known, ups, 1.0), np.where(known, downs, 1.0)
    variance = (
        (p * up).sum(axis=1) / (2 * safe_up**2)
        + (p * down + q * up).sum(axis=1) / (2 * safe_up * safe_down)
        + (q * down).sum(axis=1) / (2 * safe_down**2)
    )
    ratio = np.where(known, safe_up / safe_down, 1.0)
    low = np.where(known, ratio * np.exp(-_Z * np.sqrt(variance)), 0.0)
    return ratio, low


def odds_ratio(both: Floats, first: Floats, second: Floats, total: float) -> tuple[Floats, Floats]:
    """The odds ratio without strata, shrunk in the same way, and its lower 95% bound."""
    return mantel_haenszel(both[:, None], first[:, None], second[:, None], np.full((len(both), 1), total))


def false_discovery(p: Floats, tests: int) -> Floats:
    """Benjamini and Hochberg's q-values. `tests`: how many there were in all; those that are not given had p = 1."""
    if not len(p):
        return p
    order = np.argsort(p, kind="stable")
    ranked = p[order] * max(tests, len(p)) / np.arange(1, len(p) + 1)
    q = np.empty(len(p))
    q[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    return q


def deficit(both: float, without: float, target: float) -> float:
    """Counter-examples that are missing: so many more bring P(behaviour | feature) down to `target`."""
    return max(0.0, both * (1 - target) / target - without)
