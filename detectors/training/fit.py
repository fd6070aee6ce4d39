"""Fits one linear label on hashed features and calibrates it on texts of sources that its fit never saw.

One rule: every score that is reported or calibrated on comes from a model that was not fitted on that source (cross-fit), or,
for the few sources that alone hold both classes of a language, not on that prompt.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from detectors.base import FeatureSpec
from detectors.features import cut, hash_features
from detectors.training.examples import OWN_FOLD, Corpus, Example

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
#: Inverse L2 strength; chosen on the cross-fit scores of `harm`, flat between 10 and 100.
STRENGTH = 30.0
ITERATIONS = 60


@dataclass(frozen=True, slots=True)
class Fitted:
    """A calibrated label: probability = sigmoid(weights . features + bias), with what it scored on texts it was not fitted on.

    `unseen`: those texts - the training sources, scored by cross-fit, then the held-out ones. `scores`: their logits.
    """

    corpus: Corpus
    weights: npt.NDArray[np.float32]
    bias: float
    slope: float
    intercept: float
    unseen: tuple[Example, ...]
    scores: Floats


def matrix(texts: Sequence[str], spec: FeatureSpec, head: int, tail: int) -> Any:
    """A CSR matrix of texts x rows, each text cut to the one length every class shares."""
    if not texts:
        return sparse.csr_matrix((0, spec.rows))
    rows, weights, ends = [], [], [0]
    for text in texts:
        ids, values = hash_features(cut(text, head, tail), spec)
        rows.append(ids)
        weights.append(values)
        ends.append(ends[-1] + len(ids))
    shape = (len(texts), spec.rows)
    result = sparse.csr_matrix((np.concatenate(weights), np.concatenate(rows), np.array(ends)), shape=shape)
    result.sum_duplicates()
    return result


def balance(examples: Sequence[Example]) -> Floats:
    """Weights under which both classes weigh the same within each language, and a source counts by the root of its size,
    so that neither a language nor one large source foretells a class."""
    sources = Counter((e.lang, e.positive, e.source) for e in examples)
    raw = np.array([e.weight * sources[(e.lang, e.positive, e.source)] ** -0.5 for e in examples])
    classes: dict[tuple[str, bool], float] = defaultdict(float)
    for example, weight in zip(examples, raw, strict=True):
        classes[(example.lang, example.positive)] += weight
    languages = Counter(e.lang for e in examples)
    scale = np.array([languages[e.lang] ** 0.5 / classes[(e.lang, e.positive)] for e in examples])
    weights: Floats = raw * scale
    weights /= weights.mean()
    return weights


def shortened(examples: Sequence[Example], words: int) -> list[Example]:
    """Copies without their first words, where enough is left: openings show the source, not the class, of a prompt."""
    parts = [(example, example.text.split()[words:]) for example in examples]
    return [replace(example, text=" ".join(rest)) for example, rest in parts if words and len(rest) > 3]


def fit(corpus: Corpus, spec: FeatureSpec, head: int, tail: int, drop_words: int = 0) -> Fitted:
    """Cross-fit by fold, Platt-scale on the cross-fit scores of the sources, then fit once more on everything.

    `drop_words`: also train on every text without that many words at its start."""
    count = len(corpus.train)
    examples = [*corpus.train, *shortened(corpus.train, drop_words)]
    features = matrix([e.text for e in examples], spec, head, tail)
    labels = np.array([e.positive for e in examples])
    folds = np.array([e.fold for e in examples])
    weights = balance(examples)
    crossed = np.zeros(count)
    for fold in sorted(set(folds.tolist()) - {OWN_FOLD}):
        out = folds == fold
        model = _logistic().fit(features[~out], labels[~out], sample_weight=weights[~out])
        crossed[out[:count]] = model.decision_function(features[:count][out[:count]])
    seen = folds[:count] != OWN_FOLD
    platt = LogisticRegression(C=1e6).fit(crossed[seen][:, None], labels[:count][seen], sample_weight=weights[:count][seen])
    slope, intercept = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    model = _logistic().fit(features, labels, sample_weight=weights)
    held = matrix([e.text for e in corpus.held_out], spec, head, tail)
    held_scores = model.decision_function(held) if corpus.held_out else np.zeros(0)
    return Fitted(
        corpus=corpus,
        weights=(model.coef_[0] * slope).astype(np.float32),
        bias=float(model.intercept_[0]) * slope + intercept,
        slope=slope,
        intercept=intercept,
        unseen=tuple(e for e, new in zip(corpus.train, seen, strict=True) if new) + corpus.held_out,
        scores=np.concatenate([crossed[seen], held_scores]) * slope + intercept,
    )


def _logistic() -> LogisticRegression:
    return LogisticRegression(C=STRENGTH, max_iter=ITERATIONS, tol=1e-3)
