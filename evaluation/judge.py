"""Judges labelled rows as `chunkguard scan` does, in several processes, in order.

One rule: what a row's label says never reaches the judging; it only decides which texts are worth showing afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from core.types import MODES, Level
from detectors.rows import BadRow, Label, Line, exchange_of, read_row
from evaluation.baselines import BASELINES
from proxy.check import Exchanged, read_exchange
from proxy.errors import GuardError
from proxy.scan import BATCH, in_processes, warm_checker

#: A verdict's word -> its level; a mode that could not be judged lies below clear.
LEVELS: Final = {"unchecked": -1, **{level.name.lower(): int(level) for level in Level}}
#: Characters of a prompt or an answer, and of one piece of evidence, that a report shows at most.
EXCERPT: Final = 240
EVIDENCE: Final = 80
_PIECES: Final = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """What a report shows of a wrongly judged row. `evidence`: per mode, names of spans and, with texts, their text."""

    prompt: str
    response: str
    evidence: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Judged:
    """One row with its label and what was found. `scores`, `levels`: per mode, in the order of MODES.

    `baselines`: per baseline, in the order of BASELINES. `shown`: None for a row that is judged right in every mode."""

    label: Label
    file: str
    place: str
    scores: tuple[float, ...]
    levels: tuple[int, ...]
    baselines: tuple[bool, ...]
    shown: Shown | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that could not be read or judged."""

    path: str
    number: int
    reason: str


def judge(
    lines: Iterable[Line], *, processes: int = 0, texts: bool = True, models: Path | None = None
) -> Iterator[list[Judged | Problem]]:
    """Batches of judged rows, in order. `processes`: 0 = one a core. `texts`: excerpts may be shown. `models`: folder of own
    ones, None = the shipped ones."""
    return in_processes(partial(judge_batch, texts=texts, models=models), _batches(iter(lines)), processes)


def judge_batch(lines: list[Line], *, texts: bool, models: Path | None = None) -> list[Judged | Problem]:
    """Judge some lines; runs in a worker process."""
    return [judge_line(line, texts=texts, models=models) for line in lines]


def judge_line(line: Line, *, texts: bool, models: Path | None = None) -> Judged | Problem:
    try:
        label, row = read_row(line)
        doc = exchange_of(row)
        exchanged = read_exchange(doc)
        found = warm_checker(models).check(doc)["modes"]
    except BadRow as error:
        return Problem(line.path, line.number, str(error))
    except GuardError as error:
        return Problem(line.path, line.number, f"{error.param}: {error.message}" if error.param else error.message)
    levels = tuple(LEVELS[found[mode]["verdict"]] for mode in MODES)
    answer = exchanged.reply.text or exchanged.reply.refusal
    return Judged(
        label,
        line.file,
        line.place,
        scores=tuple(found[mode]["score"] for mode in MODES),
        levels=levels,
        baselines=tuple(rule(answer) for rule in BASELINES.values()),
        shown=_shown(exchanged, found, texts=texts) if _is_wrong(label, levels) else None,
    )


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while batch := list(islice(lines, BATCH)):
        yield batch


def _is_wrong(label: Label, levels: tuple[int, ...]) -> bool:
    """Whether some mode misses a mis-routed answer, or is found in another one."""
    for mode, level in zip(MODES, levels, strict=True):
        positive = label.behaviour == mode and label.appropriate is False
        if (level >= Level.SUSPECT) != positive:
            return True
    return False


def _shown(exchanged: Exchanged, found: dict[str, Any], *, texts: bool) -> Shown:
    last, reply = exchanged.conversation.last_user, exchanged.reply
    if not texts:
        names = {str(mode): tuple(dict.fromkeys(piece["name"] for piece in found[mode]["evidence"])) for mode in MODES}
        return Shown("", "", {mode: pieces[:_PIECES] for mode, pieces in names.items() if pieces})
    answer = reply.text or reply.refusal or " ".join(f"{call.name}({call.arguments})" for call in reply.tool_calls)
    said = {turn.index: turn.text for turn in exchanged.conversation.turns}
    evidence: dict[str, tuple[str, ...]] = {}
    for mode in MODES:
        pieces = []
        for piece in found[mode]["evidence"][:_PIECES]:
            text = said.get(piece["message"], "") if "message" in piece else reply.text
            pieces.append(f"{piece['name']}: {excerpt(text[piece['start'] : piece['end']], EVIDENCE)}")
        if pieces:
            evidence[mode] = tuple(dict.fromkeys(pieces))
    return Shown(excerpt(last.text if last else "", EXCERPT), excerpt(answer, EXCERPT), evidence)


def excerpt(text: str, limit: int) -> str:
    """A text on one line, cut to `limit` characters."""
    line = " ".join(text[: 4 * limit].split())
    return line if len(line) <= limit and len(text) <= 4 * limit else line[: limit - 1].rstrip() + "…"
