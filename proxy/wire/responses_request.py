"""The request of OpenAI's POST /v1/responses, read into a Conversation (https://platform.openai.com/docs/api-reference/responses).

One rule: as for chat - strict on the form of the answer, lenient on everything else, careful where two readings are possible:
items that cannot be read count as media (harm is unknown), tools that are not certainly the client's count as hosted.

`instructions`, and earlier turns that only the provider knows, are turns with indices behind the end of `input`, so that an
index below it always names an item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Final, Literal

from core.types import Conversation, Tool, ToolCall, Turn
from proxy.errors import InvalidRequest
from proxy.wire.codec import Request
from proxy.wire.fields import (
    arguments_text,
    kind_of,
    list_of,
    model_of,
    read_object,
    report_of,
    stream_of,
    string,
    tokens_of,
)
from proxy.wire.jsonbytes import clean
from proxy.wire.parts import part_text

Role = Literal["system", "user", "assistant", "tool"]

_ROLES: Final[Mapping[Any, Role]] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
#: Built-in tools that the client runs -> the name of their calls (`<name>_call`).
CLIENT_RUN: Final[Mapping[str, str]] = {
    "apply_patch": "apply_patch",
    "computer": "computer",
    "computer_use_preview": "computer",
    "local_shell": "local_shell",
}
#: Items that ask nothing of the model.
_QUIET: Final = frozenset({"reasoning", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"})
#: Fields that name earlier turns, which only the provider knows.
_UNSEEN: Final = ("previous_response_id", "conversation", "prompt")


def parse_request(body: bytes) -> Request:
    """Read a request body. Raises InvalidRequest, whose `param` names the field at fault.

    OpenAI keeps every answer unless `store` is false. An explicit `store: true`, `background` or a `conversation` that the
    answer joins mean that nothing is asked again; where a request says nothing, dropped answers are deleted."""
    doc = read_object(body)
    conversation = Conversation(
        turns=tuple(_turns(doc)),
        tools=tuple(_tools(doc)),
        model=model_of(doc),
        stream=stream_of(doc),
        max_tokens=tokens_of(doc, "max_output_tokens"),
        structured=_structured(doc),
        hosted_tools=_hosted(doc),
        stored=bool(doc.get("store") or doc.get("background") or doc.get("conversation")),
    )
    return Request(body, doc, conversation, report_of(doc), kept=doc.get("store") is not False)


def _turns(doc: dict[str, Any]) -> Iterator[Turn]:
    asked = doc.get("input")
    if not isinstance(asked, str | list | None):
        raise InvalidRequest("'input' must be a string or an array.", param="input")
    items = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked or []
    outside = count(len(items))
    if any(doc.get(name) for name in _UNSEEN):
        yield Turn("assistant", "", next(outside), media=True)
    instructions = doc.get("instructions")
    if not isinstance(instructions, str | None):
        raise InvalidRequest("'instructions' must be a string.", param="instructions")
    if instructions:
        yield Turn("system", clean(instructions), next(outside))
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise InvalidRequest(f"'input[{index}]' must be an object.", param=f"input[{index}]")
        if kind_of(item) not in _QUIET:
            yield _turn(item, index)


def _turn(item: dict[str, Any], index: int) -> Turn:
    kind = kind_of(item)
    if kind in (None, "message"):
        return _message(item, index)
    if kind in ("function_call", "custom_tool_call"):
        return Turn("assistant", "", index, tool_calls=(_call(item),))
    if kind.endswith("_output"):
        output = item.get("output")
        texts = map(part_text, output) if isinstance(output, list) else [string(output)]
        return Turn("tool", clean("\n".join([text for text in texts if text])), index)
    if kind.endswith("_call"):  # of a tool that the provider ran: what it found is in the transcript
        return Turn("tool", "", index)
    return Turn("assistant", "", index, media=True)


def _message(item: dict[str, Any], index: int) -> Turn:
    content = item.get("content")
    if not isinstance(content, str | list | None):
        param = f"input[{index}].content"
        raise InvalidRequest("'content' must be a string or an array.", param=param)
    texts = [content] if isinstance(content, str) else [part_text(part) for part in content or ()]
    role = item.get("role")
    speaker = _ROLES.get(role, "user") if isinstance(role, str) else "user"
    return Turn(speaker, clean("\n".join([text for text in texts if text is not None])), index, None in texts)


def _call(item: dict[str, Any]) -> ToolCall:
    arguments = arguments_text(item.get("arguments", item.get("input")))
    return ToolCall(clean(string(item.get("name"))), clean(arguments), clean(string(item.get("call_id"))))


def _tools(doc: dict[str, Any]) -> Iterator[Tool]:
    for tool in list_of(doc, "tools"):
        if not isinstance(tool, dict):
            continue
        kind = kind_of(tool)
        if kind in ("function", "custom") and isinstance(tool.get("name"), str):
            parameters = tool.get("parameters")
            yield Tool(clean(tool["name"]), parameters if isinstance(parameters, dict) else None)
        elif kind in CLIENT_RUN:
            yield Tool(CLIENT_RUN[kind or ""])


def _hosted(doc: dict[str, Any]) -> bool:
    if not all(_is_clients(tool) for tool in list_of(doc, "tools")):
        return True
    choice = doc.get("tool_choice")
    return isinstance(choice, dict) and not _is_clients(choice) and kind_of(choice) != "allowed_tools"


def _is_clients(tool: Any) -> bool:
    return isinstance(tool, dict) and (kind_of(tool) in ("function", "custom") or kind_of(tool) in CLIENT_RUN)


def _structured(doc: dict[str, Any]) -> bool:
    text = doc.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    return isinstance(form, dict) and form.get("type") not in ("text", None)
