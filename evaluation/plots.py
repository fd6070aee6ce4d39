"""The pictures of one run: ROC curves, reliability, false positives per language, confusion.

One rule: figures are drawn on canvases of their own, never through pyplot, and the same run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullFormatter

from detectors.rows import NONE
from evaluation.figures import APPROPRIATE, CERTAIN, FLAGGED, ConfusionRow, Figures, Group
from evaluation.measures import Bin, Rate, roc
from evaluation.style import BLUE, COLOURS, DARK, GREEN, GREY, HEAT, RED, SAVING, drawing
from evaluation.table import ANY, Table

#: The smallest false-positive rate that the logarithmic axis shows.
_LOWEST: Final = 1e-4
#: Languages that get a line of their own, the most frequent ones.
_MOST_LANGUAGES: Final = 25
#: A rate of fewer rows is drawn hollow.
_FEW: Final = 30


#: File -> what it shows, for those who cannot see it.
PICTURES: Final[Mapping[str, str]] = {
    "roc.png": "Recall against false-positive rate, a curve a mode, on a plain and on a logarithmic axis",
    "reliability.png": "Share of mis-routed answers against the mode score, a panel a mode",
    "languages.png": "False-positive rates with 95% intervals, a panel a mode, a line a language",
    "confusion.png": "Labelled behaviour against the mode that was found, as a heat map",
}


def draw(table: Table, figures: Figures, out: Path) -> None:
    """Draw every picture into `out`."""
    with drawing():
        roc_figure(table, figures).savefig(out / "roc.png", **SAVING)
        reliability_figure(figures).savefig(out / "reliability.png", **SAVING)
        languages_figure(figures).savefig(out / "languages.png", **SAVING)
        confusion_figure(figures).savefig(out / "confusion.png", **SAVING)


# -- ROC ---------------------------------------------------------------------------------------------------------------


def roc_figure(table: Table, figures: Figures) -> Figure:
    """One curve a mode, against ordinary negatives; marks where the shipped thresholds lie."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    whole, low = figure.subplots(1, 2)
    drawn = [name for name in table.names if figures.modes[name].positives and figures.modes[name].ordinary]
    for name in drawn:
        _roc_curve((whole, low), table, name, figures.modes[name], COLOURS[table.names.index(name)])
    _percent_axes(whole, (0, 1), "false-positive rate, ordinary answers", "recall")
    whole.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    whole.set_title("whole range")
    low.set_xscale("log")
    _percent_axes(low, (_LOWEST, 1), "false-positive rate, ordinary answers (log)", "recall")
    low.xaxis.set_minor_formatter(NullFormatter())
    low.axvline(0.01, color=GREY, linewidth=0.8, linestyle="--")
    low.set_title("low false-positive rates")
    if drawn:
        handles = [whole.lines[number] for number in range(0, 3 * len(drawn), 3)]
        figure.legend(handles=handles, loc="outside right center", title="AUC, rows (mis-routed / ordinary)")
        marks = "dot: suspect or misrouted, diamond: misrouted alone"
    else:
        _nothing(whole)
        _nothing(low)
        marks = ""
    figure.suptitle(f"ROC of the mode scores\n{marks}", fontsize=11)
    return figure


def _roc_curve(axes: Sequence[Axes], table: Table, name: str, group: Group, colour: str) -> None:
    classes, scores = table.classes(name), table.score(name)
    rates, recalls, _ = roc(scores[classes.positive], scores[classes.ordinary])
    label = f"{name}  {group.auc:.3f}  {group.positives} / {group.ordinary}"
    for axis in axes:
        # On the log axis a rate of 0 lies at its left edge, and steps show what some threshold really reaches: a straight line
        # between two far points would be a curve there.
        shown = rates.clip(_LOWEST, None) if axis is axes[1] else rates
        style = "steps-post" if axis is axes[1] else "default"
        axis.plot(shown, recalls, color=colour, linewidth=2.2 if name == ANY else 1.5, label=label, drawstyle=style)
        for way, mark in ((FLAGGED, "o"), (CERTAIN, "D")):
            system = group.systems[way]
            rate = system.false_positives.rate or 0.0
            at = max(rate, _LOWEST) if axis is axes[1] else rate
            recall = system.recall.rate or 0.0
            axis.plot([at], [recall], mark, color=colour, markersize=5.5, markeredgecolor="white", clip_on=False)


