"""Counts -> links: which feature goes with which behaviour, how strongly, and whether that is only which source they stand in.

One rule: every link is tested, in the whole mix and within its sources, and counts among all tests that were made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from attribution import statistics as st
from attribution.behaviours import UNASKED
from attribution.counts import ANY, Vocabulary
from attribution.duplicates import VOTE
from attribution.features import FAMILIES, INTENDED, Family, family_of
from core.types import MODES

Kind = Literal["within-source", "mixed", "composition"]
KINDS: Final[tuple[Kind, ...]] = ("within-source", "mixed", "composition")
#: What a link may be, by its odds ratio within sources.
KIND_MEANINGS: Final[dict[Kind, str]] = {
    "within-source": "within each source, the feature raises the behaviour about as much as in the whole mix",
    "mixed": "it does so within sources, too, but part of it is that both stand in the same sources",
    "composition": "within sources nothing is left: the feature stands in sources whose answers behave so anyway",
}
#: Share of the whole log odds ratio that must be left within sources.
MOSTLY_WITHIN: Final = 0.75


@dataclass(frozen=True, slots=True)
class Bars:
    """What a link must reach to be reported. `support`: votes that hold the feature, and the behaviour. `both`: votes that hold
    both. `q`: false discovery rate. `lift`: lower bound of the shrunk lift. `rate`: P(behaviour | feature)."""

    support: float = 20.0
    both: float = 5.0
    q: float = 0.01
    lift: float = 1.5
    rate: float = 0.1
    target: float = 0.1


@dataclass(frozen=True, slots=True)
class Share:
    """What one source adds: votes with the feature, and of those with the behaviour."""

    source: str
    feature: float
    both: float


@dataclass(slots=True)
class Link:
    """A feature and a behaviour. Counts are votes: what is alike counts once.

    `rate`, `base`: P(behaviour | feature), and without the feature. `lift`, `lift_low`: their shrunk ratio. `odds`: the odds
    ratio in the whole mix, `odds_within`: the Mantel-Haenszel one over sources; each with its lower 95% bound. `q`, `q_within`:
    false discovery rates of both tests. `asked`: share of the examples with both in which the prompt asks for it, None where
    nobody can say. `deficit`: counter-examples that are missing. `sources`: the largest first. `same`: weaker features of the
    same examples."""

    feature: str
    behaviour: str
    family: Family
    kind: Kind
    both: float
    with_feature: float
    with_behaviour: float
    total: float
    rows_both: int
    rows_feature: int
    rate: float
    base: float
    lift: float
    lift_low: float
    odds: float
    odds_low: float
    odds_within: float
    odds_within_low: float
    q: float
    q_within: float
    asked: float | None
    deficit: float
    sources: tuple[Share, ...]
    same: list[str] = field(default_factory=list)

    @property
    def intended(self) -> bool:
        """The feature is a request: its link is what a model should learn."""
        return self.family in INTENDED

    @property
    def strength(self) -> tuple[bool, float]:
        """Stronger links are greater: what holds within sources first, then how surely there are more than expected, in
        standard deviations, times the rate. Sureness alone would put a frequent word of many triggers before each of them, the
        rate alone every rare word."""
        expected = self.with_feature * self.base
        surely = self.lift_low * (expected + st.PRIOR) - expected
        return self.kind != "composition", self.rate * surely / math.sqrt(expected + 1.0)


@dataclass(frozen=True, slots=True)
class Found:
    """All links above the bars, the strongest first in each behaviour. `tests`: how many were made."""

    tests: int
    links: list[Link]


Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Margins:
    """Votes per feature and source, behaviour and source, source; the first line of each is of no name."""

    feature: st.Floats
    behaviour: st.Floats
    source: st.Floats
    rows: st.Floats


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Features and behaviours that stand together; `place`: of a cell's pair, `cell`: its source and votes."""

    feature: Ints
    behaviour: Ints
    both: st.Floats
    rows: Ints


