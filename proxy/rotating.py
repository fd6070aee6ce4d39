"""A file of lines that is put aside when it is full or old, written by a thread of its own.

One rule: no caller ever waits for the disk. What does not fit the queue, and what cannot be written, is lost and counted; a
line stands in the file whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

#: Lines that may wait for the disk.
QUEUE_LINES: Final = 10_000
#: Lines written at once.
BATCH: Final = 200


class RotatingFile:
    """`offer` takes a line; `close` writes what waits. `max_bytes`, `max_age_s`: when a file is put aside, as FILE.1, the older
    ones as FILE.2 and so on; `keep`: how many of them stay. `on_lost` is told how many lines were lost, from any thread."""

    def __init__(self, file: Path, *, max_bytes: int, max_age_s: float, keep: int, on_lost: Callable[[int], object]) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._keep = keep
        self._on_lost = on_lost
        self._waiting: queue.Queue[bytes | None] = queue.Queue(QUEUE_LINES)
        self._out: int | None = None
        self._size = 0
        self._born = 0.0
        self._thread = threading.Thread(target=self._run, name=f"log {file.name}", daemon=True)
        self._thread.start()

    def offer(self, line: bytes) -> None:
        """Write a line, its end included, some time soon."""
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self._on_lost(1)

    def close(self) -> None:
        """Write what waits, and stop. Waits for the disk."""
        self._waiting.put(None)
        self._thread.join()

    # ---- the thread

    def _run(self) -> None:
        while True:
            lines, last = self._next()
            if lines:
                self._write(lines)
            if last:
                self._shut()
                return

    def _next(self) -> tuple[list[bytes], bool]:
        """All that waits, up to BATCH lines, and whether it was the last."""
        lines: list[bytes] = []
        item = self._waiting.get()
        while item is not None:
            lines.append(item)
            if len(lines) >= BATCH:
                return lines, False
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                return lines, False
        return lines, True

    def _write(self, lines: list[bytes]) -> None:
        for number, line in enumerate(lines):
            try:
                self._append(line)
            except OSError:
                # A full disk is full for all of them; each batch tries again.
                self._on_lost(len(lines) - number)
                self._shut()
                return

    def _append(self, line: bytes) -> None:
        self._turn(len(line))
        if self._out is None:
            self._open()
        assert self._out is not None
        done = 0
        try:
            while done < len(line):
                done += os.write(self._out, line[done:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._out, self._size)
            raise
        self._size += len(line)

    def _open(self) -> None:
        self._out = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        stat = os.fstat(self._out)
        self._size = stat.st_size
        self._born = stat.st_mtime if stat.st_size else time.time()

    def _turn(self, more: int) -> None:
        """Put the file aside where a line would make it too large, or it is old."""
        if self._out is None:
            return
        old = self._size > 0 and time.time() - self._born >= self._max_age_s
        if not old and (self._size == 0 or self._size + more <= self._max_bytes):
            return
        self._shut()
        for number in range(self._keep, 0, -1):
            older = self._aside(number)
            if number == self._keep:
                older.unlink(missing_ok=True)
            if number > 1:
                with contextlib.suppress(FileNotFoundError):
                    self._aside(number - 1).rename(older)
        if self._keep:
            self._file.rename(self._aside(1))
        else:
            self._file.unlink(missing_ok=True)

    def _aside(self, number: int) -> Path:
        return self._file.with_name(f"{self._file.name}.{number}")

    def _shut(self) -> None:
        if self._out is not None:
            os.close(self._out)
            self._out = None
