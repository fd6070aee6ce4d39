"""Files of a mix -> parts of about equal work -> their rows, streamed: JSONL plain, gzipped or zstandard, and Parquet.

One rule: a row that cannot be read is yielded as a reason with its line, and never stops the others.
"""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, cast

import orjson
import polars as pl
import zstandard

Kind = Literal["jsonl", "gz", "zst", "parquet"]
#: Ending -> kind, the longest first.
ENDINGS: Final[dict[str, Kind]] = {
    ".jsonl.gz": "gz", ".json.gz": "gz", ".jsonl.zst": "zst", ".json.zst": "zst",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
}  # fmt: skip
#: Bytes of plain JSONL, bytes of unpacked JSONL, and rows of Parquet in one part. A packed file is unpacked up to each of its
#: parts again, so those are larger.
PLAIN_BYTES: Final = 16 << 20
PACKED_BYTES: Final = 64 << 20
PARQUET_ROWS: Final = 16_384
_READ: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of one file. `start`, `end`: bytes of plain JSONL, else lines or rows, counted from 0. `line`: of its first
    row, from 1. `stem`: the file's name without its endings."""

    number: int
    path: str
    kind: Kind
    start: int
    end: int
    line: int
    stem: str


@dataclass(frozen=True, slots=True)
class Read:
    """One row, or the `reason` why there is none. `line`: in its file, from 1."""

    line: int
    row: dict[str, Any]
    reason: str = ""


def kind_of(path: Path) -> Kind | None:
    return next((kind for ending, kind in ENDINGS.items() if path.name.lower().endswith(ending)), None)


def stem_of(path: Path) -> str:
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), "")
    return path.name[: len(path.name) - len(ending)]


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The given files, and the files of a known kind in the given folders, each once, in order. Raises OSError for a missing
    one and for a given file of no known kind."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found.update(dict.fromkeys(each for each in sorted(path.iterdir()) if each.is_file() and kind_of(each)))
            continue
        path.stat()
        if kind_of(path) is None:
            raise OSError(22, f"not one of {', '.join(ENDINGS)}", str(path))
        found[path] = None
    return list(found)


def plan(paths: Iterable[Path], scale: float = 1.0) -> list[Part]:
    """The parts of the files, in order. `scale`: of their size. Raises OSError."""
    parts: list[Part] = []
    for path in paths:
        kind = kind_of(path)
        if kind is None:
            raise OSError(22, f"not one of {', '.join(ENDINGS)}", str(path))
        for start, end, line in _stretches(path, kind, scale):
            parts.append(Part(len(parts), str(path), kind, start, end, line, stem_of(path)))
    return parts


def _stretches(path: Path, kind: Kind, scale: float) -> Iterator[tuple[int, int, int]]:
    if kind == "jsonl":
        yield from _plain_stretches(path, max(1, int(PLAIN_BYTES * scale)))
    elif kind == "parquet":
        step = max(1, int(PARQUET_ROWS * scale))
        rows = cast("int", _collected(_parquet(path).select(pl.len()), path).item())
        for start in range(0, rows, step):
            yield start, min(start + step, rows), start + 1
    else:
        yield from _packed_stretches(path, kind, max(1, int(PACKED_BYTES * scale)))


def _plain_stretches(path: Path, size: int) -> Iterator[tuple[int, int, int]]:
    """Byte ranges that end where lines end."""
    end_of_file = path.stat().st_size
    start, line = 0, 1
    with path.open("rb") as file:
        while start < end_of_file:
            file.seek(min(start + size, end_of_file) - 1)
            file.readline()
            end = file.tell()
            yield start, end, line
            file.seek(start)
            left = end - start
            while left:
                piece = file.read(min(_READ, left))
                line += piece.count(b"\n")
                left -= len(piece)
            start = end


def _packed_stretches(path: Path, kind: Kind, size: int) -> Iterator[tuple[int, int, int]]:
    start = count = 0
    taken = 0
    with open_packed(path, kind) as lines:
        for count, line in enumerate(lines, 1):
            taken += len(line)
            if taken >= size:
                yield start, count, start + 1
                start, taken = count, 0
    if count > start:
        yield start, count, start + 1


def open_packed(path: Path, kind: Kind) -> BinaryIO:
    """The unpacked lines of a packed file. Raises OSError."""
    if kind == "gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    raw = path.open("rb")
    reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=True)
    return cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", reader), _READ))


def read(part: Part) -> Iterator[Read]:
    """The rows of a part, in order, blank lines left out. Raises OSError where the file itself cannot be read."""
    if part.kind == "parquet":
        yield from _parquet_rows(part)
        return
    for number, line in _lines(part):
        if line.strip():
            yield _parse(number, line)


def _lines(part: Part) -> Iterator[tuple[int, bytes]]:
    if part.kind != "jsonl":
        with open_packed(Path(part.path), part.kind) as packed:
            yield from enumerate(islice(packed, part.start, part.end), part.line)
        return
    with open(part.path, "rb") as file:
        file.seek(part.start)
        left = part.end - part.start
        for number, line in enumerate(file, part.line):
            if left <= 0:
                break
            left -= len(line)
            yield number, line


def _parse(number: int, line: bytes) -> Read:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Read(number, {}, f"not JSON: {error}")
    return Read(number, row) if isinstance(row, dict) else Read(number, {}, "not an object")


def _parquet(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False)


def _collected(frame: pl.LazyFrame, path: Path) -> pl.DataFrame:
    try:
        return frame.collect()
    except pl.exceptions.PolarsError as error:
        raise OSError(22, f"not readable as Parquet: {error}", str(path)) from error


def _parquet_rows(part: Part) -> Iterator[Read]:
    path = Path(part.path)
    frame = _collected(_parquet(path).slice(part.start, part.end - part.start), path)
    for number, row in enumerate(frame.iter_rows(named=True), part.line):
        yield Read(number, row)


def size_of(paths: Iterable[Path]) -> int:
    """Bytes of all files."""
    return sum(os.stat(path).st_size for path in paths)