# -- reliability -------------------------------------------------------------------------------------------------------


def reliability_figure(figures: Figures) -> Figure:
    """A panel a mode: the share of positives among rows of about one score."""
    names = [name for name in figures.modes if name != ANY]
    figure, panels = _grid(len(names), 2.9, 2.75)
    for axis, name in zip(panels, names, strict=False):
        group = figures.modes[name]
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        _percent_axes(axis, (-0.03, 1.03), "", "")
        axis.set_ylim(-0.03, 1.03)
        _reliability_points(axis, group.calibration.bins)
        error, even = group.calibration.error, group.calibration.error_even
        shown = f"ECE {error:.3f}" if error is not None else "no rows"
        axis.set_title(name, loc="left")
        shown += f", even {even:.3f}" if even is not None else ""
        axis.set_title(shown, loc="right", fontsize=7, fontweight="normal")
    figure.supxlabel("mode score (mean of the bin)", fontsize=9)
    figure.supylabel("share of mis-routed answers", fontsize=9)
    figure.suptitle(
        "Reliability; blue: rows as they are, their number and 95% interval\norange: both classes weighing the same",
        fontsize=10,
    )
    return figure


def _reliability_points(axis: Axes, bins: Sequence[Bin]) -> None:
    shares = [(each.share, each.share.rate or 0.0) for each in bins]
    means = [each.mean_score for each in bins]
    if bins:
        points = [share for _, share in shares]
        axis.errorbar(means, points, yerr=_spread(shares), fmt="o", color=BLUE, markersize=4, linewidth=1, capsize=2)
    for each, (_, share) in zip(bins, shares, strict=True):
        axis.annotate(
            _short(each.rows),
            (each.mean_score, share),
            xytext=(3, -9 if share > 0.85 else 4),
            textcoords="offset points",
            fontsize=6.5,
            color=BLUE,
        )
    axis.plot(means, [b.share_even for b in bins], "^", color=RED, markersize=4, alpha=0.8)


# -- languages ---------------------------------------------------------------------------------------------------------


def languages_figure(figures: Figures) -> Figure:
    """A panel a mode, a line a language: false-positive rates of ordinary answers and of look-alikes."""
    names = list(figures.modes)
    langs = list(figures.languages[ANY])[:_MOST_LANGUAGES]
    figure, panels = _grid(len(names), 2.9, 1.1 + 0.2 * len(langs), across=3)
    for number, (axis, name) in enumerate(zip(panels, names, strict=False)):
        groups = figures.languages[name]
        places = range(len(langs))
        ordinary = [groups[lang].systems[FLAGGED].false_positives for lang in langs]
        twins = [groups[lang].systems[FLAGGED].look_alikes for lang in langs]
        _intervals(axis, [place - 0.17 for place in places], ordinary, BLUE, "o")
        _intervals(axis, [place + 0.17 for place in places], twins, RED, "s")
        axis.set_xscale("symlog", linthresh=0.01, linscale=0.6)
        axis.set_xlim(-0.0005, 1.0)
        axis.set_xticks([0, 0.01, 0.03, 0.1, 0.3, 1])
        axis.xaxis.set_major_formatter(FuncFormatter(_percent))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.axvline(0.01, color=GREY, linewidth=0.8, linestyle="--")
        axis.set_yticks(places, langs if number % 3 == 0 else [""] * len(langs))
        axis.set_ylim(len(langs) - 0.5, -0.5)
        axis.set_title("any mode" if name == ANY else name)
    figure.suptitle(
        "False-positive rate per language, 95% Wilson intervals (suspect or misrouted)\n"
        "blue: ordinary answers, orange: warranted answers of the mode\n"
        "dashed: 1%, hollow: fewer than 30 rows",
        fontsize=10,
    )
    return figure


