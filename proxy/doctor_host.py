"""What `chunkguard doctor` finds on this host: file limits, ports, disk, CPUs, memory, the clock.

One rule: a port is only bound and given back, a folder only written with a file that is gone again.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proxy.config import Settings
from proxy.doctor_finding import BAD, GOOD, POOR, Finding

#: Files per client request: its connection and one upstream, and some to spare.
FILES: Final = 4096
#: Memory of a worker with all detectors and little traffic, in bytes.
WORKER_BYTES: Final = 400 << 20
#: Before this second since 1970 this program did not exist.
BUILT: Final = 1_760_000_000


def look(settings: Settings) -> Iterator[Finding]:
    """All findings of this host."""
    yield _files(settings)
    yield _cpus(settings.config.workers)
    yield from _memory(settings.config.workers)
    yield _clock()
    for name, address in (("listen", settings.config.listen), ("admin", settings.config.admin)):
        yield _address(name, address)
    if settings.config.decisions.file is not None:
        yield from _disk(settings)


def _files(settings: Settings) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(FILES, 2 * settings.config.limits.connections + 100)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return Finding("file limit", GOOD, f"{soft} open files are allowed")
    return Finding(
        "file limit",
        POOR,
        f"only {soft} open files are allowed (hard limit {hard}): a request needs two",
        f"`ulimit -n {wanted}`, LimitNOFILE= of the unit, or `ulimits` of the container",
    )


def _cpus(workers: int) -> Finding:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers > cpus:
        return Finding("CPUs", POOR, f"{workers} workers share {cpus} CPUs", f"`workers: {cpus}`")
    return Finding("CPUs", GOOD, f"{workers} of {cpus} CPUs have a worker")


def _memory(workers: int) -> Iterator[Finding]:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        total = min(total, int(limit)) if limit.isdecimal() else total
    except (OSError, ValueError):
        pass  # no such group: what the host has is what there is
    wanted = workers * WORKER_BYTES
    shown = f"{total >> 20} MiB, about {wanted >> 20} MiB for {workers} workers"
    if total < wanted:
        yield Finding("memory", BAD, f"{shown}: the kernel will end them", "fewer workers, or a higher memory limit")
    elif total < 2 * wanted:
        yield Finding(
            "memory", POOR, f"{shown}: little is left for long answers that are held", "more memory, or fewer workers"
        )
    else:
        yield Finding("memory", GOOD, shown)


def _clock() -> Finding:
    now = time.time()
    if now < BUILT:
        return Finding(
            "clock",
            BAD,
            f"it is {time.strftime('%Y-%m-%d', time.gmtime(now))} here, which cannot be",
            "set the clock, and keep it with NTP: TLS fails without",
        )
    return Finding("clock", GOOD, time.strftime("it is %Y-%m-%d %H:%M:%S UTC here", time.gmtime(now)))


def _address(name: str, address: str) -> Finding:
    if address.startswith("unix:"):
        folder = Path(address.removeprefix("unix:")).absolute().parent
        if os.access(folder, os.W_OK | os.X_OK):
            return Finding(name, GOOD, f"{address}: a socket can be made there")
        return Finding(name, BAD, f"{address}: no socket can be made in {folder}", "make the folder, owned by the proxy's user")
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except OSError as error:
        advice = "stop what uses it (`ss -ltnp`), or choose another; a running chunkguard is such a one"
        return Finding(name, BAD, f"{address} cannot be bound: {error.strerror or error}", advice)
    return Finding(name, GOOD, f"{address} is free")


def _disk(settings: Settings) -> Iterator[Finding]:
    own = settings.config.decisions
    file = settings.path(own.file or "")
    folder = file.absolute().parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        yield Finding(
            "decision log",
            BAD,
            f"{folder} cannot be written: {error.strerror}",
            "make the folder, owned by the proxy's user; lines are lost until then",
        )
        return
    free, wanted = shutil.disk_usage(folder).free, settings.config.workers * own.max_bytes * (own.keep + 1)
    shown = f"{free >> 20} MiB free in {folder}, up to {wanted >> 20} MiB will be used"
    if free < wanted:
        yield Finding("decision log", POOR, shown, "lower `decisions.keep` or `max_bytes`, or give it a larger disk")
    else:
        yield Finding("decision log", GOOD, shown)
