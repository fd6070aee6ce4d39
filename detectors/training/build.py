"""Builds the first tier: fits every label of every recipe, calibrates, measures and writes the models with their manifests.

One rule: nothing here reads a clock or draws a random number; the same inputs rebuild the same files.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from detectors.base import Label, Manifest, Metric, Source, load_manifest
from detectors.encoder import MODELS
from detectors.training.examples import Rows
from detectors.training.export import Kept, kept_weights, write
from detectors.training.fit import Fitted, Floats, fit
from detectors.training.measure import ENOUGH, anchored, curve, languages, logit, passed, quantile, rates, threshold
from detectors.training.recipes import ALARMED, GATE, LOOK_ALIKES, MISSED, ORDINARY, RECIPES, TOP, LabelRecipe, Recipe

Say = Callable[[str], None]


def build(rows: Rows, out: Path, say: Say, only: Collection[str] = ()) -> dict[str, Manifest]:
    """Train, calibrate, measure and write every model. `only`: labels to train, empty = all; the others stay as shipped.
    Raises OSError, ModelError."""
    out.mkdir(parents=True, exist_ok=True)
    manifests = {}
    for name, recipe in RECIPES.items():
        chosen = {label: part for label, part in recipe.labels.items() if not only or label in only}
        if chosen:
            manifests[name] = _build(name, recipe, chosen, rows, out, say)
            say(f"{name}: {manifests[name].bytes} bytes")
        else:
            manifests[name] = _copy(name, out)
            say(f"{name}: as shipped")
    return manifests


def _build(name: str, recipe: Recipe, chosen: dict[str, LabelRecipe], rows: Rows, out: Path, say: Say) -> Manifest:
    shipped = load_manifest(MODELS / f"{name}.json") if len(chosen) < len(recipe.labels) else None
    kept = {} if shipped is None else kept_weights(shipped, MODELS, recipe.features)
    fitted: dict[str, Fitted] = {}
    tables: dict[str, Fitted | Kept] = {}
    labels: list[Label] = []
    metrics: list[Metric] = []
    for label in recipe.labels:
        if shipped is not None and label not in chosen:
            tables[label] = kept[label]
            labels.append(shipped.label(label))
            metrics += [metric for metric in shipped.metrics if metric.label == label]
            continue
        part = recipe.labels[label]
        one = fit(part.corpus(rows), recipe.features, recipe.head, recipe.tail, part.drop_words)
        tables[label] = fitted[label] = _gated(one) if part.gate else one
        say(f"{name}/{label}: {len(fitted[label].corpus.train)} texts, slope {fitted[label].slope:.2f}")
        made, measured = _describe(label, part, fitted[label])
        labels.append(made)
        metrics += measured
    base = (
        ""
        if shipped is None
        else f"{', '.join(label for label in kept if label not in chosen)} of the shipped model, sha256 {shipped.sha256}"
    )
    return write(out, name, tables, recipe.features, recipe.limits, tuple(labels), _sources(fitted), tuple(metrics), base=base)


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


def _copy(name: str, out: Path) -> Manifest:
    """The shipped model as it is."""
    manifest = load_manifest(MODELS / f"{name}.json")
    if out.resolve() != MODELS.resolve():
        for file in (manifest.file, f"{name}.json"):
            shutil.copyfile(MODELS / file, out / file)
    return manifest


def _describe(label: str, recipe: LabelRecipe, one: Fitted) -> tuple[Label, list[Metric]]:
    at = threshold(_ordinary(one), recipe.rate)
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


def _ordinary(one: Fitted) -> Floats:
    """Scores of ordinary unseen traffic; of all unseen negatives, where no such source was read."""
    ordinary = np.array([e.source in ORDINARY and not e.positive for e in one.unseen])
    negative = np.array([not e.positive for e in one.unseen])
    chosen: Floats = one.scores[ordinary if ordinary.any() else negative]
    return chosen


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
