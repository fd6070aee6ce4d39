"""Partial counts of features, behaviours and sources: made part by part, merged by adding.

One rule: counts are whole numbers, so any order of merging gives the same sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from attribution.duplicates import Votes
from attribution.facts import names_of, paths_of

#: The number of what every example has: its counts are the margins.
ANY: Final = 0
KEYS: Final = ("feature", "behaviour", "source")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The chosen names; a name's number is its place, from 1 on."""

    features: tuple[str, ...]
    behaviours: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CountTask:
    """One part, its votes, and the names to count."""

    folder: Path
    votes: Votes
    vocabulary: Vocabulary


def count_part(task: CountTask) -> pl.DataFrame:
    """feature, behaviour, source -> `votes` in units of VOTE and `rows`; ANY stands for all features or all behaviours."""
    table = numbered(task)
    return count_table(table)


def count_table(table: pl.DataFrame) -> pl.DataFrame:
    """The same of a table with lists of numbers: feature, behaviour, and source, share."""
    every = pl.lit([ANY], dtype=pl.List(pl.UInt32))
    with_any = table.with_columns(
        pl.concat_list(every, "feature").alias("feature"), pl.concat_list(every, "behaviour").alias("behaviour")
    )
    # First what shares its behaviours: most examples have few, and their features are many.
    exploded = with_any.explode("behaviour").explode("feature")
    return _summed(exploded.with_columns(pl.col("share").alias("votes"), pl.lit(1, pl.Int64).alias("rows")))


def merge(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    return _summed(pl.concat([one, other]))


def _summed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.group_by(KEYS).agg(pl.col("votes").sum(), pl.col("rows").sum())


def numbered(task: CountTask) -> pl.DataFrame:
    """The facts of a part with the numbers of the vocabulary: lists `feature` and `behaviour`, and `source`, `share`, `line`,
    `turn`."""
    vocabulary, part = task.vocabulary, task.votes.part
    features, behaviours, sources = names_of(part, task.folder)
    frame = pl.read_parquet(
        paths_of(part, task.folder)[0], columns=["line", "turn", "source", "features", "behaviours"], glob=False
    ).with_row_index("row")
    lists = [
        _renumbered(frame, "features", "feature", _places(features, vocabulary.features)),
        _renumbered(frame, "behaviours", "behaviour", _places(behaviours, vocabulary.behaviours)),
    ]
    other = len(vocabulary.sources)  # the last one stands for all that are not named
    source = {name: number for number, name in enumerate(vocabulary.sources, 1)}
    places = np.array([source.get(name, other) for name in sources] or [0], dtype=np.uint32)
    return frame.select(
        pl.Series("source", places[frame["source"].to_numpy()]),
        pl.Series("share", task.votes.share),
        *lists,
        "line",
        "turn",
    )


def _places(names: Sequence[str], chosen: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """Local number -> number in the vocabulary, 0 where it is not in it."""
    number: Mapping[str, int] = {name: place for place, name in enumerate(chosen, 1)}
    return np.array([number.get(name, 0) for name in names] or [0], dtype=np.uint32)


def _renumbered(frame: pl.DataFrame, column: str, new: str, places: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> pl.Series:
    flat = frame.select("row", column).explode(column).drop_nulls()
    numbers = places[flat[column].to_numpy()]
    kept = pl.DataFrame({"row": flat["row"], new: numbers}).filter(pl.col(new) > 0)
    lists = kept.group_by("row").agg(pl.col(new).sort())
    joined = frame.select("row").join(lists, on="row", how="left", maintain_order="left")
    return joined[new].fill_null([])
