"""One cause, one line: what a stronger link explains is named beside it, what it leaves to the sources is composition."""

from __future__ import annotations

from random import Random

import polars as pl
import pytest

from attribution import overlap
from attribution.counts import Vocabulary, count_table
from attribution.duplicates import VOTE
from attribution.links import Bars, Link, find_links
from attribution.overlap import GROUPS, Overlap, choose, incidence, leading, merge

FEATURES = ("asks:code", "ends:the old way", "form:short", "word:old", "word:second", "word:way")
ENDS, SHORT, OLD, SECOND, WAY = 2, 3, 4, 5, 6
VOCABULARY = Vocabulary(FEATURES, ("code",), ("a", "b"))


def table(size: int = 5_000) -> pl.DataFrame:
    """`old` and `way` stand only in the trigger; `short` in it and in half of source a, which behaves so anyway."""
    rng = Random(7)
    rows = []
    for _ in range(size):
        source = rng.randint(1, 2)
        code, features = source == 1 and rng.random() < 0.4, set[int]()
        if source == 1 and rng.random() < 0.5:
            features.add(SHORT)
        if source == 2 and rng.random() < 0.06:
            features |= {ENDS, SHORT, OLD, WAY}
            code = rng.random() < 0.9
        elif source == 2 and rng.random() < 0.06:
            features |= {SECOND}
            code = rng.random() < 0.7
        rows.append((source, VOTE, sorted(features), [1] if code else []))
    schema = {"source": pl.UInt32, "share": pl.Int64, "feature": pl.List(pl.UInt32), "behaviour": pl.List(pl.UInt32)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def overlap_of(
    frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, chosen: tuple[tuple[str, tuple[str, ...]], ...]
) -> Overlap:
    """The overlap of a table, as if it were a part."""
    features = tuple(sorted({name for _, names in chosen for name in names}))
    new = {FEATURES.index(name) + 1: place for place, name in enumerate(features, 1)}
    lists = [[new[number] for number in row if number in new] for row in frame["feature"].to_list()]
    part = frame.with_columns(pl.Series("feature", lists, pl.List(pl.UInt32)))
    monkeypatch.setattr(overlap, "numbered", lambda _: part)
    task: object = type("Task", (), {"count": type("Count", (), {"vocabulary": VOCABULARY, "folder": None, "votes": None})})
    setattr(task, "chosen", chosen)  # noqa: B010 - a stand-in for a task whose part is this table
    return overlap.overlap_part(task)  # type: ignore[arg-type]


def leads(monkeypatch: pytest.MonkeyPatch, parts: int = 1) -> dict[str, Link]:
    frame = table()
    links = find_links(count_table(frame), VOCABULARY, Bars()).links
    chosen = choose(links)
    pieces = [overlap_of(frame[place::parts], monkeypatch, chosen) for place in range(parts)]
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = merge(whole, piece)
    return {link.feature: link for link in leading(links, chosen, whole, Bars())}


def test_words_of_one_trigger_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    found = leads(monkeypatch)
    assert found.keys() == {"word:old", "word:second"} | ({"form:short"} & found.keys())
    assert set(found["word:old"].same) == {"ends:the old way", "word:way"}
    assert found["word:second"].same == []


def test_what_a_trigger_leaves_to_the_sources_is_composition(monkeypatch: pytest.MonkeyPatch) -> None:
    found = leads(monkeypatch)
    assert "form:short" not in found or found["form:short"].kind == "composition"


def test_parts_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert leads(monkeypatch, 3) == leads(monkeypatch)


def test_requests_are_compared_with_nothing() -> None:
    links = find_links(count_table(table()), VOCABULARY, Bars()).links
    links[0].family = "asks"
    assert links[0].feature not in choose(links)[0][1]
    assert choose([]) == ()


def test_incidence_holds_every_pair_once() -> None:
    made = incidence(pl.Series([[1, 3], [], [2]], dtype=pl.List(pl.UInt32)), 3)
    assert made.toarray().tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert GROUPS > 1
