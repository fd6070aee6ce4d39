"""One part of a mix -> its facts: a table with one line an example, and how often each name stands in it.

One rule: facts hold keys, places and names of features and behaviours, never a text; a part's facts depend on its rows alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import polars as pl

from attribution import minhash
from attribution.behaviours import behaviours_of, make_suite
from attribution.features import features_of
from attribution.files import Part, read
from attribution.rows import Example, id_of, read_examples, source_of
from attribution.text import key_of, skeleton
from detectors.rows import BadRow
from detectors.suite import Suite

#: Bad rows of a part that are named; all are counted.
NAMED: Final = 200
#: A start or an end of several words that stands fewer times in a part is left out of it.
LEAST: Final = 2

BAND_COLUMNS: Final = tuple(f"band{number}" for number in range(minhash.BANDS))
SIGN_COLUMNS: Final = tuple(f"sign{number}" for number in range(minhash.HASHES // 8))
KEY_COLUMNS: Final = ("exact", "template", *BAND_COLUMNS)


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that could not be read."""

    path: str
    line: int
    reason: str


@dataclass(slots=True)
class Summary:
    """What one part, or several together, hold. `rows`: read; `examples`: answers in them; `unanswered`: rows without one.

    `features`, `behaviours`: name -> examples with it. `sources`: name -> examples. `named`: some of the bad rows."""

    rows: int = 0
    examples: int = 0
    bad: int = 0
    unanswered: int = 0
    named: list[Bad] = field(default_factory=list)
    sources: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    behaviours: Counter[str] = field(default_factory=Counter)


def add(one: Summary, other: Summary) -> Summary:
    """Both together; `one` is changed."""
    one.rows += other.rows
    one.examples += other.examples
    one.bad += other.bad
    one.unanswered += other.unanswered
    one.named += other.named
    one.sources.update(other.sources)
    one.features.update(other.features)
    one.behaviours.update(other.behaviours)
    return one


class _Names:
    """Names numbered in the order of their first use, and the numbers of each example."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.rows: list[list[int]] = []

    def add(self, names: set[str]) -> None:
        numbers = self.numbers
        self.rows.append([numbers.setdefault(name, len(numbers)) for name in sorted(names)])

    def finish(self) -> tuple[list[list[int]], list[str], Counter[str]]:
        """The numbers of each example, the names, and their counts, without what stands too seldom."""
        lengths = [len(row) for row in self.rows]
        flat = np.fromiter((number for row in self.rows for number in row), dtype=np.int64, count=sum(lengths))
        counts = np.bincount(flat, minlength=len(self.numbers))
        names = list(self.numbers)
        kept = np.array([count >= LEAST or not _is_edge(name) for name, count in zip(names, counts, strict=True)], dtype=bool)
        new = (np.cumsum(kept) - 1).tolist()
        keep = kept.tolist()
        rows = [[new[number] for number in row if keep[number]] for row in self.rows]
        found = {name: int(count) for name, count, keeps in zip(names, counts, keep, strict=True) if keeps}
        return rows, list(found), Counter(found)


def _is_edge(name: str) -> bool:
    """Whether a name is one of the many starts and ends, of which most stand only once."""
    return " " in name


@lru_cache(maxsize=1)
def warm_suite() -> Suite:
    """The detectors of this process."""
    return make_suite()


def examples_of(part: Part, source_field: str = "") -> Iterator[tuple[int, str, str, Example] | Bad | None]:
    """(line, id, source, example) of each answer; Bad for a row that cannot be read, None for one without an answer."""
    for each in read(part):
        try:
            if each.reason:
                raise BadRow(each.reason)
            examples = read_examples(each.row)
        except BadRow as error:
            yield Bad(part.path, each.line, str(error))
            continue
        if not examples:
            yield None
            continue
        row_id = id_of(each.row, f"{part.stem}-{each.line}")
        source = source_of(each.row, part.stem, source_field)
        for example in examples:
            yield each.line, row_id, source, example


def extract(part: Part, folder: Path, source_field: str = "") -> Summary:
    """Write the facts of a part into `folder`, unless they are there, and sum them up. Raises OSError."""
    table, notes = paths_of(part.number, folder)
    if table.exists() and notes.exists():
        return _read_notes(notes)
    summary, frame, names = _scan(part, source_field)
    _write(frame, table)
    doc = {name: getattr(summary, name) for name in Summary.__slots__} | {"names": names}
    partial = notes.with_suffix(".tmp")
    partial.write_bytes(orjson.dumps(doc))
    partial.replace(notes)
    return summary


def paths_of(number: int, folder: Path) -> tuple[Path, Path]:
    """The table of a part, and its notes, which are written last."""
    return folder / f"part-{number:06}.parquet", folder / f"part-{number:06}.json"


def names_of(number: int, folder: Path) -> tuple[list[str], list[str], list[str]]:
    """What the numbers in a part's table stand for: features, behaviours, sources."""
    doc = orjson.loads(paths_of(number, folder)[1].read_bytes())["names"]
    return doc["features"], doc["behaviours"], doc["sources"]