def _intervals(axis: Axes, places: Sequence[float], rates: Sequence[Rate], colour: str, mark: str) -> None:
    for many in (True, False):
        chosen = [(at, each, each.rate) for at, each in zip(places, rates, strict=True) if (each.n >= _FEW) == many]
        drawn = [(at, each, rate) for at, each, rate in chosen if rate is not None]
        if not drawn:
            continue
        axis.errorbar(
            [rate for _, _, rate in drawn],
            [at for at, _, _ in drawn],
            xerr=_spread([(each, rate) for _, each, rate in drawn]),
            fmt=mark,
            color=colour,
            markersize=3.6,
            linewidth=1,
            capsize=0,
            markerfacecolor=colour if many else "white",
        )


# -- confusion ---------------------------------------------------------------------------------------------------------


def confusion_figure(figures: Figures) -> Figure:
    """A line a label, a column a found mode; coloured by the share of the line."""
    rows = figures.confusion
    columns = ["clear", *(name for name in figures.modes if name != ANY)]
    figure = Figure(figsize=(max(7.0, 2.6 + 0.86 * len(columns)), 1.9 + 0.34 * max(3, len(rows))), layout="constrained")
    axis = figure.subplots()
    counts = [[row.clear, *(sum(found) for found in row.found.values())] for row in rows]
    shares = [[count / row.rows for count in line] for row, line in zip(rows, counts, strict=True)]
    image = axis.imshow(shares, cmap=HEAT, vmin=0, vmax=1, aspect="auto")
    for place, row in enumerate(rows):
        pairs = [(row.clear, ""), *((sum(found), f"{found[1]}+{found[0]}") for found in row.found.values())]
        for column, (count, detail) in enumerate(pairs):
            if _expected(row, columns[column]):
                frame = Rectangle((column - 0.5, place - 0.5), 1, 1, fill=False, edgecolor=GREEN, linewidth=1.6, clip_on=False)
                axis.add_patch(frame)
            if count:
                colour = "white" if shares[place][column] > 0.6 else DARK
                axis.text(column, place, detail or str(count), ha="center", va="center", color=colour, fontsize=8)
    axis.grid(False)
    axis.set_xticks(range(len(columns)), columns)
    axis.xaxis.tick_top()
    labels = [f"{row.behaviour}, {APPROPRIATE[row.appropriate]}  ({row.rows})" for row in rows]
    axis.set_yticks(range(len(rows)), labels)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    figure.colorbar(image, ax=axis, format=FuncFormatter(_percent), shrink=0.9, label="share of the line")
    figure.suptitle("Label against what was found: misrouted + suspect; framed: where the label belongs", fontsize=11)
    return figure


def _expected(row: ConfusionRow, column: str) -> bool:
    """Whether rows of this label should be found as `column`."""
    if row.appropriate is False and row.behaviour != NONE:
        return column == row.behaviour
    return column == "clear" and (row.behaviour == NONE or row.appropriate is True)


# -- shared ------------------------------------------------------------------------------------------------------------


def _grid(count: int, width: float, height: float, across: int = 4) -> tuple[Figure, list[Axes]]:
    columns = min(across, count)
    lines = -(-count // columns)
    figure = Figure(figsize=(max(6.5, width * columns), max(3.2, height * lines + 0.7)), layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axis in panels[count:]:
        axis.set_axis_off()
    return figure, panels


def _spread(rates: Sequence[tuple[Rate, float]]) -> list[list[float]]:
    """How far the intervals reach below and above their rates."""
    return [[max(0.0, rate - each.low) for each, rate in rates], [max(0.0, each.high - rate) for each, rate in rates]]


def _percent_axes(axis: Axes, limits: tuple[float, float], across: str, up: str) -> None:
    axis.set_xlim(*limits)
    axis.set_ylim(0, 1.005)
    axis.xaxis.set_major_formatter(FuncFormatter(_percent))
    axis.yaxis.set_major_formatter(FuncFormatter(_percent))
    axis.set_xlabel(across)
    axis.set_ylabel(up)


def _percent(value: float, _: object = None) -> str:
    return f"{value * 100:.4g}%"


def _short(count: int) -> str:
    return f"{count / 1000:.0f}k" if count >= 10_000 else str(count)


def _nothing(axis: Axes) -> None:
    axis.text(0.5, 0.5, "no mode with both classes", transform=axis.transAxes, ha="center", color=GREY)