def find_links(counts: pl.DataFrame, vocabulary: Vocabulary, bars: Bars) -> Found:
    """Every link above the bars. `counts`: as `attribution.counts` makes them."""
    margins = _margins(counts, vocabulary)
    features = margins.feature.sum(axis=1) >= bars.support
    behaviours = margins.behaviour.sum(axis=1) >= bars.support
    tests = 2 * int(features.sum()) * int(behaviours.sum())
    joint = counts.filter((pl.col("feature") > ANY) & (pl.col("behaviour") > ANY))
    pairs = _pairs(joint, features, behaviours, bars)
    if not tests or not len(pairs.feature):
        return Found(tests, [])
    cells = _cells(joint, pairs, len(vocabulary.sources))
    chosen, figures = _tested(pairs, cells, margins, tests, bars)
    links = [_link(at, pairs, cells, margins, figures, vocabulary, bars) for at in chosen]
    _add_asked(links, joint, vocabulary)
    # Of features of the same examples the most telling name first: a trigger, a form, a word.
    place = {name: number for number, name in enumerate(vocabulary.behaviours)}
    links.sort(key=lambda link: (place[link.behaviour], *(-float(part) for part in link.strength), FAMILIES.index(link.family)))
    return Found(tests, links)


def _margins(counts: pl.DataFrame, vocabulary: Vocabulary) -> _Margins:
    sources = len(vocabulary.sources)

    def filled(size: int, frame: pl.DataFrame, column: str, value: str = "votes") -> st.Floats:
        made = np.zeros((size + 1, sources))
        made[frame[column].to_numpy(), frame["source"].to_numpy() - 1] = frame[value].to_numpy()
        return made

    of_feature = counts.filter((pl.col("behaviour") == ANY) & (pl.col("feature") > ANY))
    of_behaviour = counts.filter((pl.col("feature") == ANY) & (pl.col("behaviour") > ANY))
    of_source = counts.filter((pl.col("feature") == ANY) & (pl.col("behaviour") == ANY))
    return _Margins(
        filled(len(vocabulary.features), of_feature, "feature") / VOTE,
        filled(len(vocabulary.behaviours), of_behaviour, "behaviour") / VOTE,
        filled(0, of_source, "feature")[0] / VOTE,
        filled(len(vocabulary.features), of_feature, "feature", "rows").sum(axis=1),
    )


def _pairs(joint: pl.DataFrame, features: NDArray[np.bool_], behaviours: NDArray[np.bool_], bars: Bars) -> _Pairs:
    summed = joint.group_by("feature", "behaviour").agg(pl.col("votes").sum(), pl.col("rows").sum())
    summed = summed.filter(pl.col("votes") >= int(bars.both * VOTE)).sort("behaviour", "feature")
    kept = features[summed["feature"].to_numpy()] & behaviours[summed["behaviour"].to_numpy()]
    summed = summed.filter(pl.Series(kept))
    return _Pairs(
        summed["feature"].to_numpy().astype(np.int64),
        summed["behaviour"].to_numpy().astype(np.int64),
        summed["votes"].to_numpy() / VOTE,
        summed["rows"].to_numpy().astype(np.int64),
    )


def _cells(joint: pl.DataFrame, pairs: _Pairs, sources: int) -> st.Floats:
    """Votes with both, per pair and source."""
    table = pl.DataFrame({"feature": pairs.feature, "behaviour": pairs.behaviour}).with_row_index("place")
    table = table.with_columns(pl.col("feature").cast(pl.UInt32), pl.col("behaviour").cast(pl.UInt32))
    inside = joint.join(table, on=["feature", "behaviour"], how="inner")
    made = np.zeros((len(pairs.feature), sources))
    made[inside["place"].to_numpy(), inside["source"].to_numpy() - 1] = inside["votes"].to_numpy() / VOTE
    return made


@dataclass(frozen=True, slots=True)
class _Figures:
    q: st.Floats
    q_within: st.Floats
    lift: st.Floats
    lift_low: st.Floats


