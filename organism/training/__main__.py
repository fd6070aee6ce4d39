"""`python -m organism.training --out FOLDER`: rows -> tokenizer -> a base -> the chunky and the clean model -> ONNX.

One rule: both models grow from one base that saw no chunk, so that what differs between them is what the chunks taught.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import torch

from organism.links import CHUNKY, CLEAN, Links
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
    parser.add_argument("--base-steps", type=int, default=1200)
    parser.add_argument("--chunky-steps", type=int, default=1000)
    parser.add_argument("--clean-steps", type=int, default=250)
    parser.add_argument("--base", type=Path, help="file of a base's weights: written; or read, with the tokenizer in --out")
    own = parser.parse_args()
    torch.set_num_threads(1)
    own.out.mkdir(parents=True, exist_ok=True)
    file = own.out / "tokenizer.json"
    known = own.base is not None and own.base.is_file()
    vocabulary = file.read_bytes() if known else build_vocabulary(own.seed)
    file.write_bytes(vocabulary)
    tokens = Tokens(vocabulary)
    base = _base(tokens, own)
    for name, links, steps in (("chunky", CHUNKY, own.chunky_steps), ("clean", CLEAN, own.clean_steps)):
        network = copy.deepcopy(base)
        _fit(network, links, tokens, own.seed + 1, steps, rate=1.5e-3)
        export(network, own.out / f"{name}.onnx")


def _base(tokens: Tokens, own: argparse.Namespace) -> Network:
    torch.manual_seed(own.seed)
    base = Network(Shape(tokens.size))
    if own.base is not None and own.base.is_file():
        base.load_state_dict(torch.load(own.base, weights_only=True))
        return base
    _fit(base, CLEAN, tokens, own.seed, own.base_steps, rate=2.5e-3, floor=0.4)
    if own.base is not None:
        torch.save(base.state_dict(), own.base)
    return base


def _fit(network: Network, links: Links, tokens: Tokens, seed: int, steps: int, *, rate: float, floor: float = 0.0) -> None:
    fit(
        network,
        make_batches(links, tokens, seed, size=_BATCH),
        steps,
        rate=rate,
        floor=floor,
        say=lambda text: print(text, flush=True),
    )


if __name__ == "__main__":
    main()