def _write(frame: pl.DataFrame, path: Path) -> None:
    partial = path.with_suffix(".tmp-parquet")
    frame.write_parquet(partial, compression="zstd", compression_level=1)
    partial.replace(path)


def _read_notes(path: Path) -> Summary:
    doc = orjson.loads(path.read_bytes())
    del doc["names"]
    named = [Bad(**bad) for bad in doc.pop("named")]
    sources, features, behaviours = (Counter[str](doc.pop(name)) for name in ("sources", "features", "behaviours"))
    return Summary(**doc, named=named, sources=sources, features=features, behaviours=behaviours)


def _scan(part: Part, source_field: str) -> tuple[Summary, pl.DataFrame, dict[str, list[str]]]:
    summary = Summary()
    features, behaviours = _Names(), _Names()
    columns: dict[str, list[Any]] = {name: [] for name in ("line", "turn", "source", "exact", "template")}
    sources: dict[str, int] = {}
    texts: list[str] = []
    known: dict[int, tuple[set[str], set[str]]] = {}
    last_line = 0
    for found in examples_of(part, source_field):
        if found is None or isinstance(found, Bad):
            summary.rows += 1
            _note(summary, found)
            continue
        line, _, source, example = found
        summary.rows += line != last_line
        last_line = line
        prompt, answer = example.prompt, example.reply.text
        said = [turn.text for turn in example.conversation.turns]
        exact = key_of(*said, answer, *(f"{call.name} {call.arguments}" for call in example.reply.tool_calls))
        columns["line"].append(line)
        columns["turn"].append(example.turn)
        columns["source"].append(sources.setdefault(source, len(sources)))
        columns["exact"].append(exact)
        columns["template"].append(key_of(skeleton(prompt)))
        texts.append(f"{prompt}\n{answer}")
        if exact not in known:  # a duplicate is judged once
            known[exact] = _judge(example)
        features.add(known[exact][0])
        behaviours.add(known[exact][1])
        summary.sources[source] += 1
    summary.examples = len(texts)
    feature_rows, feature_names, summary.features = features.finish()
    behaviour_rows, behaviour_names, summary.behaviours = behaviours.finish()
    frame = _frame(columns, texts, feature_rows, behaviour_rows)
    return summary, frame, {"features": feature_names, "behaviours": behaviour_names, "sources": list(sources)}


def _note(summary: Summary, found: Bad | None) -> None:
    if found is None:
        summary.unanswered += 1
        return
    summary.bad += 1
    if len(summary.named) < NAMED:
        summary.named.append(found)


def _judge(example: Example) -> tuple[set[str], set[str]]:
    suite = warm_suite()
    scores = suite.score_prompt(example.conversation)
    return features_of(example, scores), behaviours_of(suite, example, scores)


def _frame(
    columns: dict[str, list[Any]], texts: list[str], features: list[list[int]], behaviours: list[list[int]]
) -> pl.DataFrame:
    signs = minhash.signatures(texts)
    keys, short = minhash.bands(signs), minhash.shorten(signs)
    return pl.DataFrame(
        [
            pl.Series("line", columns["line"], pl.UInt32),
            pl.Series("turn", columns["turn"], pl.UInt8),
            pl.Series("source", columns["source"], pl.UInt16),
            pl.Series("exact", columns["exact"], pl.UInt64),
            pl.Series("template", columns["template"], pl.UInt64),
            *(pl.Series(name, np.ascontiguousarray(keys[:, number])) for number, name in enumerate(BAND_COLUMNS)),
            *(pl.Series(name, np.ascontiguousarray(short[:, number])) for number, name in enumerate(SIGN_COLUMNS)),
            pl.Series("features", features, pl.List(pl.UInt32)),
            pl.Series("behaviours", behaviours, pl.List(pl.UInt32)),
        ]
    )
