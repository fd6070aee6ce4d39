"""The pictures of an audit: findings over calls, odds ratios of attribute groups, groups against modes.

One rule: a picture shows what the state of the run holds, the answers of the search itself, and nothing that confirmed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from audit.search import State
from core.types import MODES
from evaluation.style import BLUE, DARK, GREY, HEAT, SAVING, drawing

#: Groups that a picture has room for, and answers that one needs to be shown.
MOST: Final = 30
LEAST: Final = 6

#: File -> what it shows, for those who cannot see it.
PICTURES: Final[Mapping[str, str]] = {
    "progress.png": "Confirmed findings over calls of the model, those of the search and those of the control arm",
    "odds.png": "Odds ratios of mis-routed answers with and without attributes of each group, with 95% intervals",
    "heat.png": "Share of mis-routed answers by attribute group and mode, as a heat map",
}


def draw(state: State, out: Path) -> None:
    """Draw every picture into `out`. Raises OSError."""
    with drawing():
        for name, figure in (("progress", progress(state)), ("odds", odds(state)), ("heat", heat(state))):
            figure.savefig(out / f"{name}.png", **SAVING)


def progress(state: State) -> Figure:
    """Steps: confirmed findings by then. The control arm asks one candidate in ten, unless it is the whole run."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axis = figure.subplots()
    for uniform, colour, name in ((False, BLUE, "search"), (True, GREY, "control arm (uniform)")):
        found = sorted((one.found_at, one.mode) for one in state.findings if one.uniform is uniform)
        places = [0, *(place for place, _ in found), state.calls]
        axis.step(places, [*range(len(found) + 1), len(found)], where="post", color=colour, linewidth=1.8, label=name)
        for number, (place, mode) in enumerate(found, 1):
            axis.annotate(mode, (place, number), xytext=(3, 3), textcoords="offset points", fontsize=7, color=DARK)
    axis.set_xlabel("calls of the model")
    axis.set_ylabel("confirmed findings")
    axis.set_ylim(bottom=0)
    axis.legend(loc="upper left")
    return figure


def groups_of(state: State) -> list[str]:
    """Groups with enough answers, those with the largest share of mis-routed ones first."""
    names = [name for name, asked in state.asked.items() if "." not in name and name != "all" and asked >= LEAST]
    return sorted(names, key=lambda name: (-_hits(state, name) / state.asked[name], name))[:MOST]


def odds_ratio(hits: int, n: int, other_hits: int, others: int) -> tuple[float, float, float]:
    """Odds ratio with its 95% interval (Woolf, 1/2 added to every count)."""
    cells = [count + 0.5 for count in (hits, n - hits, other_hits, others - other_hits)]
    middle = math.log(cells[0] * cells[3] / (cells[1] * cells[2]))
    half = 1.96 * math.sqrt(sum(1 / cell for cell in cells))
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


def odds(state: State) -> Figure:
    """A line a group: how much likelier an answer is mis-routed where the prompt has one of its attributes."""
    names = groups_of(state)
    if not names:
        return _nothing()
    figure = Figure(figsize=(9, 1.6 + 0.26 * len(names)), layout="constrained")
    axis = figure.subplots()
    hits, n = _hits(state, "all"), state.asked["all"]
    for place, name in enumerate(names):
        own, asked = _hits(state, name), state.asked[name]
        middle, low, high = odds_ratio(own, asked, hits - own, n - asked)
        axis.hlines(place, low, high, color=BLUE, linewidth=1.6, alpha=0.6)
        axis.plot([middle], [place], "o", color=BLUE, markersize=4.5)
    axis.set_xscale("log")
    axis.axvline(1.0, color=DARK, linewidth=0.9)
    axis.set_yticks(range(len(names)), [f"{name}  ({_hits(state, name)} of {state.asked[name]})" for name in names])
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("odds ratio (log) of a mis-routed answer, 95% interval")
    return figure


def heat(state: State) -> Figure:
    """Groups against modes."""
    names = groups_of(state)
    if not names:
        return _nothing()
    figure = Figure(figsize=(8, 2.0 + 0.26 * len(names)), layout="constrained")
    axis = figure.subplots()
    grid = np.array([[state.hits[f"{mode}/{name}"] / state.asked[name] for mode in MODES] for name in names])
    image = axis.imshow(grid, cmap=HEAT, vmin=0, vmax=1, aspect="auto")
    for row, column in zip(*np.nonzero(grid), strict=True):
        share = grid[row, column]
        colour = "white" if share > 0.6 else DARK
        axis.text(column, row, f"{share * 100:.0f}", ha="center", va="center", fontsize=7, color=colour)
    axis.grid(False)
    axis.xaxis.tick_top()
    axis.set_xticks(range(len(MODES)), MODES, rotation=40, ha="left")
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(length=0)
    figure.colorbar(image, ax=axis, shrink=0.8, label="share of the search's answers that are mis-routed")
    return figure


def _hits(state: State, name: str) -> int:
    return min(state.asked[name], sum(state.hits[f"{mode}/{name}"] for mode in MODES))


def _nothing() -> Figure:
    figure = Figure(figsize=(9, 2))
    figure.text(0.5, 0.5, "too few answers", ha="center", va="center", color=GREY)
    return figure
