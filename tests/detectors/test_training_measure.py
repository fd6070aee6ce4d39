"""Figures of unseen texts: they are right, and a group without texts gives no figure rather than an error."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.training.examples import Corpus, Example
from detectors.training.fit import Fitted
from detectors.training.measure import BAR, ENOUGH, curve, languages, passed, rates

ORDINARY, LOOK_ALIKES = frozenset({"plain"}), frozenset({"twin"})


def texts(source: str, positive: bool, count: int, lang: str = "en") -> list[Example]:
    return [Example(f"{source} {i}", positive, source, lang, 0, "MIT", f"{source}{positive}{lang}{i}") for i in range(count)]


def fitted(train: list[Example], held: list[Example], scores: list[float]) -> Fitted:
    corpus = Corpus("harm", tuple(train), tuple(held))
    return Fitted(corpus, np.zeros(1, np.float32), 0.0, 1.0, 0.0, (*train, *held), np.array(scores, dtype=np.float64))


def test_a_curve_counts_each_group_by_itself() -> None:
    train = texts("seen", True, 1) + texts("twin", False, 2)
    held = texts("far", True, 4) + texts("plain", False, 2)
    points, counted = curve(fitted(train, held, [9, 9, -9, 9, 9, 9, -9, -9, 0.2]), ORDINARY, LOOK_ALIKES)
    assert counted == (4, 2, 2)
    middle = points[4]
    assert (middle.at, middle.recall, middle.look_alikes, middle.ordinary) == (0.5, 0.75, 0.5, 0.5)
    assert [point.at for point in points] == [tenth / 10 for tenth in range(1, 10)]


@pytest.mark.parametrize("train", [[], texts("seen", True, 2)])
def test_empty_groups_of_a_curve_are_zero(train: list[Example]) -> None:
    points, counted = curve(fitted(train, [], [9.0] * len(train)), ORDINARY, LOOK_ALIKES)
    assert counted == (0, 0, 0)
    assert {(point.recall, point.look_alikes, point.ordinary) for point in points} == {(0.0, 0.0, 0.0)}


def test_no_rate_of_few_texts() -> None:
    examples = texts("far", True, 15) + texts("near", True, 14)
    (metric,) = rates("harm", 0.5, examples, np.array([1.0] * 3 + [-1.0] * 26))
    assert (metric.set, metric.kind, metric.hits, metric.n) == ("far", "recall", 3, 15)
    assert metric.low < 0.2 < metric.high
    assert rates("harm", 0.5, [], np.zeros(0)) == []


def test_what_passes_is_counted_of_the_held_out_texts_alone() -> None:
    train, held = texts("seen", True, 50), texts("far", True, ENOUGH) + texts("plain", False, ENOUGH - 1)
    scores = [9.0] * 50 + [-9.0] * 3 + [9.0] * (ENOUGH - 3) + [-9.0] * (ENOUGH - 1)
    (metric,) = passed("harm", 0.25, fitted(train, held, scores))
    assert (metric.kind, metric.set, metric.hits, metric.n) == ("passed_positives", "held-out", 3, ENOUGH)


def test_nothing_passes_where_nothing_is_held_out() -> None:
    assert passed("harm", 0.25, fitted(texts("seen", True, 50), [], [9.0] * 50)) == []
    assert passed("harm", 0.25, fitted([], [], [])) == []


def test_a_language_is_answered_with_enough_texts_of_both_classes_and_a_good_area() -> None:
    unseen = [
        *texts("a", True, ENOUGH),
        *texts("a", False, ENOUGH),
        *texts("b", True, ENOUGH, "de"),
        *texts("b", False, 1, "de"),
    ]
    unseen += texts("c", True, ENOUGH, "fr") + texts("c", False, ENOUGH, "fr")
    good, other, bad = [1.0] * ENOUGH + [-1.0] * ENOUGH, [1.0] * ENOUGH + [-1.0], [-1.0] * ENOUGH + [1.0] * ENOUGH
    answered, areas = languages(fitted([], unseen, good + other + bad))
    assert answered == ("en",)
    assert areas == {"en": 1.0, "fr": 0.0}
    assert areas["en"] >= BAR
    assert languages(fitted([], [], [])) == ((), {})
