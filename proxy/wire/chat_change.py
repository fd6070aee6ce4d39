"""A Change, written into the request of POST /v1/chat/completions.

One rule: only what the change names differs. Without a change the client's exact bytes go on; with one, every other field, its
order and its numbers are kept (see jsonbytes). The operator's text comes first and is never modified by a boundary.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from core.types import Change, Edit, Placement
from proxy.errors import InvalidRequest
from proxy.wire.chat_request import FIELD, ChatRequest, part_key, part_text
from proxy.wire.jsonbytes import dump, load_exact

#: Between a boundary and the text beside it, and between boundaries.
GAP = "\n\n"

_Local = tuple[int, int, str]


def apply_change(request: ChatRequest, change: Change) -> bytes:
    """The body of an attempt: the client's request with the change applied and our own field removed.

    Edits come first (their offsets are of the original text), then boundaries, in their order and grouped by placement:
    system_append         at the end of the last leading system or developer message; a new system message first where there
    is none
    system_after_history  a system message just before the last user turn; as system_append where there is no user turn
    last_user_prefix      before the first text of the last user turn; as system_append where there is none
    `change.upstream` is the driver's business. Raises ValueError on edits outside the text or that overlap, InvalidRequest
    where the document is nested too deeply to be written again.
    """
    model = change.model if change.model != request.doc.get("model") else ""
    if not (change.boundaries or change.edits or model or FIELD in request.doc):
        return request.body
    doc = dict(load_exact(request.body))
    doc.pop(FIELD, None)
    if model:
        doc["model"] = model
    if change.boundaries or change.edits:
        messages = list(doc["messages"])
        _edit_messages(messages, change.edits)
        _place(messages, change, request)
        doc["messages"] = messages
    try:
        return dump(doc)
    except ValueError as error:
        raise InvalidRequest("The request is nested too deeply to be changed.") from error


def strip_report(request: ChatRequest) -> bytes:
    """The body without our own field; the client's exact bytes where it has none."""
    return apply_change(request, Change())


def _edit_messages(messages: list[Any], edits: Sequence[Edit]) -> None:
    for index in sorted({edit.message for edit in edits}):
        if not 0 <= index < len(messages):
            raise ValueError(f"there is no message {index} to edit")
        own = sorted((edit for edit in edits if edit.message == index), key=lambda edit: (edit.start, edit.end))
        if any(later.start < earlier.end for earlier, later in pairwise(own)):
            raise ValueError(f"edits of message {index} overlap")
        messages[index] = {**messages[index], "content": _edited(messages[index].get("content"), own)}


def _edited(content: Any, edits: Sequence[Edit]) -> Any:
    """Content with edits in coordinates of its text parts joined by newlines."""
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


def _place(messages: list[Any], change: Change, request: ChatRequest) -> None:
    """Boundaries by placement. Insertions come last, so that indices of the original request hold until then."""
    user = request.conversation.last_user
    texts: dict[Placement, list[str]] = {}
    for boundary in change.boundaries:
        texts.setdefault(boundary.placement if user else "system_append", []).append(boundary.text)
    if user and (prefix := texts.get("last_user_prefix")):
        message = messages[user.index]
        messages[user.index] = {**message, "content": _prefixed(message.get("content"), GAP.join(prefix))}
    if user and (late := texts.get("system_after_history")):
        messages.insert(user.index, {"role": "system", "content": GAP.join(late)})
    if appended := texts.get("system_append"):
        _append_system(messages, GAP.join(appended), request)


def _append_system(messages: list[Any], text: str, request: ChatRequest) -> None:
    leading = 0
    for turn in request.conversation.turns:
        if turn.role != "system":
            break
        leading += 1
    if not leading:
        messages.insert(0, {"role": "system", "content": text})
        return
    message = messages[leading - 1]
    messages[leading - 1] = {**message, "content": _appended(message.get("content"), text)}


def _prefixed(content: Any, text: str) -> Any:
    if not isinstance(content, list):
        return f"{text}{GAP}{content}" if content else text
    for place, part in enumerate(content):
        if (own := part_text(part)) is not None:
            return [*content[:place], _with_text(part, f"{text}{GAP}{own}"), *content[place + 1 :]]
    return [{"type": "text", "text": text}, *content]


def _appended(content: Any, text: str) -> Any:
    """A list gets a part of its own, of the kind of the operator's: cache marks on the operator's parts keep their meaning."""
    if not isinstance(content, list):
        return f"{content}{GAP}{text}" if content else text
    kinds = [part["type"] for part in content if isinstance(part, dict) and part.get("type") in ("text", "input_text")]
    return [*content, {"type": kinds[-1] if kinds else "text", "text": text}]
