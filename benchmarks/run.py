"""`make bench`: every speed budget, measured in one run, each bar said to hold or to fall short.

Ratios to a bare pass-through in the same run, wherever a bar allows it: see `rates.py`, `lag.py`, `streams.py`, `growth.py` and
`open.py`. Needs Debian's nginx and wrk.

    python benchmarks/run.py [--seconds 4] [--rounds 5] [--parts rates,two,lag,streams,growth,open] [--out results/latest.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from bars import Bar, show  # noqa: E402  (a script beside this one)
from growth import measure_growth  # noqa: E402
from lag import measure_lags  # noqa: E402
from open import IDLE, STREAMS, measure_open  # noqa: E402
from rates import Target, measure_one, measure_two  # noqa: E402
from streams import measure_streams  # noqa: E402

#: What a part found, as it is kept, and its bars.
Found = tuple[dict[str, Any], list[Bar]]


def rates(arguments: argparse.Namespace) -> Found:
    tested, bars = in_folder(arguments, measure_one)
    return {
        "requests_per_second": {target.name: [round(rate, 1) for rate in target.rates] for target in tested},
        "cpu_us_per_request": {target.name: [round(cost, 1) for cost in target.cpu] for target in tested},
        "p99_ms": {target.name: [round(late, 2) for late in target.p99] for target in tested},
    }, bars


def two(arguments: argparse.Namespace) -> Found:
    tested, bars = in_folder(arguments, measure_two)
    return {"two_workers": {target.name: [round(rate, 1) for rate in target.rates] for target in tested}}, bars


def in_folder(
    arguments: argparse.Namespace, measure: Callable[[argparse.Namespace, Path], tuple[list[Target], list[Bar]]]
) -> tuple[list[Target], list[Bar]]:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # nginx's workers run as another user
        return measure(arguments, Path(folder))


def lag(arguments: argparse.Namespace) -> Found:
    found, bars = measure_lags(arguments.seconds * 3)
    return {"lag_ms": found}, bars


def streams(arguments: argparse.Namespace) -> Found:
    found, bars = measure_streams(arguments.seconds * 2)
    return {"streams": found}, bars


def growth(arguments: argparse.Namespace) -> Found:
    found, bars = measure_growth(arguments.rounds, max(24, int(arguments.seconds * 50)))
    return {"growth": found}, bars


def crowds(arguments: argparse.Namespace) -> Found:
    found, bars = measure_open(arguments.idle, arguments.streams)
    return {"open": found}, bars


PARTS: dict[str, Callable[[argparse.Namespace], Found]] = {
    "rates": rates, "two": two, "lag": lag, "streams": streams, "growth": growth, "open": crowds
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--idle", type=int, default=IDLE)
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--parts", default=",".join(PARTS), help="only these (%(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "latest.json")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    if unknown := sorted(set(parts) - PARTS.keys()):
        parser.error(f"there is no part {unknown[0]!r}")
    missing = [program for program in ("nginx", "wrk", "taskset") if shutil.which(program) is None]
    if missing:
        raise SystemExit(f"needs {', '.join(missing)}: apt-get install nginx wrk util-linux")
    kept: dict[str, Any] = about(arguments)
    bars: list[Bar] = []
    for part in parts:
        print(f"measuring {part}", file=sys.stderr, flush=True)
        found, own = PARTS[part](arguments)
        kept |= found
        bars += own
    show(bars)
    kept["bars"] = [{"bar": name, "holds": holds, "measured": shown} for name, holds, shown in bars]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(kept, indent=2) + "\n")
    return 0


def about(arguments: argparse.Namespace) -> dict[str, Any]:
    """Command, commit, machine and settings of a run."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False)
    return {
        "command": "make bench",
        "commit": commit.stdout.strip(),
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()},
        "settings": {key: str(value) for key, value in vars(arguments).items() if key != "out"},
    }


if __name__ == "__main__":
    sys.exit(main())
