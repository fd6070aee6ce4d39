"""The figures and trials of an experiment as CSV: one line an arm of a group, one line a trial.

One rule: no text of a prompt or an answer stands in them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evaluation.experiment.items import Item
from evaluation.experiment.state import Trial

#: Figure -> columns of its own, where it is no single number.
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "fix_interval": ("fix_low", "fix_high"),
    "break_interval": ("break_low", "break_high"),
    "gain_interval": ("gain_low", "gain_high"),
    **{f"extra_{cost}": (f"extra_{cost}", f"extra_{cost}_low", f"extra_{cost}_high") for cost in ("calls", "tokens", "ms")},
}
_TRIAL: Final = ("item", "part", "item_mode", "arm", "sample", "outcome", "mode", "verdict", "found", "calls", "tokens", "ms")


def write_figures(file: Path, found: Mapping[str, Any]) -> None:
    """`group`: triggers or the part; `name`: the mode, or all. Raises OSError."""
    rows = list(_rows(found))
    _write(file, ["group", "name", "arm", *dict.fromkeys(column for row in rows for column in row[3])], rows)


def write_trials(file: Path, items: Sequence[Item], trials: Iterable[Trial]) -> None:
    """`mode`: whose behaviour fired; `item_mode`: whose trigger or twin it is. Raises OSError."""
    known = {item.name: item for item in items}
    with file.open("w", encoding="utf-8", newline="") as out:
        lines = csv.writer(out)
        lines.writerow(_TRIAL)
        for trial in trials:
            if (item := known.get(trial.item)) is not None:
                lines.writerow([
                    trial.item, item.part, item.mode or "", trial.arm, trial.sample, trial.outcome, trial.mode or "",
                    trial.verdict, trial.found, trial.calls, trial.tokens, trial.ms,
                ])  # fmt: skip


def _rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    groups = [("triggers", "all", found["overall"])]
    groups += [("triggers", mode, arms) for mode, arms in found["modes"].items()]
    groups += [(part, "all", arms) for part, arms in found["parts"].items()]
    for group, name, arms in groups:
        for arm, row in arms.items():
            yield group, name, arm, _flat(row)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name in _PARTS:
            flat.update(zip(_PARTS[name], value, strict=True))
        else:
            flat[name] = value
    return flat


def _write(file: Path, head: Sequence[str], rows: Iterable[tuple[str, str, str, Mapping[str, Any]]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        lines = csv.writer(out)
        lines.writerow(head)
        for *names, row in rows:
            lines.writerow([*names, *("" if row.get(column) is None else row[column] for column in head[3:])])
