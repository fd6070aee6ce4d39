"""Content that is a text or a list of parts: what it says, and the same with its text edited, prefixed or appended to.

One rule: parts that are no text stay as they are and where they are, and so does every other field of a text part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from core.types import Edit

#: Between a boundary and the text beside it, and between boundaries.
GAP = "\n\n"

_TEXT_PARTS = ("text", "input_text", "output_text", "refusal", None)
_Local = tuple[int, int, str]


def part_text(part: Any) -> str | None:
    """The text of one content part (a string, or an object of a text type or of type `refusal`); None where it is none."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return None
    text = part.get(part_key(part)) if part.get("type") in _TEXT_PARTS else None
    return text if isinstance(text, str) else None


def part_key(part: Mapping[str, Any]) -> str:
    """The field of a text part that holds its text."""
    return "refusal" if part.get("type") == "refusal" else "text"


def own_edits(edits: Sequence[Edit], places: int) -> dict[int, list[Edit]]:
    """Edits by message, in order. Raises ValueError on a message beyond `places`, or edits that overlap."""
    own: dict[int, list[Edit]] = {}
    for edit in sorted(edits, key=lambda edit: (edit.message, edit.start, edit.end)):
        if not 0 <= edit.message < places:
            raise ValueError(f"there is no message {edit.message} to edit")
        own.setdefault(edit.message, []).append(edit)
    for index, found in own.items():
        if any(later.start < earlier.end for earlier, later in pairwise(found)):
            raise ValueError(f"edits of message {index} overlap")
    return own


def edited(content: Any, edits: Sequence[Edit]) -> Any:
    """Content with edits in coordinates of its text parts joined by newlines. Raises ValueError on edits outside the text."""
    if isinstance(content, str):
        return _splice(content, [(edit.start, edit.end, edit.text) for edit in edits])
    parts = list(content or ())
    local: dict[int, list[_Local]] = {}
    stretches = _stretches(parts)
    for edit in edits:
        for place, start, end, text in _share(edit, stretches):
            local.setdefault(place, []).append((start, end, text))
    for place, own in local.items():
        parts[place] = _with_text(parts[place], _splice(part_text(parts[place]) or "", own))
    # A part that an edit emptied goes: providers refuse empty text parts. One always stays.
    kept = [part for place, part in enumerate(parts) if place not in local or part_text(part)]
    return kept or parts[:1]


def prefixed(content: Any, text: str, kind: str = "text") -> Any:
    """Content with a text before its first text. `kind`: type of the part that is made where no part is a text."""
    if not isinstance(content, list):
        return f"{text}{GAP}{content}" if content else text
    for place, part in enumerate(content):
        if (own := part_text(part)) is not None:
            return [*content[:place], _with_text(part, f"{text}{GAP}{own}"), *content[place + 1 :]]
    return [{"type": kind, "text": text}, *content]


def appended(content: Any, text: str) -> Any:
    """Content with a text at its end. A list gets a part of its own, of the kind of the operator's: cache marks on the
    operator's parts keep their meaning."""
    if not isinstance(content, list):
        return f"{content}{GAP}{text}" if content else text
    kinds = [part["type"] for part in content if isinstance(part, dict) and part.get("type") in ("text", "input_text")]
    return [*content, {"type": kinds[-1] if kinds else "text", "text": text}]


def _stretches(parts: Sequence[Any]) -> list[tuple[int, int, int]]:
    """(place, start, end) of each text part in Turn.text; a newline lies between one's end and the next one's start."""
    stretches, start = [], 0
    for place, part in enumerate(parts):
        if (text := part_text(part)) is not None:
            stretches.append((place, start, start + len(text)))
            start += len(text) + 1
    return stretches


def _share(edit: Edit, stretches: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int, str]]:
    """An edit as edits of parts. Spanning parts, its lines go one to a part if they fit, else its text to the first of them;
    the newlines between parts cannot be edited away."""
    touched = [stretch for stretch in stretches if stretch[1] <= edit.end and edit.start <= stretch[2]]
    if not touched or edit.start > edit.end or edit.end > stretches[-1][2] or edit.start < 0:
        raise ValueError(f"an edit of message {edit.message} lies outside its text")
    texts = edit.text.split("\n")
    if len(texts) != len(touched):
        texts = [edit.text] + [""] * (len(touched) - 1)
    return [
        (place, max(edit.start, start) - start, min(edit.end, end) - start, text)
        for (place, start, end), text in zip(touched, texts, strict=True)
    ]


def _splice(text: str, edits: Sequence[_Local]) -> str:
    pieces, last = [], 0
    for start, end, replacement in edits:
        if not 0 <= start <= end <= len(text):
            raise ValueError("an edit lies outside its text")
        pieces += [text[last:start], replacement]
        last = end
    return "".join([*pieces, text[last:]])


def _with_text(part: Any, text: str) -> Any:
    return text if isinstance(part, str) else {**part, part_key(part): text}
