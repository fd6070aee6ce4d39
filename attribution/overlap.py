"""Links of one behaviour that say the same: features that stand in the same examples are shown once, by the strongest.

One rule: a feature is dropped only where a stronger one leaves nothing of it; it is then named beside that one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from attribution import statistics as st
from attribution.behaviours import is_mined
from attribution.counts import CountTask, Vocabulary, numbered
from attribution.duplicates import VOTE
from attribution.links import Bars, Link

#: Links of a behaviour that are compared, the strongest ones; fewer of an opening or a closing, and only of the surest.
MOST: Final = 80
MOST_MINED: Final = 20
MINED_BEHAVIOURS: Final = 40
#: Groups of sources that are told apart: the most frequent sources, and all others.
GROUPS: Final = 16
#: A feature whose examples lie in another's to this share, where that is at least this share as sure, is a case of it.
INSIDE, AS_SURE = 0.9, 0.75

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OverlapTask:
    """A part, and per behaviour the features to compare."""

    count: CountTask
    chosen: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(slots=True)
class Overlap:
    """Votes, per source group. Per behaviour `pairs`: that hold two features, and `both`: of those with the behaviour; groups x
    features x features. `does`: behaviours x groups. `every`: of each group."""

    pairs: list[Ints]
    both: list[Ints]
    does: Ints
    every: Ints


def choose(links: Sequence[Link]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Behaviour -> the features of its strongest links, in the order of the links."""
    chosen: dict[str, list[Link]] = {}
    for link in links:
        own = chosen.setdefault(link.behaviour, [])
        if len(own) < (MOST_MINED if is_mined(link.behaviour) else MOST) and not link.intended:
            own.append(link)
    mined = sorted((name for name in chosen if is_mined(name) and chosen[name]), key=lambda name: chosen[name][0].strength)
    dropped = set(mined[:-MINED_BEHAVIOURS])
    return tuple(
        (behaviour, tuple(link.feature for link in own))
        for behaviour, own in chosen.items()
        if own and behaviour not in dropped
    )


def overlap_part(task: OverlapTask) -> Overlap:
    """The overlaps in one part."""
    features = tuple(sorted({feature for _, names in task.chosen for feature in names}))
    behaviours = tuple(behaviour for behaviour, _ in task.chosen)
    vocabulary = Vocabulary(features, behaviours, task.count.vocabulary.sources)
    table = numbered(CountTask(task.count.folder, task.count.votes, vocabulary))
    has = incidence(table["feature"], len(features))
    does = incidence(table["behaviour"], len(behaviours))
    share = table["share"].to_numpy()
    group = np.minimum(table["source"].to_numpy().astype(np.int64) - 1, GROUPS - 1)
    place = {name: number for number, name in enumerate(features)}
    own = [[place[name] for name in names] for _, names in task.chosen]
    made = Overlap([], [], np.zeros((len(behaviours), GROUPS), np.int64), np.zeros(GROUPS, np.int64))
    made.pairs = [np.zeros((GROUPS, len(names), len(names)), np.int64) for names in own]
    made.both = [np.zeros_like(each) for each in made.pairs]
    for number in np.unique(group):
        _add_group(made, own, int(number), *(each[group == number] for each in (has, does, share)))
    return made


def _add_group(
    made: Overlap, own: list[list[int]], group: int, has: csr_array, does: csr_array, share: NDArray[np.int64]
) -> None:
    weighted = has.multiply(share[:, None]).tocsr()
    every = (weighted.T @ has).tocsr()
    made.every[group] = share.sum()
    made.does[:, group] = does.T @ share
    by_behaviour = does.tocsc()
    for number, columns in enumerate(own):
        rows = by_behaviour.indices[by_behaviour.indptr[number] : by_behaviour.indptr[number + 1]]
        made.pairs[number][group] = every[columns][:, columns].toarray()
        made.both[number][group] = (weighted[rows][:, columns].T @ has[rows][:, columns]).toarray()


