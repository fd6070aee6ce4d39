"""A Change, written into the request of POST /v1/responses.

One rule: the operator's text comes first and is never modified by a boundary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from core.types import Change, Placement
from proxy.wire.change import applied, placed
from proxy.wire.chat_change import edit_messages
from proxy.wire.codec import Request
from proxy.wire.fields import kind_of
from proxy.wire.parts import appended, edited, own_edits, prefixed

_ANYWHERE: Final[Mapping[Placement, Placement]] = {}
#: Without a user turn there is nothing to stand beside.
_SYSTEM: Final[Mapping[Placement, Placement]] = {
    "system_after_history": "system_append",
    "last_user_prefix": "system_append",
}


def apply_change(request: Request, change: Change) -> bytes:
    """The body of an attempt. Edits come first (their offsets are of the original text), then boundaries by placement:
    system_append         at the end of the last system or developer message that leads `input`; where there is none, at the end
                          of `instructions` if the answer is kept (they are not carried over to the next request, an item is),
                          else as a system message before `input` (an answer repeats `instructions`, and no item)
    system_after_history  a system message just before the last user message
    last_user_prefix      before the first text of the last user message
    Without a user message all of them go where `system_append` goes. A text as `input` becomes a list where a message must
    stand beside it. Raises ValueError on edits outside the text or that overlap, InvalidRequest where the document cannot be
    written again.
    """
    return applied(request, change, _write)


def _write(doc: dict[str, Any], request: Request, change: Change) -> None:
    asked = doc.get("input")
    user = request.conversation.last_user
    texts = placed(change, _ANYWHERE if user else _SYSTEM)
    prefix, late, system = (texts.get(name) for name in ("last_user_prefix", "system_after_history", "system_append"))
    if isinstance(asked, str):
        asked = edited(asked, own_edits(change.edits, 1).get(0, ()))
        asked = prefixed(asked, prefix) if prefix else asked
        items = [{"role": "user", "content": asked}]
    else:
        items = list(asked or ())
        edit_messages(items, change.edits)
        if user and prefix:
            item = items[user.index]
            items[user.index] = {**item, "content": prefixed(item.get("content"), prefix, "input_text")}
    if user and late:
        items.insert(user.index, _message(late))
    if system:
        _append_system(doc, items, system, kept=request.kept)
    if len(items) != 1 or not isinstance(asked, str):
        doc["input"] = items
    else:
        doc["input"] = asked


def _append_system(doc: dict[str, Any], items: list[Any], text: str, *, kept: bool) -> None:
    leading = 0
    while leading < len(items) and _is_system(items[leading]):
        leading += 1
    if leading:
        item = items[leading - 1]
        items[leading - 1] = {**item, "content": appended(item.get("content"), text)}
    elif kept:
        doc["instructions"] = appended(doc.get("instructions"), text)
    else:
        items.insert(0, _message(text))


def _is_system(item: dict[str, Any]) -> bool:
    return kind_of(item) in (None, "message") and item.get("role") in ("system", "developer")


def _message(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}
