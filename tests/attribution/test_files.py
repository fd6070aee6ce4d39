"""Files of every kind give the same rows, in parts or as a whole, and name their bad lines."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest
import zstandard

from attribution.files import Part, files_of, kind_of, plan, read, size_of, stem_of
from tests.attribution.made import rows, write


def packed(folder: Path, ending: str) -> Path:
    plain = write(folder / "plain.jsonl", rows(200))
    path = folder / f"mix{ending}"
    if ending.endswith(".gz"):
        path.write_bytes(gzip.compress(plain.read_bytes()))
    elif ending.endswith(".zst"):
        half = plain.stat().st_size // 2  # two frames, as appended files have
        path.write_bytes(b"".join(zstandard.compress(each) for each in (plain.read_bytes()[:half], plain.read_bytes()[half:])))
    elif ending == ".parquet":
        pl.DataFrame(rows(200)).write_parquet(path)
    else:
        path.write_bytes(plain.read_bytes())
    plain.unlink()
    return path


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e-9])
@pytest.mark.parametrize("ending", [".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_parts_hold_every_row_once_with_its_line(tmp_path: Path, ending: str, scale: float) -> None:
    parts = plan([packed(tmp_path, ending)], scale)
    found = [each for part in parts for each in read(part)]
    assert [each.row for each in found] == rows(200)
    assert [each.line for each in found] == list(range(1, 201))
    assert (len(parts) > 1) == (scale < 1)
    assert [part.number for part in parts] == list(range(len(parts)))
    assert {part.stem for part in parts} == {"mix"}


def test_a_bad_line_is_named_and_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b'{"a": 1}\n\n{"a": \xff}\n[1]\n{"a": 2}')
    found = [each for part in plan([path], 1e-9) for each in read(part)]
    assert [(each.line, each.row, each.reason[:8]) for each in found] == [
        (1, {"a": 1}, ""),
        (3, {}, "not JSON"),
        (4, {}, "not an o"),
        (5, {"a": 2}, ""),
    ]


def test_an_empty_file_has_no_part(tmp_path: Path) -> None:
    assert plan([write(tmp_path / "none.jsonl", [])]) == []


def test_a_folder_gives_its_files_of_known_kinds_once(tmp_path: Path) -> None:
    kept = [write(tmp_path / name, rows(1)) for name in ("b.jsonl", "a.ndjson")]
    (tmp_path / "notes.txt").write_text("x")
    assert files_of([tmp_path, kept[0]]) == sorted(kept)
    assert size_of(kept) == sum(path.stat().st_size for path in kept)


def test_a_given_file_must_be_there_and_of_a_known_kind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files_of([tmp_path / "gone.jsonl"])
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(OSError, match="not one of"):
        files_of([tmp_path / "notes.txt"])
    with pytest.raises(OSError, match="not one of"):
        plan([tmp_path / "notes.txt"])


def test_a_broken_parquet_file_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 this is none")
    with pytest.raises(OSError, match="Parquet") as caught:
        plan([path])
    assert caught.value.filename == str(path)
    with pytest.raises(OSError, match="Parquet"):
        list(read(Part(0, str(path), "parquet", 0, 1, 1, "x")))


def test_endings_are_read_in_any_case() -> None:
    assert (kind_of(Path("A.JSONL.GZ")), stem_of(Path("A.JSONL.GZ")), kind_of(Path("a.csv"))) == ("gz", "A", None)
