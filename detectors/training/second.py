"""Trains the second tier: one network on the corpora of all its labels, calibrated, as an ONNX file.

One rule: what it says of itself is measured on that file, by `shipped.py`, never on the network in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from detectors.base import Manifest
from detectors.encoder import KINDS, MAX_TOKENS
from detectors.training import network as net
from detectors.training import shipped, tuning
from detectors.training.examples import Corpus
from detectors.training.quantise import graph


def build(corpora: Mapping[str, Corpus], base: Path, out: Path, say: Callable[[str], None]) -> Manifest:
    """Train, calibrate and write `encoder.onnx`, its tokenizer and a manifest without figures. Raises OSError, ValueError."""
    texts = sorted({text for corpus in corpora.values() for e in corpus.train if e.lang == "en" for text in (e.text, e.prompt)})
    torch.set_num_threads(1)  # the same sums in the same order
    network, tokenizer = net.start(base, texts, max(MAX_TOKENS.values()), len(KINDS))
    say(f"encoder: {tokenizer.get_vocab_size()} words, {sum(weight.numel() for weight in network.parameters())} weights")
    spare = tuning.tune(network, tokenizer, corpora, say)
    fits = {label: tuning.platt(tuning.logits(network, tokenizer, label, spare[label]), spare[label]) for label in KINDS}
    weights = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    slopes, intercepts = zip(*(fits[name] for name in KINDS), strict=True)
    data = graph(weights, tuple(KINDS), slopes, intercepts, net.LAYERS, net.HEADS)
    out.mkdir(parents=True, exist_ok=True)
    (out / shipped.TOKENIZER).write_text(tokenizer.to_str(), encoding="utf-8")
    return shipped.write(out, data, fits, corpora, {})
