"""The worst errors of each mode: what it missed and what it flagged wrongly, the most certain ones first.

One rule: ties are broken by a digest of the seed and the row's place, so that no file is favoured and every run agrees.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.types import Level
from evaluation.judge import Judged, Shown
from evaluation.measures import Bools
from evaluation.table import ANY, Table


@dataclass(frozen=True, slots=True)
class Error:
    """One wrongly judged row. `verdict`, `score`: of the mode. `evidence`: what spoke for the mode, empty for a miss."""

    id: str
    place: str
    source: str
    lang: str
    behaviour: str
    appropriate: bool | None
    verdict: str
    score: float
    prompt: str
    response: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Worst:
    """Of one mode, how many errors there are of each kind, and the worst of them."""

    missed: int
    misses: tuple[Error, ...]
    flagged: int
    false_alarms: tuple[Error, ...]


def worst_errors(table: Table, count: int, seed: int) -> dict[str, Worst]:
    """Per chosen mode, at most `count` errors of each kind. Misses: lowest score first. False alarms: highest verdict first,
    then highest score; ordinary rows and look-alikes alike."""
    found = {}
    for mode in table.names:
        if mode == ANY:
            continue
        classes, level, score = table.classes(mode), table.level(mode), table.score(mode)
        missed = _places(classes.positive & (level < Level.SUSPECT))
        false = _places(classes.negative & (level >= Level.SUSPECT))
        ties = {place: zlib.crc32(f"{seed}:{table.rows[place].place}".encode()) for place in (*missed, *false)}
        missed.sort(key=lambda place: (score[place], ties[place], place))
        false.sort(key=lambda place: (-level[place], -score[place], ties[place], place))
        found[mode] = Worst(
            len(missed),
            _errors(table, mode, missed[:count]),
            len(false),
            _errors(table, mode, false[:count]),
        )
    return found


def _places(rows: Bools) -> list[int]:
    return [int(place) for place in np.flatnonzero(rows)]


def _errors(table: Table, mode: str, places: Iterable[int]) -> tuple[Error, ...]:
    score, level = table.score(mode), table.level(mode)
    return tuple(_error(table.rows[place], mode, float(score[place]), int(level[place])) for place in places)


def _error(row: Judged, mode: str, score: float, level: int) -> Error:
    shown = row.shown or Shown("", "", {})
    words: dict[Any, str] = {level: level.name.lower() for level in Level}
    return Error(
        row.label.id,
        row.place,
        row.label.source,
        row.label.lang,
        row.label.behaviour,
        row.label.appropriate,
        words.get(level, "unchecked"),
        score,
        shown.prompt,
        shown.response,
        shown.evidence.get(mode, ()),
    )
