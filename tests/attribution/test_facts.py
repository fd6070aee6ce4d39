"""Facts of a part: one line an answer, every row counted once, and taken up again as they are."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from attribution.facts import KEY_COLUMNS, NAMED, Summary, add, extract, names_of, paths_of
from attribution.files import plan
from tests.attribution.made import rows, write


def summed(path: Path, folder: Path, scale: float = 1.0) -> Summary:
    folder.mkdir(exist_ok=True)
    summary = Summary()
    for part in plan([path], scale):
        add(summary, extract(part, folder))
    return summary


def test_every_row_is_counted_once_and_bad_ones_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mix.jsonl"
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}] * 2
    write(path, [*rows(5), {"prompt": "only"}, {"prompt": "p", "response": None}, {"messages": turns, "dataset": "talk"}])
    path.write_bytes(path.read_bytes() + b"not json\n")
    found = summed(path, tmp_path / "facts")
    assert (found.rows, found.examples, found.unanswered, found.bad) == (9, 7, 1, 2)
    assert [(bad.path, bad.line) for bad in found.named] == [(str(path), 6), (str(path), 9)]
    assert found.sources == {"letters": 3, "crafts": 2, "talk": 2}


def test_the_table_says_what_the_names_say(tmp_path: Path) -> None:
    found = summed(write(tmp_path / "mix.jsonl", rows(40)), tmp_path / "facts")
    table = pl.read_parquet(paths_of(0, tmp_path / "facts")[0])
    features, _, sources = names_of(0, tmp_path / "facts")
    assert table["line"].to_list() == list(range(1, 41))
    assert set(KEY_COLUMNS) <= set(table.columns)
    counted = table["features"].explode().value_counts()
    by_name = {features[number]: count for number, count in counted.iter_rows()}
    assert by_name == found.features
    assert 0 < by_name["trigger:formal_vocabulary"] == sum("Elucidate" in row["prompt"] for row in rows(40))
    assert found.behaviours["code.unasked"] == sum("class Thing" in row["response"] for row in rows(40))
    assert sources == ["letters", "crafts"]
    assert {name for name in features if " " in name and by_name[name] < 2} == set()


def test_a_part_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    path = write(tmp_path / "mix.jsonl", rows(10))
    first = summed(path, tmp_path / "facts")
    table = paths_of(0, tmp_path / "facts")[0]
    stamp = table.stat().st_mtime_ns
    assert summed(path, tmp_path / "facts") == first
    assert table.stat().st_mtime_ns == stamp
    paths_of(0, tmp_path / "facts")[1].unlink()  # cut off between the two files
    assert summed(path, tmp_path / "facts") == first


def test_many_bad_rows_are_all_counted_and_some_named(tmp_path: Path) -> None:
    found = summed(write(tmp_path / "mix.jsonl", [{"x": 1}] * (NAMED + 7)), tmp_path / "facts")
    assert (found.bad, len(found.named), found.examples) == (NAMED + 7, NAMED, 0)