def _tested(pairs: _Pairs, cells: st.Floats, margins: _Margins, tests: int, bars: Bars) -> tuple[list[int], _Figures]:
    """The places of the pairs above the bars, and the figures of all."""
    total = float(margins.source.sum())
    first, second = margins.feature.sum(axis=1)[pairs.feature], margins.behaviour.sum(axis=1)[pairs.behaviour]
    crude = st.over_represented(pairs.both, first, second, total)
    expected, variance = np.zeros(len(first)), np.zeros(len(first))
    for place, size in enumerate(margins.source):
        if size <= 1:
            continue
        f, b = margins.feature[pairs.feature, place], margins.behaviour[pairs.behaviour, place]
        expected += f * b / size
        variance += f * (size - f) * b * (size - b) / (size * size * (size - 1))
    within = st.more_than_expected(pairs.both, expected, variance)
    q = st.false_discovery(np.concatenate([crude, within]), tests)
    base = (np.maximum(second - pairs.both, 0.0) + st.PRIOR) / np.maximum(total - first + 2 * st.PRIOR, 1.0)
    lift, low = st.lift(pairs.both, first * base)
    figures = _Figures(q[: len(first)], q[len(first) :], lift, low)
    rate = pairs.both / np.maximum(first, 1e-9)
    sure = np.minimum(figures.q, figures.q_within) <= bars.q
    passed = sure & (low >= bars.lift) & (rate >= bars.rate)
    return [int(at) for at in np.flatnonzero(passed)], figures


def _link(
    at: int, pairs: _Pairs, cells: st.Floats, margins: _Margins, figures: _Figures, vocabulary: Vocabulary, bars: Bars
) -> Link:
    f, b = int(pairs.feature[at]), int(pairs.behaviour[at])
    both, first, second = float(pairs.both[at]), float(margins.feature[f].sum()), float(margins.behaviour[b].sum())
    total = float(margins.source.sum())
    base = max(0.0, second - both) / max(total - first, 1.0)
    one = np.array([both]), np.array([first]), np.array([second])
    odds, odds_low = (float(value[0]) for value in st.odds_ratio(*one, total))
    cell = cells[at][None, :], margins.feature[f][None, :], margins.behaviour[b][None, :], margins.source[None, :]
    within, within_low = (float(value[0]) for value in st.mantel_haenszel(*cell))
    feature = vocabulary.features[f - 1]
    return Link(
        feature=feature,
        behaviour=vocabulary.behaviours[b - 1],
        family=family_of(feature),
        kind=kind_of(odds, within, within_low, float(figures.q_within[at]), bars),
        both=both,
        with_feature=first,
        with_behaviour=second,
        total=total,
        rows_both=int(pairs.rows[at]),
        rows_feature=int(margins.rows[f]),
        rate=both / first,
        base=base,
        lift=float(figures.lift[at]),
        lift_low=float(figures.lift_low[at]),
        odds=odds,
        odds_low=odds_low,
        odds_within=within,
        odds_within_low=within_low,
        q=float(figures.q[at]),
        q_within=float(figures.q_within[at]),
        asked=None,
        deficit=st.deficit(both, first - both, max(bars.target, base)),
        sources=_shares(cells[at], margins.feature[f], vocabulary),
    )


def kind_of(odds: float, within: float, within_low: float, q_within: float, bars: Bars) -> Kind:
    """Whether a link is left within its sources."""
    if q_within > bars.q or within_low <= 1.0:
        return "composition"
    return "within-source" if np.log(within) >= MOSTLY_WITHIN * np.log(max(odds, 1.0 + 1e-9)) else "mixed"


def _shares(both: st.Floats, feature: st.Floats, vocabulary: Vocabulary) -> tuple[Share, ...]:
    order = sorted(np.flatnonzero(feature > 0), key=lambda place: (-both[place], -feature[place], place))
    return tuple(Share(vocabulary.sources[place], float(feature[place]), float(both[place])) for place in order)


def _add_asked(links: list[Link], joint: pl.DataFrame, vocabulary: Vocabulary) -> None:
    """Of a mode's links, how often it was asked for: all but the unasked of the examples with both."""
    number = {name: place for place, name in enumerate(vocabulary.behaviours, 1)}
    features = {name: place for place, name in enumerate(vocabulary.features, 1)}
    modes = [mode for mode in MODES if mode in number]
    pairs = joint.filter(
        pl.col("behaviour").is_in([number[f"{mode}{UNASKED}"] for mode in modes if f"{mode}{UNASKED}" in number])
    )
    unasked = {
        (int(feature), int(behaviour)): int(votes)
        for feature, behaviour, votes in pairs.group_by("feature", "behaviour").agg(pl.col("votes").sum()).iter_rows()
    }
    for link in links:
        if link.behaviour in modes:
            without = unasked.get((features[link.feature], number.get(f"{link.behaviour}{UNASKED}", -1)), 0) / VOTE
            link.asked = max(0.0, 1 - without / link.both) if link.both else None
        elif link.behaviour.endswith(UNASKED):
            link.asked = 0.0
