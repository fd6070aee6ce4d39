"""Paired comparisons of an arm with none: fixed and broken answers, McNemar's test, the interval of a paired difference.

One rule: an answer counts only where both arms have it; what is missing is counted as missing and never as right or wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from core.values import frozen
from detectors.measures import wilson


@frozen
class Pairing:
    """How one arm's answers compare with another's. `better`: wrong there, right here; `worse`: the other way."""

    both_right: int
    better: int
    worse: int
    both_wrong: int

    @property
    def n(self) -> int:
        return self.both_right + self.better + self.worse + self.both_wrong

    @property
    def fix_rate(self) -> float | None:
        """Of the answers that were wrong, the share that is right now; None without any."""
        wrong = self.better + self.both_wrong
        return self.better / wrong if wrong else None

    @property
    def fix_interval(self) -> tuple[float, float]:
        return wilson(self.better, self.better + self.both_wrong)

    @property
    def break_rate(self) -> float | None:
        """Of the answers that were right, the share that is wrong now; None without any."""
        right = self.worse + self.both_right
        return self.worse / right if right else None

    @property
    def break_interval(self) -> tuple[float, float]:
        return wilson(self.worse, self.worse + self.both_right)

    def difference(self, z: float = 1.96) -> tuple[float, float, float]:
        """Gain in the share of right answers, with its 95% interval (Agresti and Min 2005: Wald, 1/2 added)."""
        if not self.n:
            return 0.0, -1.0, 1.0
        n, better, worse = self.n + 2, self.better + 0.5, self.worse + 0.5
        gain = (better - worse) / n
        half = z * math.sqrt(max(0.0, better + worse - (better - worse) ** 2 / n)) / n
        return (self.better - self.worse) / self.n, gain - half, gain + half

    def p_value(self) -> float:
        """McNemar's exact test, two-sided: that better and worse are equally likely."""
        flips, fewer = self.better + self.worse, min(self.better, self.worse)
        if not flips:
            return 1.0
        tail: float = sum(math.comb(flips, k) for k in range(fewer + 1)) / 2**flips
        return min(1.0, 2 * tail)


def pair(answers: Iterable[tuple[bool, bool]]) -> Pairing:
    """From (right there, right here) of every answer that both arms have."""
    counts = {(True, True): 0, (False, True): 0, (True, False): 0, (False, False): 0}
    for one in answers:
        counts[one] += 1
    return Pairing(counts[True, True], counts[False, True], counts[True, False], counts[False, False])
