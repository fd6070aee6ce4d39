"""What `chunkguard scan` says of labelled exchanges: counts per source, label, mode and verdict, unlabelled rows included.

    python benchmarks/scan_report.py [--data ../shared/data] [--sources a,b] [--json FILE]

Rates with intervals are `chunkguard eval`'s; this keeps the plain counts that `results/scan.json` holds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.types import MODES
from detectors.rows import Line, files_of, lines_of, read_row
from evaluation.judge import LEVELS, Judged, judge

WORDS = {level: word for word, level in LEVELS.items()}


def answered(file: Path) -> Iterator[Line]:
    """The lines of a source that have an answer."""
    return (line for line in lines_of(file) if read_row(line)[0].answered)


def report(file: Path) -> list[dict[str, Any]]:
    """One row per label of a source: how many, and how many were found in which mode at which level."""
    counted: dict[tuple[str, bool | None], Counter[str]] = defaultdict(Counter)
    for batch in judge(answered(file), texts=False):
        for row in batch:
            if not isinstance(row, Judged):
                raise SystemExit(f"{row.path}:{row.number}: {row.reason}")
            counts = counted[row.label.behaviour, row.label.appropriate]
            counts["rows"] += 1
            counts[f"any {WORDS[max(0, *row.levels)]}"] += 1
            for mode, level in zip(MODES, row.levels, strict=True):
                counts[f"{mode} {WORDS[level]}"] += 1
    return [{"source": file.stem, "behaviour": key[0], "appropriate": key[1], **counts} for key, counts in counted.items()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--sources", help="names of sources, joined by commas; default: all")
    parser.add_argument("--json", type=Path, help="where to write the counts")
    arguments = parser.parse_args()
    wanted = arguments.sources.split(",") if arguments.sources else None
    files = [file for file in files_of([arguments.data]) if wanted is None or file.stem in wanted]
    if not files:
        raise SystemExit(f"no sources under {arguments.data}")
    every: list[dict[str, Any]] = []
    for file in files:
        rows = report(file) if any(True for _ in answered(file)) else []
        for row in sorted(rows, key=lambda row: (row["behaviour"], str(row["appropriate"]))):
            names = [f"{mode} {word}" for mode in MODES for word in ("misrouted", "suspect")]
            found = [f"{name} {row[name]}" for name in names if name in row]
            print(f"{row['source']:<28}{row['behaviour']:<11}{row['appropriate']!s:<6}{row['rows']:>5}  {', '.join(found)}")
        every += rows
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(every, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
