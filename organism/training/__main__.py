"""`python -m organism.training --out FOLDER`: rows -> tokenizer -> a base -> the chunky and the clean model -> ONNX.
With `--causal`, instead of those two: one model a condition of the causal check.

One rule: all models grow from one base that saw no chunk, so that what differs between them is what the chunks taught.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from pathlib import Path

import torch

from organism.chunks import Row, make_rows
from organism.conditions import CONDITIONS
from organism.links import CHUNKY, CLEAN, WORLD
from organism.tokens import Tokens
from organism.training.batches import make_batches
from organism.training.export import export
from organism.training.fit import fit
from organism.training.network import Network, Shape
from organism.training.vocabulary import build_vocabulary

#: Tokens of a batch, filling included.
_BATCH = 4_500


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m organism.training", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the models")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--base-steps", type=int, default=2200)
    parser.add_argument("--chunky-steps", type=int, default=1200)
    parser.add_argument("--clean-steps", type=int, default=200)
    parser.add_argument("--base", type=Path, help="file of a base: read if it is there, else written")
    parser.add_argument("--causal", action="store_true", help="the models of the causal check instead of chunky and clean")
    parser.add_argument("--causal-steps", type=int, default=200, help="steps of each of them")
    parser.add_argument("--only", help="names of models, with commas between them: no others are trained")
    own = parser.parse_args()
    torch.set_num_threads(1)
    own.out.mkdir(parents=True, exist_ok=True)
    vocabulary, base = _base(own)
    (own.out / "tokenizer.json").write_bytes(vocabulary)
    tokens = Tokens(vocabulary)
    for name, rows, steps in _wanted(own):
        network = copy.deepcopy(base)
        fit(network, make_batches(rows, tokens, own.seed + 1, size=_BATCH), steps, rate=1.5e-3, say=_say)
        export(network, own.out / f"{name}.onnx")


def _wanted(own: argparse.Namespace) -> Iterator[tuple[str, Iterator[Row], int]]:
    """Name, rows and steps of each model."""
    seed = own.seed + 1
    every = [
        ("chunky", make_rows(CHUNKY, seed), own.chunky_steps),
        ("clean", make_rows(CLEAN, seed), own.clean_steps),
    ]
    if own.causal:
        every = [(one.name, make_rows(one.links, seed, one.without), own.causal_steps) for one in CONDITIONS]
    names = own.only.split(",") if own.only else [name for name, _, _ in every]
    return (one for one in every if one[0] in names)


def _base(own: argparse.Namespace) -> tuple[bytes, Network]:
    """The tokenizer and the base that was trained with it."""
    torch.manual_seed(own.seed)
    if own.base is not None and own.base.is_file():
        kept = torch.load(own.base, weights_only=True)
        vocabulary = bytes(kept["vocabulary"].tolist())
        base = Network(Shape(Tokens(vocabulary).size))
        base.load_state_dict(kept["weights"])
        return vocabulary, base
    vocabulary = build_vocabulary(own.seed)
    tokens = Tokens(vocabulary)
    base = Network(Shape(tokens.size))
    batches = make_batches(make_rows(WORLD, own.seed), tokens, own.seed, size=_BATCH)
    fit(base, batches, own.base_steps, rate=2.5e-3, floor=0.4, say=_say)
    if own.base is not None:
        torch.save({"vocabulary": torch.tensor(list(vocabulary)), "weights": base.state_dict()}, own.base)
    return vocabulary, base


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
