"""Counts: what a plain loop counts, in any order of merging."""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random

import polars as pl

from attribution.counts import ANY, KEYS, count_table, merge


def table(seed: int, size: int = 60) -> pl.DataFrame:
    rng = Random(seed)
    return pl.DataFrame(
        {
            "source": [rng.randint(1, 3) for _ in range(size)],
            "share": [rng.randint(1, 10) for _ in range(size)],
            "feature": [sorted(rng.sample(range(1, 9), rng.randint(0, 4))) for _ in range(size)],
            "behaviour": [sorted(rng.sample(range(1, 5), rng.randint(0, 2))) for _ in range(size)],
        },
        schema={
            "source": pl.UInt32,
            "share": pl.Int64,
            "feature": pl.List(pl.UInt32),
            "behaviour": pl.List(pl.UInt32),
        },
    )


def counted(frame: pl.DataFrame) -> dict[tuple[int, ...], tuple[int, int]]:
    return {tuple(row[:3]): row[3:] for row in frame.select(*KEYS, "votes", "rows").iter_rows()}


def by_hand(frame: pl.DataFrame) -> dict[tuple[int, ...], tuple[int, int]]:
    votes: Counter[tuple[int, ...]] = Counter()
    rows: Counter[tuple[int, ...]] = Counter()
    for row in frame.iter_rows(named=True):
        for feature, behaviour in product([ANY, *row["feature"]], [ANY, *row["behaviour"]]):
            votes[feature, behaviour, row["source"]] += row["share"]
            rows[feature, behaviour, row["source"]] += 1
    return {key: (votes[key], rows[key]) for key in votes}


def test_counts_are_those_of_a_plain_loop() -> None:
    assert counted(count_table(table(1))) == by_hand(table(1))


def test_merging_is_adding_in_any_order() -> None:
    one, two, three = (count_table(table(seed)) for seed in (1, 2, 3))
    whole = by_hand(pl.concat([table(1), table(2), table(3)]))
    assert counted(merge(merge(one, two), three)) == whole
    assert counted(merge(three, merge(two, one))) == whole