def incidence(rows: pl.Series, width: int) -> csr_array:
    """Lists of numbers from 1 to `width` -> rows x names, 1 where a row has the name."""
    lengths = rows.list.len().to_numpy()
    flat = rows.explode().drop_nulls().to_numpy().astype(np.int64) - 1
    ends = np.concatenate([[0], np.cumsum(lengths)])
    return csr_array((np.ones(len(flat), np.int64), flat, ends), shape=(len(rows), width))


def merge(one: Overlap, other: Overlap) -> Overlap:
    """The sum; `one` is changed."""
    one.pairs = [a + b for a, b in zip(one.pairs, other.pairs, strict=True)]
    one.both = [a + b for a, b in zip(one.both, other.both, strict=True)]
    one.does = one.does + other.does
    one.every = one.every + other.every
    return one


def leading(links: Sequence[Link], chosen: Sequence[tuple[str, tuple[str, ...]]], overlap: Overlap, bars: Bars) -> list[Link]:
    """The links that say something of their own, the strongest first in each behaviour; the others are named in `same`.

    A link of which the stronger ones leave only what its sources do anyway becomes one of composition."""
    leads: list[Link] = []
    usual = overlap.does / np.maximum(overlap.every, 1)
    for place, (behaviour, names) in enumerate(chosen):
        own = {link.feature: link for link in links if link.behaviour == behaviour}
        compared = [own[name] for name in names]
        found = _Leads(compared, overlap.pairs[place] / VOTE, overlap.both[place] / VOTE, usual[place], bars)
        leads += sorted(found.find(), key=lambda link: link.strength, reverse=True)
    return leads


class _Leads:
    """The links of one behaviour. `pairs`, `both`: votes, groups x features x features. `usual`: share of the behaviour in each
    group's votes."""

    def __init__(self, links: list[Link], pairs: st.Floats, both: st.Floats, usual: st.Floats, bars: Bars) -> None:
        self._links = links
        self._pairs, self._both = pairs, both
        self._whole = pairs.sum(axis=0)
        self._usual = usual
        self._bars = bars

    def find(self) -> list[Link]:
        kept: list[int] = []
        for at, link in enumerate(self._links):
            holder = next((lead for lead in kept if self._covers(at, lead)), None)
            if holder is None:
                holder = self._explained(kept, at)
            if holder is None:
                kept = self._added(kept, at)
            else:
                self._links[holder].same.append(link.feature)
        return [self._links[at] for at in kept]

    def _added(self, kept: list[int], at: int) -> list[int]:
        """The leads with one more. A case of it that came first, because it is purer, is named beside it."""
        cases = [lead for lead in kept if self._covers(lead, at)]
        for case in cases:
            self._links[at].same += [self._links[case].feature, *self._links[case].same]
            self._links[case].same = []
        return [*(lead for lead in kept if lead not in cases), at]

    def _covers(self, case: int, whole: int) -> bool:
        """Whether nearly all examples of `case` hold `whole`, too, which is nearly as sure and holds where `case` holds."""
        one, other = self._links[case], self._links[whole]
        inside = self._whole[case, whole] >= INSIDE * one.with_feature
        return bool(inside and other.strength[0] >= one.strength[0] and other.rate >= AS_SURE * one.rate)

    def _explained(self, kept: list[int], at: int) -> int | None:
        """The lead that takes most of a link, where without all leads nothing is left of it."""
        if not kept:
            return None
        link, bars = self._links[at], self._bars
        both = np.maximum(self._both[:, at, at] - self._both[:, at, kept].sum(axis=1), 0.0)
        feature = np.maximum(self._pairs[:, at, at] - self._pairs[:, at, kept].sum(axis=1), both)
        left, usual = float(both.sum()), float((feature * self._usual).sum())
        low = self._low(left, float(feature.sum()) * link.base)
        if low < bars.lift or left < bars.both or left < bars.rate * feature.sum():
            return max(kept, key=lambda lead: float(self._both[:, at, lead].sum()))
        if link.kind != "composition" and self._low(left, usual) <= 1.0:
            link.kind = "composition"
        return None

    @staticmethod
    def _low(both: float, expected: float) -> float:
        return float(st.lift(np.array([both]), np.array([expected]))[1][0])
