"""A Change, written into the request of POST /v1/chat/completions.

One rule: the operator's text comes first and is never modified by a boundary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.types import Change, Edit, Placement
from proxy.wire.change import applied, placed
from proxy.wire.codec import Request
from proxy.wire.parts import appended, edited, own_edits, prefixed

_ANYWHERE: Final[Mapping[Placement, Placement]] = {}
#: Without a user turn there is nothing to stand beside.
_SYSTEM: Final[Mapping[Placement, Placement]] = {
    "system_after_history": "system_append",
    "last_user_prefix": "system_append",
}


def apply_change(request: Request, change: Change) -> bytes:
    """The body of an attempt: the client's request with the change applied and our own field removed.

    Edits come first (their offsets are of the original text), then boundaries, in their order and grouped by placement:
    system_append         at the end of the last leading system or developer message; a new system message first where there
    is none
    system_after_history  a system message just before the last user turn; as system_append where there is no user turn
    last_user_prefix      before the first text of the last user turn; as system_append where there is none
    `change.upstream` is the driver's business. Raises ValueError on edits outside the text or that overlap, InvalidRequest
    where the document is nested too deeply to be written again.
    """
    return applied(request, change, _write)


def strip_report(request: Request) -> bytes:
    """The body without our own field; the client's exact bytes where it has none."""
    return apply_change(request, Change())


def _write(doc: dict[str, Any], request: Request, change: Change) -> None:
    messages = list(doc["messages"])
    edit_messages(messages, change.edits)
    _place(messages, change, request)
    doc["messages"] = messages


def edit_messages(messages: list[Any], edits: Sequence[Edit]) -> None:
    """Put edits into the `content` of messages. Raises ValueError on edits outside the text or that overlap."""
    for index, own in own_edits(edits, len(messages)).items():
        messages[index] = {**messages[index], "content": edited(messages[index].get("content"), own)}


def _place(messages: list[Any], change: Change, request: Request) -> None:
    """Boundaries by placement. Insertions come last, so that indices of the original request hold until then."""
    user = request.conversation.last_user
    texts = placed(change, _ANYWHERE if user else _SYSTEM)
    if user and (prefix := texts.get("last_user_prefix")):
        message = messages[user.index]
        messages[user.index] = {**message, "content": prefixed(message.get("content"), prefix)}
    if user and (late := texts.get("system_after_history")):
        messages.insert(user.index, {"role": "system", "content": late})
    if text := texts.get("system_append"):
        _append_system(messages, text, request)


def _append_system(messages: list[Any], text: str, request: Request) -> None:
    leading = 0
    for turn in request.conversation.turns:
        if turn.role != "system":
            break
        leading += 1
    if not leading:
        messages.insert(0, {"role": "system", "content": text})
        return
    message = messages[leading - 1]
    messages[leading - 1] = {**message, "content": appended(message.get("content"), text)}
