"""Labelled exchanges, for `chunkguard eval` and the training: the lines of JSONL files, and what a line says of its answer.

One rule: a line that cannot be read is named with file and number, and never stops the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from core.types import MODES
from detectors.markers import unfold

#: Behaviours of a plain answer and of one that nobody read.
NONE: Final = "none"
UNKNOWN: Final = "unknown"
BEHAVIOURS: Final = (*MODES, NONE, UNKNOWN)
#: Fields that say something of a row, not of its request. The others pass: `tools` or `response_format` say what was asked.
_OWN_FIELDS: Final = frozenset({"id", "source", "prompt", "response", "behaviour", "appropriate", "lang", "model", "note"})


class BadRow(ValueError):
    """Why a line is no labelled exchange."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file, not read yet. `file`: the name without its ending. `path`: as it was given. `number`: from 1."""

    file: str
    path: str
    number: int
    data: bytes

    @property
    def place(self) -> str:
        return f"{self.path}:{self.number}"


@dataclass(frozen=True, slots=True)
class Label:
    """What a row says of its answer. `appropriate`: False = mis-routed, True = warranted, None = not said.

    `lang`: empty where not said. `answered`: it has a response; without one it is a prompt only. `source`: the file's
    name, with the row's own source behind it where that is another."""

    id: str
    source: str
    lang: str
    behaviour: str
    appropriate: bool | None
    answered: bool

    @property
    def usable(self) -> bool:
        return self.answered and self.behaviour != UNKNOWN


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The given files, and the *.jsonl files of the given folders, each once, in order. Raises OSError for a missing one."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found.update(dict.fromkeys(sorted(path.glob("*.jsonl"))))
        else:
            path.stat()
            found[path] = None
    return list(found)


def lines_of(path: Path) -> Iterator[Line]:
    """The lines of a file, blank ones left out."""
    with path.open("rb") as lines:
        for number, data in enumerate(lines, 1):
            if data.strip():
                yield Line(path.stem, str(path), number, data)


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_row(line: Line) -> tuple[Label, dict[str, Any]]:
    """The label of a line and the whole row. Raises BadRow."""
    row = parse(line)
    if "response" not in row:
        raise BadRow("no 'response' (null where there is only a prompt)")
    return label_of(line, row), row


def parse(line: Line) -> dict[str, Any]:
    """The object on a line. Raises BadRow."""
    try:
        row = orjson.loads(line.data)
    except orjson.JSONDecodeError as error:
        raise BadRow(f"not JSON: {error}") from error
    if not isinstance(row, dict):
        raise BadRow("not an object")
    return row


def label_of(line: Line, row: dict[str, Any]) -> Label:
    """What a row says of its answer. Raises BadRow."""
    behaviour, appropriate = row.get("behaviour"), row.get("appropriate")
    if behaviour not in BEHAVIOURS:
        raise BadRow(f"'behaviour' must be one of {', '.join(BEHAVIOURS)}")
    if appropriate is not None and not isinstance(appropriate, bool):
        raise BadRow("'appropriate' must be true, false or null")
    return Label(
        id=_text(row, "id") or f"{line.file}-{line.number}",
        source=_source(line, _text(row, "source")),
        lang=_text(row, "lang"),
        behaviour=behaviour,
        appropriate=appropriate,
        answered=row["response"] is not None,
    )


def exchange_of(row: dict[str, Any]) -> dict[str, Any]:
    """A row as `proxy.check` reads exchanges. Turns and tools written into a `prompt` are parsed; `messages` are taken as
    they are. Raises BadRow."""
    doc = {name: value for name, value in row.items() if name not in _OWN_FIELDS and value is not None}
    doc["response"] = row["response"]
    if "messages" in doc:
        return doc
    prompt = row.get("prompt")
    if not isinstance(prompt, str):
        raise BadRow("give 'messages' (an array) or 'prompt' (a string)")
    try:
        unfolded = unfold(prompt)
    except ValueError as error:
        raise BadRow(f"tools offered in the prompt cannot be read: {error}") from error
    if unfolded.tools:
        doc.setdefault("tools", list(unfolded.tools))
    return {**doc, "messages": list(unfolded.messages)}


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise BadRow(f"'{name}' must be a string")
    return "" if value is None else str(value)


def _source(line: Line, source: str) -> str:
    return f"{line.file}/{source}" if source and source != line.file else line.file
