"""Builds the first tier: fits every label of every recipe, calibrates, measures and writes the models with their manifests.

One rule: nothing here reads a clock or draws a random number; the same inputs rebuild the same files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from detectors.base import Label, Manifest, Metric, Source
from detectors.training.examples import Rows
from detectors.training.export import write
from detectors.training.fit import Fitted, fit
from detectors.training.measure import ENOUGH, anchored, curve, languages, logit, passed, quantile, rates, threshold
from detectors.training.recipes import ALARMED, GATE, LOOK_ALIKES, MISSED, ORDINARY, RECIPES, TOP, LabelRecipe

Say = Callable[[str], None]


def build(rows: Rows, out: Path, say: Say) -> dict[str, Manifest]:
    """Train, calibrate, measure and write every model. Raises OSError."""
    manifests = {}
    for name, recipe in RECIPES.items():
        fitted = {}
        for label, part in recipe.labels.items():
            fitted[label] = fit(part.corpus(rows), recipe.features, recipe.head, recipe.tail, part.drop_words)
            if part.gate:
                fitted[label] = _gated(fitted[label])
            say(f"{name}/{label}: {len(fitted[label].corpus.train)} texts, slope {fitted[label].slope:.2f}")
        labels, metrics = [], []
        for label, one in fitted.items():
            made, measured = _describe(label, recipe.labels[label], one)
            labels.append(made)
            metrics += measured
        manifests[name] = write(
            out, name, fitted, recipe.features, recipe.limits, tuple(labels), _sources(fitted), tuple(metrics)
        )
        say(f"{name}: {manifests[name].bytes} bytes")
    return manifests


def _gated(one: Fitted) -> Fitted:
    """The same label, calibrated for the two ends of its gate."""
    slope, shift = anchored(one.unseen, one.scores, (MISSED, GATE), (ALARMED, TOP), LOOK_ALIKES)
    return replace(
        one,
        weights=(one.weights * slope).astype(np.float32),
        bias=one.bias * slope + shift,
        slope=one.slope * slope,
        intercept=one.intercept * slope + shift,
        scores=one.scores * slope + shift,
    )


def _shifts(one: Fitted, answered: Sequence[str]) -> dict[str, float]:
    """What brings the gate to the same share of missed positives in every language that has enough of them."""
    shifts = {}
    for lang in answered:
        chosen = [i for i, e in enumerate(one.unseen) if e.lang == lang and e.positive]
        if len(chosen) >= ENOUGH:
            shifts[lang] = round(logit(GATE) - quantile([one.unseen[i] for i in chosen], one.scores[chosen], MISSED), 3)
    return shifts


def _describe(label: str, recipe: LabelRecipe, one: Fitted) -> tuple[Label, list[Metric]]:
    ordinary = np.array([e.source in ORDINARY and not e.positive for e in one.unseen])
    at = threshold(one.scores[ordinary], recipe.rate)
    answered, areas = languages(one)
    points, counted = curve(one, ORDINARY, LOOK_ALIKES)
    made = Label(
        name=label,
        provides=recipe.provides,
        threshold=at,
        false_positive_rate=recipe.rate,
        slope=round(one.slope, 6),
        intercept=round(one.intercept, 6),
        languages=answered,
        shifts=_shifts(one, answered) if recipe.gate else {},
        areas={lang: round(area, 3) for lang, area in sorted(areas.items())},
        curve=points,
        counted=counted,
    )
    metrics = rates(label, at, one.unseen, one.scores)
    if recipe.gate:
        metrics += passed(label, recipe.gate, one)
    return made, metrics


def _sources(fitted: dict[str, Fitted]) -> tuple[Source, ...]:
    uses: dict[tuple[str, str], set[str]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for label, one in fitted.items():
        for use, texts in (("train", one.corpus.train), ("held-out", one.corpus.held_out)):
            for example in texts:
                key = (example.source, example.licence)
                uses.setdefault(key, set()).add(f"{use} {label}")
                counts[key] += 1
    return tuple(
        Source(name=name, licence=licence, use=", ".join(sorted(uses[name, licence])), rows=counts[name, licence])
        for name, licence in sorted(counts)
    )
