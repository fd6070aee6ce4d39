"""`chunkguard attribute` on the command line: its options, read into wishes.

One rule: thin, and nothing of attribution is imported before the command is typed.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

FAILED: Final = 2
#: What the extra `attribute` installs, as modules.
NEEDED: Final = ("polars", "scipy", "matplotlib")


def add(commands: Commands) -> None:
    """Add the command to those of the root parser."""
    parser = commands.add_parser(
        "attribute",
        help="trace behaviours to training data",
        description="Say which features of the prompts go with which behaviours of the answers, and in which sources.",
    )
    option = parser.add_argument
    option("paths", nargs="+", type=Path, metavar="PATH", help="JSONL (.gz, .zst) or Parquet file, or a folder of them")
    option("--out", required=True, type=Path, metavar="DIR", help="folder for attribute.html, .md, .json and exports")
    option("--work", type=Path, metavar="DIR", help="folder that keeps what was read: a run that was cut off goes on")
    option("--trace", type=Path, metavar="FILE", help="JSONL of failing exchanges or decision records to explain")
    option("--source", default="", metavar="FIELD", help="field that names a row's source (default: source, dataset)")
    option("--behaviour", action="append", default=[], metavar="NAME", help="report this one only; may be repeated")
    option("--links", type=_count, default=10, metavar="N", help="links reported per behaviour (%(default)s)")
    option("--support", type=_positive, default=20.0, help="votes that a feature and a behaviour need (%(default)s)")
    option("--q", type=_share, default=0.01, help="false discovery rate (%(default)s)")
    option("--lift", type=_positive, default=1.5, help="lower bound that a lift must reach (%(default)s)")
    option("--rate", type=_share, default=0.1, help="P(behaviour | feature) from which on it matters (%(default)s)")
    option("--target", type=_share, default=0.1, help="the rate that counter-examples are to bring about (%(default)s)")
    option("--counter-examples", type=_count, default=200, metavar="N", help="per link and origin, 0 = none (%(default)s)")
    option("--no-ids", action="store_true", help="write no lists of ids")
    option("--no-text", action="store_true", help="show and export no text, only ids and names")
    option("--scheduler", default="", metavar="ADDRESS", help="run on this Dask cluster, tcp://host:8786")
    option("--processes", type=_count, default=0, help="worker processes (default: one a core)")
    option("--quiet", action="store_true", help="no progress bar and no summary")
    parser.set_defaults(run=run)


def lacks(command: str) -> bool:
    """Whether what the extra installs is missing; says so."""
    missing = ", ".join(name for name in NEEDED if find_spec(name) is None)
    if missing:
        print(f"chunkguard: {command} needs {missing}: install chunkguard with the extra 'attribute'", file=sys.stderr)
    return bool(missing)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit status. Raises OSError, ConfigError."""
    if lacks("attribute"):
        return FAILED
    from attribution import command
    from attribution.links import Bars

    wishes = command.Wishes(
        Bars(
            support=arguments.support,
            q=arguments.q,
            lift=arguments.lift,
            rate=arguments.rate,
            target=arguments.target,
        ),
        work=arguments.work,
        source_field=arguments.source,
        behaviours=tuple(arguments.behaviour),
        shown=arguments.links,
        counters=arguments.counter_examples,
        trace=arguments.trace,
        ids=not arguments.no_ids,
        texts=not arguments.no_text,
        scheduler=arguments.scheduler,
        processes=arguments.processes,
        quiet=arguments.quiet,
    )
    return command.run(arguments.paths, arguments.out, wishes)


def _count(text: str) -> int:
    """A whole number that is not negative."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("must be a whole number, 0 or more")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be a number above 0")
    return value


def _share(text: str) -> float:
    value = _positive(text)
    if value > 1:
        raise argparse.ArgumentTypeError("must be above 0, and 1 at most")
    return value
