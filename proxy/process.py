"""What the operating system says of this process: memory, open files, CPU time.

One rule: what this system does not tell is left out, never guessed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from proxy.metric_totals import Series

_PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds() -> float:
    """CPU time of this process, user and system."""
    return time.process_time()


def resident_bytes() -> int | None:
    """Memory that it holds."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except OSError:
        return None


def open_files() -> int | None:
    """Files and sockets that it has open."""
    try:
        return len(os.listdir("/proc/self/fd")) - 1  # the one that is listing
    except OSError:
        return None


def measured(worker: int, *, active: int, waiting: int) -> Mapping[Series, float]:
    """The metrics of a worker that are looked at, not counted. `active`: requests under way; `waiting`: to be scored."""
    name = str(worker)
    found: dict[Series, float | None] = {
        ("chunkguard_requests_active", name): active,
        ("chunkguard_observer_waiting", name): waiting,
        ("chunkguard_resident_bytes", name): resident_bytes(),
        ("chunkguard_open_files", name): open_files(),
        ("chunkguard_cpu_seconds_total",): cpu_seconds(),
    }
    return {series: value for series, value in found.items() if value is not None}
