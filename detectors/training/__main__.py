"""`python -m detectors.training --data DIR --out DIR`: rebuilds the shipped models, their manifests and their card."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detectors.training.build import build


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and build. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m detectors.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the exchange files (*.jsonl)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the models and manifests")
    parser.add_argument("--card", type=Path, default=None, help="also write the model card here (markdown)")
    options = parser.parse_args(arguments)
    build(options.data, options.out, options.card, say=lambda line: print(line, file=sys.stderr, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
