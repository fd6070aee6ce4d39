"""Judged rows as columns, and which of them are positive, ordinary or a look-alike of a mode.

One rule: a row counts for a mode only as its label allows; what a label does not say is left out, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.types import MODES, Level, Mode
from evaluation.baselines import BASELINE_MODES, BASELINES
from evaluation.judge import Judged
from evaluation.measures import Bools, Floats

#: The pseudo-mode of an answer that is mis-routed in any of the chosen modes.
ANY: Final = "any"
#: Shown for a row without a language.
NO_LANGUAGE: Final = "?"


@dataclass(frozen=True, slots=True)
class Classes:
    """Which rows are what to a mode; disjoint. A row in none of them is left out."""

    positive: Bools
    ordinary: Bools
    look_alike: Bools

    @property
    def negative(self) -> Bools:
        return self.ordinary | self.look_alike


@dataclass(frozen=True, slots=True)
class Table:
    """Judged rows, and their columns as arrays. `scores`, `levels`: rows x the chosen modes. `flags`: rows x BASELINES."""

    rows: Sequence[Judged]
    modes: tuple[Mode, ...]
    scores: Floats
    levels: NDArray[np.int64]
    flags: Bools
    behaviours: NDArray[np.str_]
    wrong: Bools
    warranted: Bools
    langs: NDArray[np.str_]
    sources: NDArray[np.str_]

    @property
    def names(self) -> tuple[str, ...]:
        """The pseudo-mode and the chosen modes."""
        return (ANY, *self.modes)

    def score(self, name: str) -> Floats:
        """The score of a mode; of ANY, the highest."""
        scores: Floats = self.scores.max(axis=1) if name == ANY else self.scores[:, self._place(name)]
        return scores

    def level(self, name: str) -> NDArray[np.int64]:
        """The verdict's level of a mode; of ANY, the highest."""
        levels: NDArray[np.int64] = self.levels.max(axis=1) if name == ANY else self.levels[:, self._place(name)]
        return levels

    def unchecked(self, name: str) -> Bools:
        levels = self.levels.min(axis=1) if name == ANY else self.levels[:, self._place(name)]
        unchecked: Bools = np.less(levels, Level.CLEAR)
        return unchecked

    def classes(self, name: str) -> Classes:
        """Who is positive, who is not. To ANY, a row of a mode that is not chosen is ordinary."""
        own = np.isin(self.behaviours, self.modes) if name == ANY else self.behaviours == name
        return Classes(own & self.wrong, ~own, own & self.warranted)

    def baselines(self, name: str) -> dict[str, Bools]:
        """What the baselines for a mode flag; for ANY, all of the chosen modes' together."""
        flags = {base: self.flags[:, number] for number, base in enumerate(BASELINES)}
        if name != ANY:
            return {base: flags[base] for base in flags if BASELINE_MODES[base] == name}
        bases = [base for base in flags if BASELINE_MODES[base] in self.modes]
        return {" or ".join(bases): np.any([flags[base] for base in bases], axis=0)} if bases else {}

    def own_level(self) -> NDArray[np.int64]:
        """The level that each row has in the mode it is labelled with; below clear for a row of no chosen mode."""
        levels = np.full(len(self.rows), Level.CLEAR - 1)
        for mode in self.modes:
            mine = self.behaviours == mode
            levels[mine] = self.level(mode)[mine]
        return levels

    def _place(self, name: str) -> int:
        return [str(mode) for mode in self.modes].index(name)


def make_table(rows: Sequence[Judged], modes: Sequence[Mode] = MODES) -> Table:
    """Columns of rows that are labelled with a known behaviour. `modes`: the chosen ones, in the order of MODES."""
    chosen = tuple(mode for mode in MODES if mode in modes)
    places = [MODES.index(mode) for mode in chosen]
    labels = [row.label for row in rows]
    return Table(
        rows,
        chosen,
        scores=np.array([row.scores for row in rows], dtype=float).reshape(-1, len(MODES))[:, places],
        levels=np.array([row.levels for row in rows], dtype=np.int64).reshape(-1, len(MODES))[:, places],
        flags=np.array([row.baselines for row in rows], dtype=bool).reshape(-1, len(BASELINES)),
        behaviours=np.array([label.behaviour for label in labels], dtype=str),
        wrong=np.array([label.appropriate is False for label in labels], dtype=bool),
        warranted=np.array([label.appropriate is True for label in labels], dtype=bool),
        langs=np.array([label.lang or NO_LANGUAGE for label in labels], dtype=str),
        sources=np.array([label.source for label in labels], dtype=str),
    )
