"""What the benchmarks share: bars, their closing line, and other benchmarks run as processes that print one line of JSON.

One rule: a figure is told with the bar that it is held to.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
#: Name, whether it holds, what was measured.
Bar = tuple[str, bool, str]


def show(bars: Sequence[Bar]) -> int:
    """Print every bar and the closing line; how many fall short."""
    for name, holds, shown in bars:
        print(f"{'holds' if holds else 'FALLS SHORT':<12} {name}: {shown}")
    fall = sum(not holds for _, holds, _ in bars)
    print(f"{len(bars) - fall} bars hold, {fall} fall short")
    return fall


def figures_of(script: str, *arguments: str) -> dict[str, Any]:
    """Run a script of this folder in a process of its own; what its last line says. Ends the benchmark where it fails."""
    done = subprocess.run([sys.executable, str(HERE / script), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)}:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
