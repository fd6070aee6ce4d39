"""The pictures of an experiment: mis-routed answers by arm, gains against no guard, what is left alone, what it costs.

One rule: a picture shows figures of the report and nothing else, with the same names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evaluation.style import BLUE, COLOURS, DARK, GREY, RED, SAVING, drawing

#: File -> what it shows, for those who cannot see it.
PICTURES: Final[Mapping[str, str]] = {
    "rates.png": "Share of mis-routed answers to trigger prompts by arm, a panel a mode, with 95% intervals",
    "gains.png": "Gain in right answers against no guard, by mode and arm, as a heat map",
    "breaks.png": "Share of right answers that an arm breaks, a panel a kind of prompt, with 95% intervals",
    "costs.png": "Calls, tokens and milliseconds that an arm adds to a request, with 95% intervals",
}
_DIVERGING: Final = LinearSegmentedColormap.from_list("gain", [RED, "#f7f7f7", BLUE])
_COSTS: Final = {"extra_calls": "upstream calls", "extra_tokens": "tokens", "extra_ms": "milliseconds"}


def draw(found: Mapping[str, Any], out: Path) -> None:
    """Draw every picture into `out`. Raises OSError."""
    with drawing():
        rates_figure(found).savefig(out / "rates.png", **SAVING)
        gains_figure(found).savefig(out / "gains.png", **SAVING)
        breaks_figure(found).savefig(out / "breaks.png", **SAVING)
        costs_figure(found).savefig(out / "costs.png", **SAVING)


def rates_figure(found: Mapping[str, Any]) -> Figure:
    """A panel a mode and one of all triggers: mis-routed answers by arm."""
    groups = {"all triggers": found["overall"], **found["modes"]}
    figure, panels = _panels(len(groups), _arms(found))
    for number, (axis, (name, rows)) in enumerate(zip(panels, groups.items(), strict=False)):
        points = {arm: (row["rate"], row["low"], row["high"]) for arm, row in rows.items()}
        _points(axis, _arms(found), points, names=number % 3 == 0, upper=1.0)
        n = max((row["n"] for row in rows.values()), default=0)
        axis.set_title(f"{name}  ({n})", loc="left")
    figure.suptitle("Mis-routed answers to trigger prompts; in brackets: answers an arm", fontsize=10)
    return figure


def gains_figure(found: Mapping[str, Any]) -> Figure:
    """A line a mode, a column an arm: the paired gain in right answers, in points."""
    arms = [arm for arm in _arms(found) if arm != "off"]
    groups = {
        "all triggers": found["overall"],
        **found["modes"],
        **{f"({part})": rows for part, rows in found["parts"].items()},
    }
    groups = {name: rows for name, rows in groups.items() if "off" in rows}
    figure = Figure(figsize=(3.2 + 1.05 * max(2, len(arms)), 1.7 + 0.34 * max(3, len(groups))), layout="constrained")
    if not groups or not arms:
        _nothing(figure, "nothing to compare: the arm off is missing")
        return figure
    axis = figure.subplots()
    grid = np.array([[rows[arm]["gain"] * 100 if arm in rows else np.nan for arm in arms] for rows in groups.values()])
    image = axis.imshow(grid, cmap=_DIVERGING, vmin=-100, vmax=100, aspect="auto")
    for row, rows in enumerate(groups.values()):
        for column, arm in enumerate(arms):
            if arm in rows:
                low, high = rows[arm]["gain_interval"]
                sure = low > 0 or high < 0
                colour = "white" if abs(grid[row, column]) > 60 else DARK
                text = f"{grid[row, column]:+.1f}" + ("" if sure else " ·")
                axis.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    axis.grid(False)
    axis.xaxis.tick_top()
    axis.set_xticks(range(len(arms)), arms)
    axis.set_yticks(range(len(groups)), list(groups))
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    figure.colorbar(image, ax=axis, shrink=0.9, label="points")
    figure.suptitle("Gain in right answers against no guard, in points\n·: its 95% interval holds 0", fontsize=10)
    return figure


def breaks_figure(found: Mapping[str, Any]) -> Figure:
    """A panel a kind of prompt: right answers that an arm breaks."""
    groups = {"trigger": found["overall"], **found["parts"]}
    arms = [arm for arm in _arms(found) if arm != "off"]
    figure, panels = _panels(len(groups), arms)
    for number, (axis, (name, rows)) in enumerate(zip(panels, groups.items(), strict=False)):
        points = {
            arm: (row["break_rate"], *row["break_interval"]) for arm, row in rows.items() if row["break_rate"] is not None
        }
        top = max([high for arm, (_, _, high) in points.items() if arm in arms], default=0.05)
        _points(axis, arms, points, names=number % 3 == 0, upper=min(1.0, max(0.05, top * 1.1)))
        axis.set_title(name, loc="left")
    figure.suptitle("Of the answers that were right without a guard, the share that is not right with it", fontsize=10)
    return figure


def costs_figure(found: Mapping[str, Any]) -> Figure:
    """What an arm adds to a request: on trigger prompts and on ordinary ones."""
    arms = [arm for arm in _arms(found) if arm != "off"]
    figure = Figure(figsize=(11, 1.7 + 0.34 * max(2, len(arms))), layout="constrained")
    groups = (("trigger prompts", found["overall"], BLUE, 0.15), ("ordinary", found["parts"].get("ordinary", {}), GREY, -0.15))
    if not any("extra_ms" in rows.get(arm, {}) for _, rows, _, _ in groups for arm in arms):
        _nothing(figure, "nothing to compare: the arm off is missing")
        return figure
    panels = list(figure.subplots(1, len(_COSTS)))
    for number, (axis, (cost, name)) in enumerate(zip(panels, _COSTS.items(), strict=True)):
        for label, rows, colour, shift in groups:
            drawn = [(place, rows[arm][cost]) for place, arm in enumerate(arms) if cost in rows.get(arm, {})]
            if drawn:
                _errorbar(axis, [(place + shift, *values) for place, values in drawn], colour, label if number == 0 else "")
        axis.axvline(0, color=DARK, linewidth=0.8)
        axis.set_yticks(range(len(arms)), arms if number == 0 else [""] * len(arms))
        axis.set_ylim(max(1, len(arms)) - 0.5, -0.5)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.set_title(f"extra {name}", loc="left")
    figure.legend(loc="outside upper right", ncols=2)
    figure.suptitle("What an arm adds to a request", fontsize=10, x=0.02, ha="left")
    return figure


def _arms(found: Mapping[str, Any]) -> list[str]:
    """Every arm that has figures, in the order in which they were asked for."""
    tables = (found["overall"], *found["parts"].values())
    return list(dict.fromkeys(arm for rows in tables for arm in rows))


def _panels(count: int, arms: Sequence[str]) -> tuple[Figure, list[Axes]]:
    columns = min(3, max(1, count))
    lines = -(-max(1, count) // columns)
    figure = Figure(
        figsize=(max(6.0, 3.6 * columns + 0.8), (0.8 + 0.26 * max(2, len(arms))) * lines + 0.6), layout="constrained"
    )
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axis in panels[count:]:
        axis.set_axis_off()
    return figure, panels


def _points(
    axis: Axes, arms: Sequence[str], points: Mapping[str, tuple[float, float, float]], *, names: bool, upper: float
) -> None:
    # An arm has one colour in every picture: `off` is black wherever it is drawn.
    first = 0 if "off" in arms else 1
    for place, arm in enumerate(arms):
        if arm in points:
            _errorbar(axis, [(place, *points[arm])], COLOURS[(place + first) % len(COLOURS)])
    axis.set_xlim(-0.01 * upper, upper * 1.01)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.3g}%"))
    axis.set_yticks(range(len(arms)), arms if names else [""] * len(arms))
    axis.set_ylim(max(1, len(arms)) - 0.5, -0.5)


def _errorbar(axis: Axes, points: Sequence[tuple[float, float, float, float]], colour: str, label: str = "") -> None:
    """`points`: (place, value, low, high)."""
    axis.errorbar(
        [value for _, value, _, _ in points],
        [place for place, *_ in points],
        xerr=[[max(0.0, v - low) for _, v, low, _ in points], [max(0.0, high - v) for _, v, _, high in points]],
        fmt="o",
        color=colour,
        markersize=4.5,
        linewidth=1.4,
        label=label or None,
    )


def _nothing(figure: Figure, why: str) -> None:
    figure.text(0.5, 0.5, why, ha="center", va="center", color=GREY)
