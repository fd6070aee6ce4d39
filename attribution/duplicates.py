"""Examples that say the same - exactly, nearly, or by their template - share one vote.

One rule: a group of duplicates counts as one example, whichever of the three ways its members are alike, and each member has
the same share of that vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise, product
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from attribution import minhash
from attribution.engine import Engine
from attribution.facts import BAND_COLUMNS, KEY_COLUMNS, SIGN_COLUMNS, paths_of

Rows = NDArray[np.int64]

#: One vote in whole units, so that sums are exact in any order: divisible by 1 to 16, and enough for 3e9 examples.
VOTE: Final = 720_720 << 12
#: Examples whose keys of one kind a task compares at once.
MOST_KEYS: Final = 8_000_000


@dataclass(frozen=True, slots=True)
class Edges:
    """Pairs of examples that are alike, by their numbers in the mix: `row` says what `head`, the first of its group, says."""

    column: str
    row: Rows
    head: Rows


@dataclass(frozen=True, slots=True)
class Votes:
    """What each example of one part counts for, in units of VOTE."""

    part: int
    share: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many examples there are, and how many are left when what is alike counts once: exactly, then nearly, too, then by
    template, too."""

    examples: int
    exact: int
    near: int
    effective: int


def find_duplicates(engine: Engine, folder: Path, counts: Sequence[int]) -> tuple[list[Votes], Sizes]:
    """The votes of all parts. `counts`: examples of each part."""
    total = sum(counts)
    offsets = [0, *accumulate(counts)]
    buckets = max(1, -(-total // MOST_KEYS))
    work = list(product(KEY_COLUMNS, range(buckets)))
    found = engine.map(partial(edges_of, folder=folder, offsets=tuple(offsets), buckets=buckets), work)
    edges = list(found)
    exact = [each for each in edges if each.column == "exact"]
    near = [each for each in edges if each.column != "template"]
    members, groups = _groups(edges)
    sizes = Sizes(total, _left(total, exact), _left(total, near), _left(total, edges))
    return _votes(members, groups, offsets), sizes


def edges_of(work: tuple[str, int], folder: Path, offsets: tuple[int, ...], buckets: int) -> Edges:
    """The pairs that share a key of one column. `work`: the column, and which of the `buckets` of its keys."""
    column, bucket = work
    extra = SIGN_COLUMNS if column in BAND_COLUMNS else ()
    pieces = []
    for part, offset in enumerate(offsets[:-1]):
        piece = pl.scan_parquet(paths_of(part, folder)[0], glob=False).select(column, *extra).with_row_index("row", offset)
        piece = piece.with_columns(pl.col("row").cast(pl.Int64))
        pieces.append(piece.filter(pl.col(column) % buckets == bucket).collect() if buckets > 1 else piece.collect())
    frame = pl.concat(pieces)
    frame = frame.with_columns(pl.col("row").min().over(column).alias("head")).filter(pl.col("row") != pl.col("head"))
    if extra:
        frame = _verified(frame, pl.concat(pieces))
    return Edges(column, frame["row"].to_numpy(), frame["head"].to_numpy())


def _verified(pairs: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The pairs whose whole signatures are alike: a shared band alone is a chance."""
    heads = pairs.select("head").join(rows, left_on="head", right_on="row", how="left", maintain_order="left")
    one = np.ascontiguousarray(pairs.select(SIGN_COLUMNS).to_numpy().astype(np.uint64, copy=False))
    other = np.ascontiguousarray(heads.select(SIGN_COLUMNS).to_numpy().astype(np.uint64, copy=False))
    if not len(one):
        return pairs
    return pairs.filter(pl.Series(minhash.similarity(one, other) >= minhash.SIMILAR))


def _groups(edges: Sequence[Edges]) -> tuple[Rows, NDArray[np.int32]]:
    """The examples that have duplicates, in order, and the group of each."""
    rows = np.concatenate([each.row for each in edges]) if edges else np.empty(0, np.int64)
    heads = np.concatenate([each.head for each in edges]) if edges else np.empty(0, np.int64)
    members, places = np.unique(np.concatenate([rows, heads]), return_inverse=True)
    one, other = places[: len(rows)], places[len(rows) :]
    graph = coo_array((np.ones(len(rows), np.int8), (one, other)), shape=(len(members), len(members)))
    _, groups = connected_components(graph, directed=False)
    return members, groups


def _left(total: int, edges: Sequence[Edges]) -> int:
    members, groups = _groups(edges)
    return total - len(members) + (int(groups.max()) + 1 if len(groups) else 0)


def _votes(members: Rows, groups: NDArray[np.int32], offsets: Sequence[int]) -> list[Votes]:
    shares = (VOTE // np.bincount(groups))[groups] if len(groups) else np.empty(0, np.int64)
    borders = np.searchsorted(members, offsets)
    votes = []
    for part, (offset, following) in enumerate(pairwise(offsets)):
        share = np.full(following - offset, VOTE, dtype=np.int64)
        inside = slice(borders[part], borders[part + 1])
        share[members[inside] - offset] = shares[inside]
        votes.append(Votes(part, share))
    return votes
