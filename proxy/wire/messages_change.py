"""A Change, written into the request of POST /v1/messages.

One rule: the operator's text comes first and is never modified by a boundary; blocks with cache marks keep them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from core.types import Change, Placement
from proxy.wire.change import applied, placed
from proxy.wire.chat_change import edit_messages
from proxy.wire.codec import Request
from proxy.wire.fields import kind_of
from proxy.wire.parts import appended, part_text, prefixed

#: Not every model of this API takes a late system turn, and the prompt cache keeps its prefix.
_NOT_LATE: Final[Mapping[Placement, Placement]] = {"system_after_history": "last_user_prefix"}
#: Without a user turn there is nothing to stand beside.
_SYSTEM: Final[Mapping[Placement, Placement]] = {
    "system_after_history": "system_append",
    "last_user_prefix": "system_append",
}


def apply_change(request: Request, change: Change) -> bytes:
    """The body of an attempt. Edits come first (their offsets are of the original text), then boundaries by placement:
    system_append         at the end of `system`: of a list as a block of its own, behind the operator's cache marks
    last_user_prefix      before the first text of the last user turn; behind tool results, which must come first
    system_after_history  as last_user_prefix
    Without a user turn all of them go to `system`. Raises ValueError on edits outside the text or that overlap, InvalidRequest
    where the document is nested too deeply to be written again.
    """
    return applied(request, change, _write)


def _write(doc: dict[str, Any], request: Request, change: Change) -> None:
    messages = list(doc["messages"])
    edit_messages(messages, change.edits)
    user = request.conversation.last_user
    texts = placed(change, _NOT_LATE if user else _SYSTEM)
    if user and (prefix := texts.get("last_user_prefix")):
        message = messages[user.index]
        messages[user.index] = {**message, "content": _beside(message.get("content"), prefix)}
    if text := texts.get("system_append"):
        doc["system"] = appended(doc.get("system"), text)
    doc["messages"] = messages


def _beside(content: Any, text: str) -> Any:
    if not isinstance(content, list) or any(part_text(part) is not None for part in content):
        return prefixed(content, text)
    behind = max(
        [place + 1 for place, block in enumerate(content) if isinstance(block, dict) and kind_of(block) == "tool_result"],
        default=0,
    )
    return [*content[:behind], {"type": "text", "text": text}, *content[behind:]]
