"""How sure a rate is and how well scores tell two classes apart: what training and evaluation both measure with.

One rule: pure arithmetic on counts and scores; nothing here knows what they are scores of.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray


def wilson(hits: float, n: float, z: float = 1.96) -> tuple[float, float]:
    """The 95% Wilson interval of a rate; (0, 1) of nothing. Parts of a count: what answers that go together are worth."""
    if n == 0:
        return 0.0, 1.0
    rate, square = hits / n, z * z
    middle = (rate + square / (2 * n)) / (1 + square / n)
    half = z * sqrt(rate * (1 - rate) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def area(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive outranks a negative; ties count half. NaN without both classes."""
    up, down = scores[positive], np.sort(scores[~positive])
    if not len(up) or not len(down):
        return float("nan")
    below = np.searchsorted(down, up, "left") + np.searchsorted(down, up, "right")
    return float(below.mean() / (2 * len(down)))
