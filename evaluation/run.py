"""One run: which files, which rows of them, what became of each line.

One rule: every line of every file is counted exactly once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detectors.rows import UNKNOWN, BadRow, Line, digest_of, lines_of, read_row
from evaluation.judge import Judged, Problem, judge


@dataclass(slots=True)
class Counts:
    """Lines by what became of them. `bad`: could not be read, or (`failed`) not be judged. `usable`: labelled and answered;
    of these `judged` were, the others not drawn."""

    lines: int = 0
    bad: int = 0
    failed: int = 0
    unlabelled: int = 0
    prompts: int = 0
    usable: int = 0
    judged: int = 0


@dataclass(frozen=True, slots=True)
class File:
    """An input. `sha256` names the version that was measured."""

    path: str
    sha256: str
    lines: int


@dataclass(slots=True)
class Run:
    """What was measured and how. `limit`: rows drawn at most, 0 = all. `texts`: excerpts may be shown. `models`: digest of the
    own models that judged, empty = the shipped ones."""

    seed: int
    limit: int
    texts: bool
    files: list[File] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    problems: list[Problem] = field(default_factory=list)
    models: str = ""


def choose(run: Run, paths: Sequence[Path], report: Callable[[Problem], None]) -> list[Line]:
    """The lines to judge: all that are labelled and answered, or `limit` of them drawn at random, in order.

    Files and counts are noted in `run`, lines that cannot be read given to `report`. Raises OSError."""
    usable: list[Line] = []
    for path in paths:
        lines = 0
        for line in lines_of(path):
            lines += 1
            if _is_usable(run, line, report):
                usable.append(line)
        run.files.append(File(str(path), digest_of(path), lines))
        run.counts.lines += lines
    run.counts.usable = len(usable)
    if run.limit and run.limit < len(usable):
        drawn = sorted(random.Random(run.seed).sample(range(len(usable)), run.limit))
        return [usable[place] for place in drawn]
    return usable


def judge_all(
    run: Run,
    lines: Sequence[Line],
    processes: int,
    report: Callable[[Problem], None],
    advance: Callable[[int], None],
    models: Path | None = None,
) -> Iterator[Judged]:
    """Judged rows in order. `advance`: told how many lines are done. `models`: folder of own ones."""
    for batch in judge(lines, processes=processes, texts=run.texts, models=models):
        for row in batch:
            if isinstance(row, Problem):
                run.counts.failed += 1
                _note(run, row, report)
            else:
                run.counts.judged += 1
                yield row
        advance(len(batch))


def _is_usable(run: Run, line: Line, report: Callable[[Problem], None]) -> bool:
    try:
        label, _ = read_row(line)
    except BadRow as error:
        _note(run, Problem(line.path, line.number, str(error)), report)
        return False
    run.counts.prompts += not label.answered
    run.counts.unlabelled += label.answered and label.behaviour == UNKNOWN
    return label.usable


def _note(run: Run, problem: Problem, report: Callable[[Problem], None]) -> None:
    run.counts.bad += 1
    run.problems.append(problem)
    report(problem)
