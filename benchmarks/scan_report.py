"""What `chunkguard scan` says of labelled exchanges: recall and flag rates per source and mode, as found.

    python benchmarks/scan_report.py [--data ../shared/data] [--sources a,b] [--json FILE]

Reads each JSONL source, hands it to `chunkguard scan` (no configuration: all eight policies), and counts. A row labelled with
a mode and `appropriate: false` should be found in that mode; any other row should be clear. Intervals are Wilson's, 95%.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.types import MODES
from proxy.scan import scan

#: Some sources write turns and tool offers into the prompt: they are parsed back, so that no marker is judged.
_TURN = re.compile(r"^(Human|User|Seeker|Assistant|Previous assistant|Supporter|System): ?", re.MULTILINE)
_OFFER = re.compile(r"^\[tools offered[^:]*: (\[.*?\])\]\s*(?=User:|Human:|\n)", re.DOTALL)
_CAPABILITIES = re.compile(r"^\[(Capabilities.*?)\n\]\s*", re.DOTALL)
_TOOLFORMER = re.compile(r"^toolformer: \w+\ntoolformer access: (\w+)\n(.*\n)?\1\(.*?\)\n", re.IGNORECASE)
_ROLES = {
    "Human": "user",
    "User": "user",
    "Seeker": "user",
    "Assistant": "assistant",
    "Previous assistant": "assistant",
    "Supporter": "assistant",
    "System": "system",
}


def exchange(row: dict[str, Any]) -> dict[str, Any]:
    """A line for `scan` from a row of a source."""
    prompt = row["prompt"]
    doc: dict[str, Any] = {"id": row["id"], "response": row["response"]}
    messages: list[dict[str, str]] = []
    if offer := _OFFER.match(prompt):
        prompt = prompt[offer.end() :]
        doc["tools"] = [{"type": "function", "function": tool} for tool in json.loads(offer.group(1))]
    elif offer := _TOOLFORMER.match(prompt):
        prompt = prompt[offer.end() :]
        function = {"name": offer.group(1), "description": (offer.group(2) or "").strip()}
        doc["tools"] = [{"type": "function", "function": function}]
    elif offer := _CAPABILITIES.match(prompt):
        prompt = prompt[offer.end() :]
        messages.append({"role": "system", "content": offer.group(1)})
    parts = _TURN.split(prompt)
    if len(parts) > 1 and not parts[0].strip():
        turns = zip(parts[1::2], parts[2::2], strict=True)
        messages += [{"role": _ROLES[who], "content": text.strip()} for who, text in turns]
    else:
        messages.append({"role": "user", "content": prompt})
    return {**doc, "messages": messages}


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95% interval of a rate."""
    if not count:
        return 0.0, 1.0
    z, rate = 1.96, hits / count
    middle = (rate + z * z / (2 * count)) / (1 + z * z / count)
    width = z * math.sqrt(rate * (1 - rate) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - width), min(1.0, middle + width)


def rows_of(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            row = json.loads(line)
            if row.get("response") is not None:
                yield {**row, "id": row.get("id") or f"{file.stem}-{number}"}


def report(file: Path) -> list[dict[str, Any]]:
    """One row per label of a source: how many, and how many were found in which mode at which level."""
    rows = list(rows_of(file))
    target = io.BytesIO()
    scan(io.BytesIO("\n".join(json.dumps(exchange(row)) for row in rows).encode()), target, quiet=True)
    verdicts = [json.loads(line) for line in target.getvalue().splitlines()]
    assert len(verdicts) == len(rows)
    found: dict[tuple[str, Any], Counter[str]] = defaultdict(Counter)
    for row, verdict in zip(rows, verdicts, strict=True):
        counts = found[row.get("behaviour") or "unknown", row.get("appropriate")]
        counts["rows"] += 1
        counts[f"any {verdict['verdict']}"] += 1
        for mode in MODES:
            counts[f"{mode} {verdict['modes'][mode]['verdict']}"] += 1
    return [{"source": file.stem, "behaviour": key[0], "appropriate": key[1], **counts} for key, counts in found.items()]


def show(row: dict[str, Any]) -> None:
    count, mode = row["rows"], row["behaviour"]
    label = f"{row['source']:<28}{mode:<11}{row['appropriate']!s:<6}{count:>5}"
    if mode in MODES and row["appropriate"] is False:
        hits = row.get(f"{mode} suspect", 0) + row.get(f"{mode} misrouted", 0)
        low, high = wilson(hits, count)
        shown = f"recall {hits / count:.3f} [{low:.2f}, {high:.2f}], misrouted {row.get(f'{mode} misrouted', 0) / count:.3f}"
    else:
        bad, doubtful = row.get("any misrouted", 0), row.get("any suspect", 0)
        low, high = wilson(bad, count)
        modes = ", ".join(
            f"{m} {row.get(f'{m} misrouted', 0)}/{row.get(f'{m} suspect', 0)}"
            for m in MODES
            if row.get(f"{m} misrouted") or row.get(f"{m} suspect")
        )
        shown = f"misrouted {bad / count:.3f} [{low:.2f}, {high:.2f}], suspect {doubtful / count:.3f}  {modes}"
    print(f"{label}  {shown}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--sources", help="names of sources, joined by commas; default: all")
    parser.add_argument("--json", type=Path, help="where to write the counts")
    arguments = parser.parse_args()
    files = sorted(arguments.data.glob("*.jsonl"))
    if arguments.sources:
        wanted = arguments.sources.split(",")
        files = [file for file in files if file.stem in wanted]
    if not files:
        raise SystemExit(f"no sources under {arguments.data}")
    every: list[dict[str, Any]] = []
    for file in files:
        rows = report(file) if any(True for _ in rows_of(file)) else []
        for row in sorted(rows, key=lambda row: (row["behaviour"], str(row["appropriate"]))):
            show(row)
        every += rows
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(every, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
