"""A user's own labelled rows: read from JSONL, and what a row teaches each label.

One rule: a row says yes or no to a label only where its words make that certain (the table in docs/training.md); a file with a
bad line trains nothing at all.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from detectors.languages import guess_language
from detectors.rows import NONE, UNKNOWN, BadRow, Line, exchange_of, files_of, label_of, lines_of, parse
from detectors.training.data import Row, prompt_key

#: How the name of every source of a user begins: no shipped source is called so.
PREFIX: Final = "user/"
#: Rows of one source and class that a label learns from at most: a dump of traffic must not drown what was written for a class.
CAP: Final = 2000
#: Behaviour of the answer -> the intent that its prompt has where the answer was wanted. Where it was mis-routed the prompt has
#: it not - but for tools: a call may be pretended because one was asked for and none is there.
_INTENTS: Final[Mapping[str, str]] = {
    "code": "asks_code",
    "math": "asks_math",
    "fiction": "asks_fiction",
    "extraction": "asks_extraction",
    "tool_call": "asks_tool",
}
#: Label of a reply -> the behaviour that it is; a plain answer is not it.
_BEHAVIOURS: Final[Mapping[str, str]] = {"refusal": "refusal", "denial": "rebuttal"}
#: Labels of a reply; the others read the prompt.
REPLY_LABELS: Final = frozenset({*_BEHAVIOURS, "warm"})


class BadRows(ValueError):
    """Lines that cannot be read, all of them: `file:line: reason`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def read(paths: Iterable[Path]) -> dict[str, list[Row]]:
    """Rows by source of files, or of the *.jsonl files of folders. Raises OSError, or BadRows with every bad line."""
    rows: dict[str, list[Row]] = {}
    problems = []
    for path in files_of(paths):
        for line in lines_of(path):
            try:
                row = _row(line)
            except BadRow as error:
                problems.append(f"{line.place}: {error}")
            else:
                rows.setdefault(row.source, []).append(row)
    if not rows and not problems:
        problems.append("there is no row in the given files")
    if problems:
        raise BadRows(problems)
    return rows


def taught(rows: Mapping[str, Sequence[Row]], label: str) -> Iterator[tuple[Row, bool]]:
    """The user's rows that speak of a label, with what they say; at most CAP of a source and class."""
    found = [row for source, members in rows.items() if source.startswith(PREFIX) for row in members]
    distressed = frozenset(prompt_key(row.prompt) for row in found if _cold(row))
    counts: Counter[tuple[str, bool]] = Counter()
    # by a digest of the text: which rows are kept has nothing to do with how a file is sorted
    for row in sorted(found, key=lambda row: zlib.crc32(f"{row.prompt}\0{row.response}".encode())):
        says = _says(row, label, distressed)
        if says is not None and counts[row.source, says] < CAP:
            counts[row.source, says] += 1
            yield row, says


def _says(row: Row, label: str, distressed: frozenset[str]) -> bool | None:
    if label in REPLY_LABELS and not row.response.strip():
        return None
    if label == "warm":
        return _warm(row, distressed)
    if label in _BEHAVIOURS:
        return {_BEHAVIOURS[label]: True, NONE: False}.get(row.behaviour)
    says = _of_prompt(row, label)
    # Of several turns any may be the one that asks, and only the last one trains.
    return None if says and len(row.turns) > 1 else says


def _of_prompt(row: Row, label: str) -> bool | None:
    if label == "harm":
        return row.harm
    if label == "distress":
        return True if _cold(row) else None
    if _INTENTS.get(row.behaviour) != label or (label == "asks_tool" and not row.appropriate):
        return None
    return row.appropriate


def _cold(row: Row) -> bool:
    """Whether it answers a person in distress coldly. Where that was wanted, the distress may be a text to translate."""
    return row.behaviour == "analytic" and row.appropriate is not True


def _warm(row: Row, distressed: frozenset[str]) -> bool | None:
    """A good plain answer to a prompt that another row answers coldly is the warm one."""
    if row.behaviour == "analytic":
        return False
    wanted = row.behaviour == NONE and row.appropriate is True
    return True if wanted and prompt_key(row.prompt) in distressed else None


def _row(line: Line) -> Row:
    given = parse(line)
    raw = {"response": None, "behaviour": UNKNOWN, **given}
    said = label_of(line, raw)
    harm = raw.get("prompt_harm")
    if harm is not None and not isinstance(harm, bool):
        raise BadRow("'prompt_harm' must be true, false or null")
    if harm is None and "behaviour" not in given:
        raise BadRow("says nothing: give 'behaviour', 'prompt_harm' or both")
    turns, response = _turns(exchange_of(raw)["messages"]), _response(raw["response"])
    row = Row(
        id=said.id,
        source=PREFIX + said.source,
        licence=str(raw.get("license") or "the user's own"),
        licence_class=str(raw.get("license_class") or "permissive"),
        turns=turns,
        response=response,
        behaviour=said.behaviour,
        appropriate=said.appropriate,
        lang=said.lang,
        origin="user",
        harm=harm,
        kind="",
    )
    return row if row.lang else replace(row, lang=guess_language(row.prompt) or guess_language(response))


def _turns(messages: Any) -> tuple[str, ...]:
    """What the user wrote, turn by turn."""
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise BadRow("'messages' must be an array of objects")
    texts = [_text(message.get("content"), "content") for message in messages if message.get("role") == "user"]
    turns = tuple(text.strip() for text in texts if text.strip())
    if not turns:
        raise BadRow("no user turn with text")
    return turns


def _response(response: Any) -> str:
    if isinstance(response, dict):
        response = response.get("content")
    return _text(response, "response")


def _text(content: Any, name: str) -> str:
    """The text of a string, null, or an array of content parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))
    raise BadRow(f"'{name}' must be a string, null, or a message")
