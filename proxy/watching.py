"""Sees that files have changed, by looking now and then.

One rule: a file that is being replaced, and is not there for a moment, is no change yet.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

#: Seconds between looks.
WATCH_S: Final = 2.0
_Stamp = tuple[int, int, int]


async def changes(files: Callable[[], Sequence[Path]]) -> AsyncIterator[None]:
    """One item for each look at which any of the files had changed, or the files that are asked for had. Never ends."""
    watched = files()
    seen = _stamps(watched)  # at once: what changes from here on is a change
    while True:
        await asyncio.sleep(WATCH_S)
        if watched != files():
            watched = files()
            seen = await asyncio.to_thread(_stamps, watched)
        stamps = await asyncio.to_thread(_stamps, watched)
        if stamps != seen and None not in stamps:
            seen = stamps
            yield


def _stamps(files: Sequence[Path]) -> list[_Stamp | None]:
    return [_stamp(file) for file in files]


def _stamp(file: Path) -> _Stamp | None:
    try:
        stat = os.stat(file)
    except OSError:
        return None
    # The inode: Kubernetes and editors replace a file by another, which may be as old and as long.
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
