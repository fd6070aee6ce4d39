"""What a campaign claims: bars that hold or fall short, each with what was seen.

One rule: a part that does not come to its end is a bar that falls short, never one that is missing.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos.stage import Stage


@dataclass(frozen=True)
class Bar:
    """One claim. `shown`: the figures, or the first complaints."""

    name: str
    holds: bool
    shown: str

    def __str__(self) -> str:
        return f"{'holds' if self.holds else 'FALLS SHORT':<12} {self.name}: {self.shown}"


@dataclass(frozen=True)
class Scale:
    """How much is done. `times`: repetitions of every kind of request. `flat`: requests of the leak search. `full`: all
    kinds of requests meet each fault, else a sample of them."""

    times: int
    flat: int
    full: bool


SHORT = Scale(times=1, flat=1_200, full=False)
FULL = Scale(times=8, flat=200_000, full=True)

Part = Callable[[Stage, Scale], Awaitable[list[Bar]]]


def without_complaints(name: str, count: int, complaints: list[str]) -> Bar:
    """A bar over so many requests that holds where nothing was complained of."""
    shown = f"{count} requests"
    if complaints:
        shown += f", {len(complaints)} complaints: " + "; ".join(complaint[:300] for complaint in complaints[:3])
    return Bar(name, not complaints, shown)


async def run_part(name: str, part: Part, stage: Stage, scale: Scale, limit_s: float) -> list[Bar]:
    """A part's bars, printed as they come; what it raises falls short."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(limit_s):
            bars = await part(stage, scale)
    except Exception as error:
        bars = [Bar(f"{name} comes to its end", False, f"{type(error).__name__}: {error}")]
    print(f"--- {name}, {time.monotonic() - began:.1f} s", flush=True)
    for bar in bars:
        print(bar, flush=True)
    return bars


def closing(bars: list[Bar]) -> int:
    """Print the closing line; the exit status that goes with it."""
    fall = sum(not bar.holds for bar in bars)
    print(f"{len(bars) - fall} bars hold, {fall} fall short", flush=True)
    sys.stdout.flush()
    return 1 if fall or not bars else 0
