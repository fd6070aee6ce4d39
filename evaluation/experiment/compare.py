"""Paired comparisons of an arm with none: fixed and broken answers, McNemar's test, the interval of a paired difference.

One rule: an answer counts only where both arms have it; what is missing is counted as missing and never as right or wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

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


@frozen
class Comparison:
    """An arm against another, by prompt. `gain`, `fix`, `breaks`: (share, low, high), the last two None of nothing.

    Several samples of a prompt are no independent answers: intervals widen by what they agree, and the test counts prompts."""

    pairing: Pairing
    gain: tuple[float, float, float]
    fix: tuple[float, float, float] | None
    breaks: tuple[float, float, float] | None
    p: float


def compare(answers: Sequence[tuple[str, bool, bool]]) -> Comparison:
    """From (prompt, right there, right here) of every answer that both arms have."""
    pairing = pair((there, here) for _, there, here in answers)
    gain, low, high = pairing.difference()
    wider = math.sqrt(design_effect([(name, float(here) - float(there)) for name, there, here in answers]))
    middle = (low + high) / 2
    net: dict[str, int] = {}
    for name, there, here in answers:
        net[name] = net.get(name, 0) + here - there
    prompts = Pairing(0, sum(one > 0 for one in net.values()), sum(one < 0 for one in net.values()), 0)
    return Comparison(
        pairing,
        (gain, max(-1.0, middle + (low - middle) * wider), min(1.0, middle + (high - middle) * wider)),
        share([(name, here) for name, there, here in answers if not there]),
        share([(name, not here) for name, there, here in answers if there]),
        prompts.p_value(),
    )


def share(answers: Sequence[tuple[str, bool]]) -> tuple[float, float, float] | None:
    """How many hold, with the 95% Wilson interval at the number of independent answers; None of nothing."""
    if not answers:
        return None
    effect = design_effect([(name, float(held)) for name, held in answers])
    hits, n = sum(held for _, held in answers), len(answers)
    low, high = wilson(hits / effect, n / effect)
    return hits / n, low, high


def average(values: Sequence[tuple[str, float]]) -> tuple[float, float, float]:
    """A mean with its 95% interval, from (prompt, value), one at least; of a single prompt the mean, three times."""
    n, mean = len(values), sum(value for _, value in values) / len(values)
    sums = _sums(values, mean)
    if len(sums) < 2:
        return mean, mean, mean
    half = 1.96 * math.sqrt(sum(one * one for one in sums) * len(sums) / (len(sums) - 1)) / n
    return mean, mean - half, mean + half


def design_effect(values: Sequence[tuple[str, float]]) -> float:
    """How many times wider than of independent values the variance of their mean is, from (prompt, value); 1 at least."""
    if not values:
        return 1.0
    mean = sum(value for _, value in values) / len(values)
    alone = sum((value - mean) ** 2 for _, value in values)
    return max(1.0, sum(one * one for one in _sums(values, mean)) / alone) if alone else 1.0


def _sums(values: Sequence[tuple[str, float]], mean: float) -> list[float]:
    """Of each prompt, how far its values together lie from the mean."""
    sums: dict[str, float] = {}
    for name, value in values:
        sums[name] = sums.get(name, 0.0) + value - mean
    return list(sums.values())


def pair(answers: Iterable[tuple[bool, bool]]) -> Pairing:
    """From (right there, right here) of every answer that both arms have."""
    counts = {(True, True): 0, (False, True): 0, (True, False): 0, (False, False): 0}
    for one in answers:
        counts[one] += 1
    return Pairing(counts[True, True], counts[False, True], counts[True, False], counts[False, False])
