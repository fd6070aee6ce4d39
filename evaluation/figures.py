"""The figures of one run: per mode, language and source, for the guard and for the baselines on the same rows.

One rule: everything that a report, a plot or eval.json shows is computed here, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.types import MODES, Level
from evaluation.measures import (
    Bools,
    Calibration,
    Operating,
    Precision,
    Rate,
    auc,
    calibration,
    known,
    precision_at,
    rate_of,
    recall_within,
    rounded,
)
from evaluation.table import ANY, Classes, Table

#: What precision is computed for, as shares of mis-routed answers in traffic.
PREVALENCES: Final[Mapping[str, float]] = {"1%": 0.01, "5%": 0.05}
FLAGGED: Final = "suspect or misrouted"
CERTAIN: Final = "misrouted"
MAJORITY: Final = "majority class"
_WITHIN: Final = 0.01
#: How the three values of `appropriate` are named.
APPROPRIATE: Final[Mapping[bool | None, str]] = {False: "mis-routed", True: "warranted", None: "not said"}


@dataclass(frozen=True, slots=True)
class System:
    """What one way of flagging does. `false_positives`: on ordinary negatives; precision is computed from it.

    `look_alikes`: the same on warranted answers of the mode. `auc` of a flag has only one corner."""

    recall: Rate
    false_positives: Rate
    look_alikes: Rate
    precision: dict[str, Precision]
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """One mode on some rows. `left_out`: rows whose label does not say. `unchecked`: rows that could not be judged.

    `auc`: of the score, positives against ordinary negatives; `auc_look_alikes`: against look-alikes."""

    rows: int
    positives: int
    ordinary: int
    look_alikes: int
    left_out: int
    unchecked: int
    systems: dict[str, System]
    auc: float | None
    auc_look_alikes: float | None
    recall_at_1_percent: Operating | None
    calibration: Calibration


@dataclass(frozen=True, slots=True)
class Labelled:
    """The rows of one source with one label. `own`: flagged in the labelled mode; `flagged`: in any chosen one.

    `certain`: the same as `flagged`, at level misrouted alone."""

    source: str
    behaviour: str
    appropriate: bool | None
    rows: int
    own: Rate | None
    flagged: Rate
    certain: Rate


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """Of the rows with one label: how many are found as what. `found`: "clear" or a mode -> [suspect, misrouted].

    A row counts once, in the mode with the highest level, then score."""

    behaviour: str
    appropriate: bool | None
    rows: int
    clear: int
    found: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Figures:
    """All of a run. `modes`: ANY and the chosen modes -> the whole; `languages`: the same per language.

    `own_mode`: recall of ANY where only the labelled mode counts as found."""

    rows: int
    modes: dict[str, Group]
    languages: dict[str, dict[str, Group]]
    own_mode: Rate
    mean_auc: float | None
    sources: tuple[Labelled, ...]
    confusion: tuple[ConfusionRow, ...]


def compute(table: Table) -> Figures:
    """All figures of a table of at least one row."""
    everything = np.ones(len(table.rows), dtype=bool)
    modes = {name: group_of(table, name, everything) for name in table.names}
    counts = {str(lang): int((table.langs == lang).sum()) for lang in np.unique(table.langs)}
    by_size = sorted(counts, key=lambda lang: (-counts[lang], lang))
    languages = {name: {lang: group_of(table, name, table.langs == lang) for lang in by_size} for name in table.names}
    positive = table.classes(ANY).positive
    areas = [group.auc for name, group in modes.items() if name != ANY and group.auc is not None]
    return Figures(
        len(table.rows),
        modes,
        languages,
        own_mode=rate_of(table.own_level()[positive] >= Level.SUSPECT),
        mean_auc=known(float(np.mean(areas))) if areas else None,
        sources=_sources(table),
        confusion=_confusion(table),
    )


def group_of(table: Table, name: str, chosen: Bools) -> Group:
    """The figures of one mode on the chosen rows."""
    classes, scores, level = table.classes(name), table.score(name), table.level(name)
    up, down = scores[classes.positive & chosen], scores[classes.ordinary & chosen]
    twins = scores[classes.look_alike & chosen]
    counted = chosen & (classes.positive | classes.negative)
    ways = {
        FLAGGED: level >= Level.SUSPECT,
        CERTAIN: level >= Level.MISROUTED,
        **table.baselines(name),
        MAJORITY: np.full(len(level), 2 * len(up) > int(counted.sum())),
    }
    return Group(
        rows=int(counted.sum()),
        positives=len(up),
        ordinary=len(down),
        look_alikes=len(twins),
        left_out=int((chosen & ~counted).sum()),
        unchecked=int((table.unchecked(name) & counted).sum()),
        systems={way: system_of(flags, classes, chosen) for way, flags in ways.items()},
        auc=auc(up, down),
        auc_look_alikes=auc(up, twins),
        recall_at_1_percent=recall_within(_WITHIN, up, down),
        calibration=calibration(scores[counted], classes.positive[counted]),
    )


def system_of(flags: Bools, classes: Classes, chosen: Bools) -> System:
    """What one way of flagging does on the chosen rows."""
    recall, false_positives = rate_of(flags[classes.positive & chosen]), rate_of(flags[classes.ordinary & chosen])
    counted = chosen & (classes.positive | classes.negative)
    return System(
        recall,
        false_positives,
        rate_of(flags[classes.look_alike & chosen]),
        {name: precision_at(share, recall, false_positives) for name, share in PREVALENCES.items()},
        rounded((flags == classes.positive)[counted].mean()) if counted.any() else None,
    )


def _sources(table: Table) -> tuple[Labelled, ...]:
    """Per source and label, in the order of their names; within a source, mis-routed first."""
    flagged, own = table.level(ANY), table.own_level()
    places: dict[tuple[str, str, bool | None], list[int]] = {}
    for place, row in enumerate(table.rows):
        places.setdefault((row.label.source, row.label.behaviour, row.label.appropriate), []).append(place)
    return tuple(
        Labelled(
            *key,
            len(members),
            rate_of(own[members] >= Level.SUSPECT) if key[1] in table.modes else None,
            rate_of(flagged[members] >= Level.SUSPECT),
            rate_of(flagged[members] >= Level.MISROUTED),
        )
        for key, members in sorted(places.items(), key=lambda item: (item[0][0], *_label_order(item[0][1], item[0][2])))
    )


def _confusion(table: Table) -> tuple[ConfusionRow, ...]:
    # The score decides among modes of one level; the level comes first, whatever the scores.
    strength = table.levels * 2 + table.scores
    best, level = strength.argmax(axis=1), table.levels.max(axis=1)
    places: dict[tuple[str, bool | None], list[int]] = {}
    for place, row in enumerate(table.rows):
        places.setdefault((row.label.behaviour, row.label.appropriate), []).append(place)
    rows = []
    for (behaviour, appropriate), members in sorted(places.items(), key=lambda item: _label_order(*item[0])):
        levels, modes = level[members], best[members]
        found = {
            str(mode): (
                int(((modes == number) & (levels == Level.SUSPECT)).sum()),
                int(((modes == number) & (levels == Level.MISROUTED)).sum()),
            )
            for number, mode in enumerate(table.modes)
        }
        rows.append(ConfusionRow(behaviour, appropriate, len(members), int((levels < Level.SUSPECT).sum()), found))
    return tuple(rows)


def _label_order(behaviour: str, appropriate: bool | None) -> tuple[int, int]:
    order = [str(mode) for mode in MODES]
    return order.index(behaviour) if behaviour in order else len(order), (False, True, None).index(appropriate)
