"""Rates with Wilson intervals, thresholds and the languages a label may answer, all from scores of unseen texts.

One rule: a rate is never shown without its n, and recall and false positives are measured at one and the same threshold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from detectors.base import CurvePoint, Metric
from detectors.measures import area, wilson
from detectors.training.examples import Example
from detectors.training.fit import Fitted, Floats

#: A language is measured with at least this many texts of each class.
ENOUGH = 30
#: Area under the ROC curve below which a measured language is not answered.
BAR = 0.65


def threshold(scores: Floats, rate: float) -> float:
    """The lowest probability that at most `rate` of these negatives reach, to three digits, upwards."""
    probabilities = np.sort(1 / (1 + np.exp(-scores)))
    at = probabilities[min(len(probabilities) - 1, int(np.ceil(len(probabilities) * (1 - rate))))]
    return float(np.ceil(at * 1000 + 1e-9) / 1000)


def languages(fitted: Fitted) -> tuple[tuple[str, ...], dict[str, float]]:
    """Languages with enough unseen texts of both classes and an area above the bar; and the area of every measured one."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i, example in enumerate(fitted.unseen):
        groups[example.lang].append(i)
    positive = np.array([example.positive for example in fitted.unseen])
    areas = {}
    for lang, members in groups.items():
        chosen = positive[members]
        if lang and min(chosen.sum(), (~chosen).sum()) >= ENOUGH:
            areas[lang] = area(fitted.scores[members], chosen)
    return tuple(sorted(lang for lang, value in areas.items() if value >= BAR)), areas


def rates(name: str, at: float, examples: Iterable[Example], scores: Floats, least: int = 15) -> list[Metric]:
    """Recall and false-positive rate of every source and language with at least `least` texts."""
    groups: dict[tuple[str, str, bool], list[bool]] = defaultdict(list)
    for example, score in zip(examples, scores, strict=True):
        hit = bool(1 / (1 + np.exp(-score)) >= at)
        groups[(example.source, example.lang, example.positive)].append(hit)
    result = []
    for (source, lang, positive), found in sorted(groups.items()):
        if len(found) >= least:
            low, high = wilson(sum(found), len(found))
            kind = "recall" if positive else "false_positive_rate"
            result.append(Metric(label=name, set=source, kind=kind, language=lang or "?", at=at, hits=sum(found), n=len(found),
                                 low=round(low, 4), high=round(high, 4)))  # fmt: skip
    return result


def curve(
    fitted: Fitted, ordinary: frozenset[str], look_alikes: frozenset[str]
) -> tuple[tuple[CurvePoint, ...], tuple[int, int, int]]:
    """Shares of unseen texts that reach each tenth: positives of sources that never trained, look-alikes, ordinary text."""
    probabilities = 1 / (1 + np.exp(-fitted.scores))
    held = {id(example) for example in fitted.corpus.held_out}
    groups = (
        [i for i, e in enumerate(fitted.unseen) if e.positive and id(e) in held],
        [i for i, e in enumerate(fitted.unseen) if not e.positive and e.source in look_alikes],
        [i for i, e in enumerate(fitted.unseen) if not e.positive and e.source in ordinary],
    )
    points = []
    for tenth in range(1, 10):
        at = tenth / 10
        shares = [round(float((probabilities[group] >= at).mean()), 4) if group else 0.0 for group in groups]
        points.append(CurvePoint(at=at, recall=shares[0], look_alikes=shares[1], ordinary=shares[2]))
    return tuple(points), (len(groups[0]), len(groups[1]), len(groups[2]))


def passed(name: str, at: float, fitted: Fitted) -> list[Metric]:
    """Share of the texts of held-out sources that stay below `at`, by class and language: what a gate at `at` lets through."""
    groups: dict[tuple[str, bool], list[bool]] = defaultdict(list)
    first = len(fitted.scores) - len(fitted.corpus.held_out)
    for example, score in zip(fitted.corpus.held_out, fitted.scores[first:], strict=True):
        groups[(example.lang, example.positive)].append(bool(1 / (1 + np.exp(-score)) < at))
    result = []
    for (lang, positive), found in sorted(groups.items()):
        if len(found) >= ENOUGH:
            low, high = (round(value, 4) for value in wilson(sum(found), len(found)))
            kind = "passed_positives" if positive else "passed_negatives"
            result.append(
                Metric(
                    label=name,
                    set="held-out",
                    kind=kind,
                    language=lang or "?",
                    at=at,
                    hits=sum(found),
                    n=len(found),
                    low=low,
                    high=high,
                )
            )
    return result


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def anchored(
    examples: Sequence[Example],
    scores: Floats,
    low: tuple[float, float],
    high: tuple[float, float],
    look_alikes: frozenset[str],
) -> tuple[float, float]:
    """Slope and intercept of a gate: a share `low[0]` of the positives comes to lie below `low[1]`, and a share `high[0]` of
    the look-alikes above `high[1]`; of all negatives, where there is no look-alike. Without both classes it stays as it is."""
    positive = [i for i, e in enumerate(examples) if e.positive]
    negative = [i for i, e in enumerate(examples) if not e.positive]
    alike = [i for i in negative if examples[i].source in look_alikes] or negative
    if not positive or not alike:
        return 1.0, 0.0
    bottom = quantile([examples[i] for i in positive], scores[positive], low[0])
    top = max(quantile([examples[i] for i in alike], scores[alike], 1 - high[0]), bottom + 0.5)
    slope = (logit(high[1]) - logit(low[1])) / (top - bottom)
    return slope, logit(low[1]) - slope * bottom


def quantile(examples: Sequence[Example], scores: Floats, share: float) -> float:
    """The score that a share of these examples lies below, every source counting the same."""
    counts: dict[str, int] = defaultdict(int)
    for example in examples:
        counts[example.source] += 1
    order = np.argsort(scores, kind="stable")
    weights = np.cumsum([1 / counts[examples[place].source] for place in order])
    return float(scores[order[min(len(order) - 1, int(np.searchsorted(weights, share * weights[-1])))]])
