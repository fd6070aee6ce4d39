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

#: Links of a behaviour that are compared, the strongest ones; fewer of an opening or a closing, and of the surest of those only.
MOST: Final = 80
MOST_MINED: Final = 20
MINED_BEHAVIOURS: Final = 40
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
    """Per behaviour, votes that hold two features, and of those that hold the behaviour, too: features x features."""

    pairs: list[Ints]
    both: list[Ints]


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
        (behaviour, tuple(link.feature for link in own)) for behaviour, own in chosen.items() if own and behaviour not in dropped
    )


def overlap_part(task: OverlapTask) -> Overlap:
    """The overlaps in one part."""
    features = tuple(sorted({feature for _, names in task.chosen for feature in names}))
    behaviours = tuple(behaviour for behaviour, _ in task.chosen)
    vocabulary = Vocabulary(features, behaviours, task.count.vocabulary.sources)
    table = numbered(CountTask(task.count.folder, task.count.votes, vocabulary))
    has = incidence(table["feature"], len(features))
    does = incidence(table["behaviour"], len(behaviours)).tocsc()
    share = table["share"].to_numpy()
    weighted = has.multiply(share[:, None]).tocsr()
    every = (weighted.T @ has).tocsr()
    place = {name: number for number, name in enumerate(features)}
    made = Overlap([], [])
    for number, (_, names) in enumerate(task.chosen):
        own = [place[name] for name in names]
        rows = does.indices[does.indptr[number] : does.indptr[number + 1]]
        made.pairs.append(every[own][:, own].toarray())
        made.both.append((weighted[rows][:, own].T @ has[rows][:, own]).toarray())
    return made


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
    return one


def leading(links: Sequence[Link], chosen: Sequence[tuple[str, tuple[str, ...]]], overlap: Overlap, bars: Bars) -> list[Link]:
    """The links that say something of their own, the strongest first in each behaviour; the others are named in `same`."""
    leads: list[Link] = []
    for place, (behaviour, names) in enumerate(chosen):
        own = {link.feature: link for link in links if link.behaviour == behaviour}
        compared = [own[name] for name in names]
        leads += _leads(compared, overlap.pairs[place] / VOTE, overlap.both[place] / VOTE, bars)
    return leads


def _leads(links: list[Link], pairs: st.Floats, both: st.Floats, bars: Bars) -> list[Link]:
    kept: list[int] = []
    for at, link in enumerate(links):
        holder = next((lead for lead in kept if _covers(links, pairs, at, lead)), None)
        if holder is None:
            holder = _explained(links, pairs, both, kept, at, bars)
        if holder is None:
            # A case of this one that came first, because it is purer, is named beside it.
            cases = [lead for lead in kept if _covers(links, pairs, lead, at)]
            for case in cases:
                link.same += [links[case].feature, *links[case].same]
                links[case].same = []
            kept = [at if lead == cases[0] else lead for lead in kept if lead not in cases[1:]] if cases else [*kept, at]
        else:
            links[holder].same.append(link.feature)
    return [links[at] for at in kept]


def _covers(links: list[Link], pairs: st.Floats, case: int, whole: int) -> bool:
    """Whether nearly all examples of `case` hold `whole`, too, which is nearly as sure and holds where `case` holds."""
    inside = pairs[case, whole] >= INSIDE * links[case].with_feature
    as_strong = links[whole].strength[0] >= links[case].strength[0]
    return bool(inside and as_strong and links[whole].rate >= AS_SURE * links[case].rate)


def _explained(links: list[Link], pairs: st.Floats, both: st.Floats, kept: list[int], at: int, bars: Bars) -> int | None:
    """The lead that takes most of a link, where without all leads nothing is left of it."""
    if not kept:
        return None
    link = links[at]
    left_both = max(0.0, link.both - float(both[at, kept].sum()))
    left_feature = max(left_both, link.with_feature - float(pairs[at, kept].sum()))
    _, low = st.lift(np.array([left_both]), np.array([left_feature * link.base]))
    if float(low[0]) >= bars.lift and left_both >= bars.both and left_both / left_feature >= bars.rate:
        return None
    return max(kept, key=lambda lead: float(both[at, lead]))
