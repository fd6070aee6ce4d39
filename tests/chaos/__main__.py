"""`make chaos`: the whole fault campaign, 60 minutes at most; each part on a stage of its own.

python -m tests.chaos [PART...] [--short]
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.chaos.bars import FULL, SHORT, Bar, Part, closing, run_part
from tests.chaos.parts_load import flat, leaving_clients
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
        slow_detectors, full_disk, jumping_clock, broken_reloads, leaving_clients, stopped, killed, flat,
    )
}  # fmt: skip
#: Parts that take longer.
LIMITS = {"flat": 1800.0}


async def campaign(names: list[str], *, short: bool) -> list[Bar]:
    bars: list[Bar] = []
    for name in names:
        async with staged() as stage:
            bars += await run_part(name, PARTS[name], stage, SHORT if short else FULL, LIMITS.get(name, LIMIT_S))
    return bars


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="only these parts")
    parser.add_argument("--short", action="store_true", help="a small part of everything")
    arguments = parser.parse_args()
    return closing(asyncio.run(campaign(arguments.parts or list(PARTS), short=arguments.short)))


if __name__ == "__main__":
    sys.exit(main())
