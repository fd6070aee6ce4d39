"""The pictures of an attribution: odds ratios, features against behaviours, where the rows of a link stand.

One rule: a picture shows links of the report and nothing else, with the same names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from attribution.behaviours import UNASKED, is_mined
from attribution.links import Link
from evaluation.style import BLUE, COLOURS, DARK, GREY, HEAT, RED, SAVING, drawing

#: Links, behaviours and sources that a picture has room for.
MOST_LINKS: Final = 28
MOST_BEHAVIOURS: Final = 16
MOST_SOURCES: Final = 8
#: Longest name beside a line.
_NAME: Final = 44
#: Odds ratios are drawn within these.
_ODDS: Final = (0.1, 1e6)

#: File -> what it shows, for those who cannot see it.
PICTURES: Final[Mapping[str, str]] = {
    "odds.png": "Odds ratios of the strongest links, in the whole mix and within sources, with lower 95% bounds",
    "heat.png": "Share of answers with each behaviour among the prompts with each feature, as a heat map",
    "sources.png": "Which sources the examples of the strongest links come from, as stacked bars",
}


def draw(links: Sequence[Link], every: Sequence[Link], out: Path) -> None:
    """Draw every picture into `out`. `links`: those of the report; `every`: all that were found."""
    first = strongest(links)
    with drawing():
        odds_figure(first).savefig(out / "odds.png", **SAVING)
        heat_figure(links, every).savefig(out / "heat.png", **SAVING)
        sources_figure(first).savefig(out / "sources.png", **SAVING)


def strongest(links: Sequence[Link]) -> list[Link]:
    """The links that a picture has room for: of each behaviour in turn the next one, unasked modes first, requests left out."""
    by_behaviour: dict[str, list[Link]] = {}
    for link in links:
        if not link.intended:
            by_behaviour.setdefault(link.behaviour, []).append(link)
    queues = [by_behaviour[name] for name in sorted(by_behaviour, key=_rank)]
    turns = [queue[turn] for turn in range(max(map(len, queues), default=0)) for queue in queues if turn < len(queue)]
    return sorted(turns[:MOST_LINKS], key=lambda link: (_rank(link.behaviour), link.behaviour))


def _rank(behaviour: str) -> tuple[int, str]:
    return (2 if is_mined(behaviour) else 0 if behaviour.endswith(UNASKED) else 1), behaviour


def short(text: str, limit: int = _NAME) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def odds_figure(links: Sequence[Link]) -> Figure:
    """A line a link: the odds ratio in the whole mix and within sources."""
    figure = Figure(figsize=(11, max(2.6, 1.5 + 0.3 * len(links))), layout="constrained")
    if not links:
        _nothing(figure)
        return figure
    axis = figure.subplots()
    places = np.arange(len(links))
    for shift, colour, mark, name, values in (
        (-0.16, GREY, "s", "whole mix", [(link.odds, link.odds_low) for link in links]),
        (0.16, BLUE, "o", "within sources", [(link.odds_within, link.odds_within_low) for link in links]),
    ):
        points = [min(max(value, _ODDS[0]), _ODDS[1]) for value, _ in values]
        lows = [min(max(low, _ODDS[0]), point) for (_, low), point in zip(values, points, strict=True)]
        axis.hlines(places + shift, lows, points, color=colour, linewidth=1.6, alpha=0.6)
        axis.plot(points, places + shift, mark, color=colour, markersize=4.5, label=name)
    for place, link in enumerate(links):
        if link.kind == "composition":
            axis.axhspan(place - 0.45, place + 0.45, color=RED, alpha=0.07, linewidth=0)
    axis.set_xscale("log")
    axis.axvline(1.0, color=DARK, linewidth=0.9)
    axis.set_yticks(places, [short(f"{link.feature}  →  {link.behaviour}", 64) for link in links])
    axis.set_ylim(len(links) - 0.5, -0.5)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("odds ratio (log); the line ends at the lower 95% bound; shaded: composition only")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def heat_figure(links: Sequence[Link], every: Sequence[Link]) -> Figure:
    """Features of the report against behaviours: P(behaviour | feature) where the link is above the bars."""
    own = [link for link in links if not link.intended]
    behaviours = sorted(dict.fromkeys(link.behaviour for link in own), key=_rank)[:MOST_BEHAVIOURS]
    features = list(dict.fromkeys(link.feature for link in strongest(own) if link.behaviour in behaviours))
    figure = Figure(figsize=(3.6 + 0.62 * max(5, len(behaviours)), 2.2 + 0.28 * max(3, len(features))), layout="constrained")
    if not features:
        _nothing(figure)
        return figure
    axis = figure.subplots()
    rates = {(link.feature, link.behaviour): link.rate for link in every}
    grid = np.array([[rates.get((feature, behaviour), math.nan) for behaviour in behaviours] for feature in features])
    image = axis.imshow(grid, cmap=HEAT, vmin=0, vmax=1, aspect="auto")
    for row, column in zip(*np.nonzero(~np.isnan(grid)), strict=True):
        share = grid[row, column]
        axis.text(
            column, row, f"{share * 100:.0f}", ha="center", va="center", fontsize=7, color="white" if share > 0.6 else DARK
        )
    axis.grid(False)
    axis.xaxis.tick_top()
    axis.set_xticks(range(len(behaviours)), [short(name, 30) for name in behaviours], rotation=50, ha="left")
    axis.set_yticks(range(len(features)), [short(name) for name in features])
    axis.tick_params(length=0)
    figure.colorbar(image, ax=axis, shrink=0.8, label="P(behaviour | feature), only links above the bars")
    return figure


def sources_figure(links: Sequence[Link]) -> Figure:
    """A bar a link: the sources of the examples that hold feature and behaviour."""
    figure = Figure(figsize=(11, max(2.6, 1.5 + 0.3 * len(links))), layout="constrained")
    if not links:
        _nothing(figure)
        return figure
    axis = figure.subplots()
    weights: dict[str, float] = {}
    for link in links:
        for share in link.sources:
            weights[share.source] = weights.get(share.source, 0.0) + share.both / max(link.both, 1e-9)
    named = sorted(weights, key=lambda name: (-weights[name], name))[:MOST_SOURCES]
    left = np.zeros(len(links))
    for number, name in enumerate([*named, "others"]):
        parts = np.array([_part(link, name, named) for link in links])
        if parts.any():
            axis.barh(range(len(links)), parts, left=left, height=0.72, color=COLOURS[number], label=short(name, 24))
        left += parts
    axis.set_yticks(range(len(links)), [short(f"{link.feature}  →  {link.behaviour}", 64) for link in links])
    axis.set_ylim(len(links) - 0.5, -0.5)
    axis.set_xlim(0, 1)
    axis.set_xlabel("share of the votes with feature and behaviour")
    figure.legend(loc="outside right upper", title="source")
    return figure


def _part(link: Link, name: str, named: Sequence[str]) -> float:
    both = sum(
        share.both for share in link.sources if (share.source == name if name != "others" else share.source not in named)
    )
    return both / link.both if link.both else 0.0


def _nothing(figure: Figure) -> None:
    figure.text(0.5, 0.5, "no link above the bars", ha="center", va="center", color=GREY)
