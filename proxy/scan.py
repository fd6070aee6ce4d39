"""`chunkguard scan`: judges recorded exchanges, line by line, in several processes.

One rule: one line in, one line out, in order; a line that cannot be read is reported and counted, and the rest goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from core.types import MODES
from detectors.modelset import ModelSet, ModelSetError, read_set
from proxy.check import Checker
from proxy.errors import ConfigError, GuardError, Problem

#: Lines given to a process at a time: enough to hide the hand-over, few enough for a moving progress bar.
BATCH: Final = 64

Numbered = tuple[int, bytes]
In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(slots=True)
class Tally:
    """What a scan saw. `flags[mode, level]` counts verdicts above clear."""

    lines: int = 0
    bad: int = 0
    flags: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, verdict: dict[str, object]) -> None:
        self.lines += 1
        modes = verdict["modes"]
        assert isinstance(modes, dict)
        for mode, found in modes.items():
            if found["verdict"] not in ("clear", "unchecked"):
                self.flags[mode, found["verdict"]] += 1


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one line: `output` is its verdict as JSON, or `problem` says why there is none."""

    number: int
    output: bytes = b""
    problem: str = ""


def warm_checker(models: Path | None = None) -> Checker:
    """The checker of this process, made and warmed when it is first asked for. `models`: folder of own ones."""
    return _warm_checker(models)


@lru_cache(maxsize=1)
def _warm_checker(models: Path | None) -> Checker:
    checker = Checker(models=open_models(models))
    checker.suite.warm()
    return checker


def open_models(folder: Path | None) -> ModelSet | None:
    """The models of a folder that an option names, None = the shipped ones. Raises ConfigError."""
    try:
        return None if folder is None else read_set(folder)
    except ModelSetError as error:
        raise ConfigError([Problem("--models", "", reason) for reason in error.problems]) from None


def scan_batch(batch: list[Numbered], models: Path | None = None) -> list[Line]:
    """Judge some lines; runs in a worker process, which keeps its warm detectors."""
    checker = warm_checker(models)
    return [scan_line(checker, number, line) for number, line in batch]


def scan_line(checker: Checker, number: int, line: bytes) -> Line:
    """Judge one line of `{"id", "prompt" | "messages", "response", "tools"?}`."""
    try:
        doc = orjson.loads(line)
        if not isinstance(doc, dict) or "response" not in doc:
            return Line(number, problem="not an object with a 'response'")
        verdict = checker.check(doc)
    except orjson.JSONDecodeError as error:
        return Line(number, problem=f"not JSON: {error}")
    except GuardError as error:
        return Line(number, problem=f"{error.param}: {error.message}" if error.param else error.message)
    return Line(number, orjson.dumps({"id": doc.get("id"), **verdict}))


def batches(source: Iterable[bytes], size: int = BATCH) -> Iterator[list[Numbered]]:
    """Numbered lines, blank ones left out, in groups."""
    numbered = ((number, line) for number, line in enumerate(source, 1) if line.strip())
    while batch := list(islice(numbered, size)):
        yield batch


def scan(
    source: BinaryIO,
    target: BinaryIO,
    *,
    processes: int = 0,
    total: int | None = None,
    quiet: bool = False,
    models: Path | None = None,
) -> Tally:
    """Judge all lines of `source` into `target`. `processes`: 0 = one a core. `total`: lines, for the progress bar.
    `models`: folder of own ones, known to be good."""
    console = Console(stderr=True)
    tally = Tally()
    with progress_bar("scan", console, quiet=quiet) as progress:
        bar = progress.add_task("scan", total=total)
        for lines in in_processes(partial(scan_batch, models=models), batches(source), processes):
            for line in lines:
                if line.problem:
                    tally.bad += 1
                    console.print(f"line {line.number}: {line.problem}", style="red", markup=False, highlight=False)
                    continue
                tally.add(orjson.loads(line.output))
                target.write(line.output + b"\n")
            progress.advance(bar, len(lines))
    target.flush()
    if not quiet:
        _print(console, tally)
    return tally


def in_processes(function: Callable[[In], Out], work: Iterator[In], processes: int) -> Iterator[Out]:
    """Results in the order of the work, with a bounded number of batches on the way. `processes`: 0 = one a core.

    `function` and what goes in and out of it must be picklable; with one process it runs here."""
    processes = processes or os.cpu_count() or 1
    if processes == 1:
        yield from map(function, work)
        return
    # Spawned, not forked: a fork would copy the locks of onnxruntime's and the progress bar's threads.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        pending: list[Future[Out]] = []
        for batch in work:
            pending.append(pool.submit(function, batch))
            if len(pending) >= processes * 4:
                yield pending.pop(0).result()
        for future in pending:
            yield future.result()


def progress_bar(title: str, console: Console, *, quiet: bool) -> Progress:
    """A bar of done and all with the time left; shown on a terminal only."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=quiet or not console.is_terminal)


def _print(console: Console, tally: Tally) -> None:
    table = Table("mode", "suspect", "misrouted")
    for mode in MODES:
        table.add_row(mode, str(tally.flags[mode, "suspect"]), str(tally.flags[mode, "misrouted"]))
    console.print(table)
    console.print(f"{tally.lines} exchanges judged, {tally.bad} lines could not be read")


def open_source(path: str) -> BinaryIO:
    """A file to read, or standard input for `-`."""
    return sys.stdin.buffer if path == "-" else open(path, "rb")


def open_target(path: str) -> BinaryIO:
    """A file to write, or standard output for `-`."""
    return sys.stdout.buffer if path == "-" else open(path, "wb")
