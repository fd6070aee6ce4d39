"""`make chaos`: the whole fault campaign, 60 minutes at most; each part on a stage of its own.

python -m tests.chaos [PART...] [--short] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from tests.chaos.bars import FULL, SHORT, Bar, Part, closing, run_part
from tests.chaos.parts_load import flat, leaving_clients
from tests.chaos.parts_several import killed_among, redis_gone
from tests.chaos.parts_upstream import failing_retries, long_answers, quick_faults, refused, slow_faults, strays
from tests.chaos.parts_world import (
    broken_reloads,
    crashing_detectors,
    full_disk,
    hanging_detectors,
    jumping_clock,
    killed,
    slow_detectors,
    stopped,
)
from tests.chaos.stage import staged

#: Seconds that a part may take at most; together below an hour.
LIMIT_S = 240.0
PARTS: dict[str, Part] = {
    part.__name__: part
    for part in (
        quick_faults, slow_faults, strays, failing_retries, refused, long_answers, crashing_detectors, hanging_detectors,
        slow_detectors, full_disk, jumping_clock, broken_reloads, leaving_clients, stopped, killed, killed_among, redis_gone,
        flat,
    )
}  # fmt: skip
#: Parts that take longer.
LIMITS = {"flat": 1800.0}


async def campaign(names: list[str], *, short: bool, keep: Path | None = None) -> list[Bar]:
    """The bars of these parts. `keep`: a file in which each replaces what it found before."""
    bars: list[Bar] = []
    for name in names:
        async with staged() as stage:
            found = await run_part(name, PARTS[name], stage, SHORT if short else FULL, LIMITS.get(name, LIMIT_S))
        bars += found
        if keep is not None:
            kept(keep, name, found)
    return bars


def kept(file: Path, name: str, bars: list[Bar]) -> None:
    """Write what a part found beside what the others did."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    before = json.loads(file.read_text(encoding="utf-8"))["parts"] if file.exists() else {}
    one = {"commit": commit, "bars": [{"bar": bar.name, "holds": bar.holds, "measured": bar.shown} for bar in bars]}
    parts = {known: one if known == name else before.get(known) for known in PARTS if known == name or known in before}
    machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()}
    file.write_text(
        json.dumps({"command": "make chaos", "machine": machine, "parts": parts}, indent=2) + "\n", encoding="utf-8"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="only these parts")
    parser.add_argument("--short", action="store_true", help="a small part of everything")
    parser.add_argument("--json", type=Path, help="file that keeps what the parts found")
    arguments = parser.parse_args()
    return closing(asyncio.run(campaign(arguments.parts or list(PARTS), short=arguments.short, keep=arguments.json)))


if __name__ == "__main__":
    sys.exit(main())
