"""Reads the exchange files: checks their digests, drops markers that no model may see, and keys prompts for splitting.

One rule: a row is only ever seen through `Row`, so no marker, tool offer or file-specific scaffold reaches a model.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.training.digests import SHA256

_OFFER = ("[tools offered", "[capabilities and tools")
_OFFER_END = re.compile(r"\](?=\s*\n)|\]\s*\Z")
_TURN = re.compile(r"(?:\A|\n\n?)(Human|Assistant|Previous assistant|Previous user|User):[ \t]*")
_SPACE = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Row:
    """One exchange. `turns`: the user's turns, oldest first. `harm`: None where the source does not say."""

    id: str
    source: str
    licence: str
    licence_class: str
    turns: tuple[str, ...]
    response: str
    behaviour: str
    appropriate: bool | None
    lang: str
    origin: str
    harm: bool | None
    kind: str

    @property
    def prompt(self) -> str:
        return self.turns[-1] if self.turns else ""


class DigestError(Exception):
    """An input file is not the one the recipe was made for."""


def load(folder: Path, names: tuple[str, ...]) -> dict[str, list[Row]]:
    """Rows by source, of the named files. Raises OSError, DigestError."""
    rows: dict[str, list[Row]] = {}
    for name in names:
        data = (folder / f"{name}.jsonl").read_bytes()
        if not hashlib.sha256(data).hexdigest().startswith(SHA256[name]):
            raise DigestError(f"{name}.jsonl: sha256 differs from the committed table")
        for line in data.splitlines():
            if line.strip():
                row = read_row(json.loads(line))
                rows.setdefault(row.source, []).append(row)
    return rows


def read_row(raw: Mapping[str, Any]) -> Row:
    """A Row of one line of a file."""
    return Row(
        id=raw["id"],
        source=raw.get("source") or "",
        licence=raw.get("license") or "",
        licence_class=raw.get("license_class") or "",
        turns=user_turns(raw.get("prompt") or ""),
        response=raw.get("response") or "",
        behaviour=raw.get("behaviour") or "unknown",
        appropriate=raw.get("appropriate"),
        lang=raw.get("lang") or "",
        origin=raw.get("label_origin") or "",
        harm=raw.get("prompt_harm"),
        kind=raw.get("prompt_type") or "",
    )


def user_turns(prompt: str) -> tuple[str, ...]:
    """What the user wrote, turn by turn: tool offers and role markers parsed away."""
    text = prompt.strip()
    if text.lower().startswith(_OFFER):
        end = _OFFER_END.search(text)
        text = text[end.end() :] if end else ""
    if text.startswith("toolformer"):
        text = text.rsplit("\n", 1)[-1]
    parts = _TURN.split(text)
    turns = [parts[0].strip()] if parts[0].strip() else []
    for role, said in zip(parts[1::2], parts[2::2], strict=True):
        if role in ("Human", "User", "Previous user") and said.strip():
            turns.append(said.strip())
    return tuple(turns)


def prompt_key(text: str) -> str:
    """Equal for prompts that differ only in case, spacing and punctuation; splits are made by it."""
    return _SPACE.sub("", unicodedata.normalize("NFKC", text).lower())[:400]


def distinct(rows: list[Row]) -> Iterator[Row]:
    """The first row of each prompt."""
    seen: set[str] = set()
    for row in rows:
        key = prompt_key(row.prompt)
        if key and key not in seen:
            seen.add(key)
            yield row
