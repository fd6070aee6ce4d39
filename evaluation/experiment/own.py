"""Prompts of one's own: lines of JSONL, each a prompt with what it is for.

One rule: every bad line is named with its number, all at once, before anything is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, get_args

import orjson

from core.types import Mode
from evaluation.experiment.items import PARTS, Item, Part
from proxy.check import read_exchange
from proxy.errors import ConfigError, InvalidRequest, Problem

_FIELDS: Final = frozenset({"id", "kind", "mode", "prompt", "messages", "tools", "expect"})
_MODES: Final[tuple[Mode, ...]] = get_args(Mode)
#: Parts that say by themselves whose behaviour they are about; the first three of the others must say it.
_OWN_MODE: Final[Mapping[Part, Mode | None]] = {
    "ordinary": None, "harm": "refusal", "false_premise": "rebuttal", "tools": "tool_call",
}  # fmt: skip


def read_items(file: Path, seed: int, *, modes: Sequence[Mode] = _MODES) -> list[Item]:
    """The items of a file, mixed. `modes`: those of other modes are left out. Raises ConfigError with every bad line, OSError.

    A line: `kind` (a part), `prompt` or `messages`, `mode` (of a trigger, twin or plain prompt), and if wanted `id`, `tools`,
    `expect`."""
    items: list[Item] = []
    problems: list[Problem] = []
    names: set[str] = set()
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            item = _item(line, number)
            if item.name in names:
                raise ValueError(f"the id {item.name!r} stands twice")
        except ValueError as error:
            problems.append(Problem(f"{file}:{number}", "", str(error)))
            continue
        names.add(item.name)
        items.append(item)
    if not items and not problems:
        problems.append(Problem(str(file), "", "holds no prompts"))
    if problems:
        raise ConfigError(problems)
    items = [item for item in items if item.mode is None or item.mode in modes]
    Random(f"{seed}/order").shuffle(items)
    return items


def digest(items: Sequence[Item]) -> str:
    """SHA-256 of everything that is asked, in order."""
    return hashlib.sha256(b"\n".join(_lines(items))).hexdigest()


def _lines(items: Sequence[Item]) -> Iterator[bytes]:
    for item in items:
        yield orjson.dumps([item.name, item.part, item.mode, item.request, item.expect], option=orjson.OPT_SORT_KEYS)


def _item(line: bytes, number: int) -> Item:
    """Raises ValueError with the reason."""
    row = orjson.loads(line)  # a JSONDecodeError is a ValueError
    if not isinstance(row, dict):
        raise ValueError("is no JSON object")
    if stray := sorted(row.keys() - _FIELDS):
        raise ValueError(f"there is no field {stray[0]!r}; there are {', '.join(sorted(_FIELDS))}")
    part = row.get("kind")
    if part not in PARTS:
        raise ValueError(f"'kind' must be one of {', '.join(PARTS)}")
    name, expect = row.get("id", f"line {number}"), row.get("expect", "")
    if not isinstance(name, str) or not isinstance(expect, str):
        raise ValueError("'id' and 'expect' must be texts")
    tools = row.get("tools") or []
    if part == "tools" and not tools:
        raise ValueError("a prompt of kind 'tools' needs 'tools'")
    return Item(name, part, _mode(row, part), _messages(row), tuple(tools), expect=expect)


def _mode(row: Mapping[str, Any], part: Part) -> Mode | None:
    given: Any = row.get("mode")
    if part in _OWN_MODE:
        if given not in (None, _OWN_MODE[part]):
            raise ValueError(f"a prompt of kind {part!r} has no mode {given!r}")
        return _OWN_MODE[part]
    if given not in _MODES:
        raise ValueError(f"a prompt of kind {part!r} needs a 'mode': {', '.join(_MODES)}")
    mode: Mode = given
    return mode


def _messages(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    asked = {name: row[name] for name in ("prompt", "messages", "tools") if name in row}
    if ("prompt" in row) == ("messages" in row):
        raise ValueError("give either 'prompt' or 'messages'")
    try:
        read_exchange({**asked, "response": ""})
    except InvalidRequest as error:
        raise ValueError(error.message) from None
    if "prompt" in row:
        return ({"role": "user", "content": row["prompt"]},)
    if not row["messages"] or not all(isinstance(message, dict) for message in row["messages"]):
        raise ValueError("'messages' must hold messages")
    return tuple(row["messages"])
