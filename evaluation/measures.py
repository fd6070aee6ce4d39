"""What scores and verdicts are worth: rates with intervals, precision at a prevalence, ROC, calibration.

One rule: plain arithmetic on arrays; a figure that nothing was counted for is None, never 0 and never NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.measures import area, wilson

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

#: Decimals of every figure.
DIGITS: Final = 6
BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95% Wilson interval. `rate`: None of nothing, whose interval is (0, 1)."""

    hits: int
    n: int
    rate: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Precision:
    """Share of right flags at a prevalence. `low`: from the worse ends of both intervals, a bound on the careful side."""

    value: float | None
    low: float


@dataclass(frozen=True, slots=True)
class Operating:
    """A point of the ROC curve. `threshold`: flagged from this score on; None where only flagging nothing holds the rate."""

    recall: float
    false_positive_rate: float
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows whose score lies in [low, high). `share`: of positives among them, with its interval; `share_even`: if both
    classes were equally frequent."""

    low: float
    high: float
    rows: int
    mean_score: float
    share: Rate
    share_even: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """`error`: the mean over rows of |mean score - share of positives| of their bin. `error_even`: the same with both
    classes weighing the same, which is what scores are calibrated for; None without both."""

    error: float | None
    error_even: float | None
    bins: tuple[Bin, ...]


def rate_of(found: Bools) -> Rate:
    hits, n = int(found.sum()), len(found)
    low, high = wilson(hits, n)
    return Rate(hits, n, rounded(hits / n) if n else None, round(low, DIGITS), round(high, DIGITS))


def rounded(value: float) -> float:
    return round(float(value), DIGITS)


def known(value: float) -> float | None:
    """None instead of NaN."""
    return None if math.isnan(value) else rounded(value)


def precision_at(prevalence: float, recall: Rate, false_positives: Rate) -> Precision:
    """Precision where `prevalence` of all rows are positive: recall and false-positive rate are taken from elsewhere."""

    def share(up: float, down: float) -> float | None:
        right, wrong = prevalence * up, (1 - prevalence) * down
        return right / (right + wrong) if right + wrong else None

    if recall.rate is None or false_positives.rate is None:
        return Precision(None, 0.0)
    value = share(recall.rate, false_positives.rate)
    return Precision(None if value is None else rounded(value), rounded(share(recall.low, false_positives.high) or 0.0))


def auc(up: Floats, down: Floats) -> float | None:
    """Area under the ROC curve of positives against negatives; None without both."""
    return known(area(np.concatenate([up, down]), np.arange(len(up) + len(down)) < len(up)))


def roc(up: Floats, down: Floats) -> tuple[Floats, Floats, Floats]:
    """False-positive rates, recalls and the thresholds that give them, from flagging nothing to flagging all.

    The first threshold is infinite. Both classes must be there."""
    thresholds = np.unique(np.concatenate([up, down]))[::-1]
    recalls = _reached(up, thresholds)
    rates = _reached(down, thresholds)
    zero = np.zeros(1)
    return np.concatenate([zero, rates]), np.concatenate([zero, recalls]), np.concatenate([[np.inf], thresholds])


def recall_within(rate: float, up: Floats, down: Floats) -> Operating | None:
    """The highest recall whose false-positive rate is at most `rate`; None without both classes."""
    if not len(up) or not len(down):
        return None
    rates, recalls, thresholds = roc(up, down)
    at = int(np.searchsorted(rates, rate, "right")) - 1
    # Of equal recalls the one with the fewest false positives.
    at = int(np.argmax(recalls[: at + 1]))
    threshold = None if np.isinf(thresholds[at]) else rounded(thresholds[at])
    return Operating(rounded(recalls[at]), rounded(rates[at]), threshold)


def calibration(scores: Floats, positive: Bools, bins: int = BINS) -> Calibration:
    """Reliability over `bins` bins of equal width; the last one holds 1. Empty bins are left out."""
    if not len(scores):
        return Calibration(None, None, ())
    place = np.minimum((scores * bins).astype(int), bins - 1)
    both = bool(positive.any()) and not bool(positive.all())
    weights = _even_weights(positive) if both else np.full(len(scores), 1 / len(scores))
    error = error_even = 0.0
    made = []
    for number in np.unique(place):
        inside = place == number
        mean, share = float(scores[inside].mean()), rate_of(positive[inside])
        weight = float(weights[inside].sum())
        mean_even = float((scores[inside] * weights[inside]).sum()) / weight
        share_even = float(weights[inside & positive].sum()) / weight
        error += abs(mean - float(positive[inside].mean())) * share.n / len(scores)
        error_even += abs(mean_even - share_even) * weight
        low, high = rounded(number / bins), rounded((number + 1) / bins)
        made.append(Bin(low, high, share.n, rounded(mean), share, rounded(share_even)))
    return Calibration(rounded(error), rounded(error_even) if both else None, tuple(made))


def _even_weights(positive: Bools) -> Floats:
    weights: Floats = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
    return weights


def _reached(scores: Floats, thresholds: Floats) -> Floats:
    """The share of scores at or above each threshold."""
    ordered: NDArray[Any] = np.sort(scores)
    shares: Floats = (len(ordered) - np.searchsorted(ordered, thresholds, "left")) / len(ordered)
    return shares
