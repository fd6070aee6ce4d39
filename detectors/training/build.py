"""The recipe: which labels make which model, with which features, limits and stated false-positive rates.

One rule: nothing here reads a clock or draws a random number; the same inputs rebuild the same files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors.base import FeatureSpec, Label, Limits, Manifest, Metric, Source
from detectors.features import VERSION
from detectors.training import examples
from detectors.training.card import render
from detectors.training.data import load
from detectors.training.digests import SHA256
from detectors.training.examples import Corpus, Rows
from detectors.training.export import write
from detectors.training.fit import Fitted, fit
from detectors.training.measure import curve, languages, passed, rates, threshold

#: Ordinary traffic: what the stated false-positive rates are measured on.
ORDINARY = frozenset({"oasst_model_eval", "halueval_general", "tulu_human_eval", "vicuna_blog_eval"})
#: Benign texts that look like positives: sensitive words and frames, corrections of a false premise.
LOOK_ALIKES = frozenset({
    "coconot", "or_bench_subset", "k_overrefusal", "hevs_overrefusal", "oktest", "bullshit_benchmark", "sycon_false_presup",
})  # fmt: skip
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LabelRecipe:
    """One label: its corpus, the score it provides, its threshold's false-positive rate, and `drop_words` of `fit`.

    `gate`: the score below which somebody acts, 0 = none."""

    corpus: Callable[[Rows], Corpus]
    provides: str
    rate: float
    drop_words: int = 0
    gate: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """One model. `head`, `tail`: the one length, in bytes, that every training text is cut to."""

    labels: dict[str, LabelRecipe]
    features: FeatureSpec
    limits: Limits
    head: int
    tail: int


RECIPES = {
    "prompt": Recipe(
        labels={
            "asks_code": LabelRecipe(examples.asks_code, "asks_code", 0.01),
            "harm": LabelRecipe(examples.harm, "harm", 0.05, drop_words=4, gate=0.25),
        },
        features=FeatureSpec(version=VERSION, rows=2**17, char_orders=(4, 6), opening_words=0),
        limits=Limits(head_bytes=9000, tail_bytes=0, window_bytes=1500, max_windows=12, max_bytes=9000),
        head=600,
        tail=0,
    ),
    "response": Recipe(
        labels={"refusal": LabelRecipe(examples.refusal, "refusal.present", 0.01)},
        features=FeatureSpec(version=VERSION, rows=2**17, char_orders=(4, 6), opening_words=16),
        limits=Limits(head_bytes=600, tail_bytes=200, max_bytes=800),
        head=600,
        tail=200,
    ),
}


def build(data: Path, out: Path, card: Path | None, say: Say) -> dict[str, Manifest]:
    """Train, calibrate, measure and write every model. Raises OSError, DigestError."""
    rows = load(data, tuple(SHA256))
    say(f"read {sum(map(len, rows.values()))} rows of {len(rows)} sources")
    manifests = {}
    for name, recipe in RECIPES.items():
        fitted = {}
        for label, part in recipe.labels.items():
            fitted[label] = fit(part.corpus(rows), recipe.features, recipe.head, recipe.tail, part.drop_words)
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
    if card is not None:
        card.write_text(render(manifests), encoding="utf-8")
    return manifests


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
