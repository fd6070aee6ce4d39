"""The request of POST /v1/chat/completions, read into a Conversation.

One rule: strict on what decides how many answers come and in which form (`messages`, `stream`, `n`, `model`), lenient on
everything else: what is not understood lives on in the client's bytes and is never lost.

Where two readings are possible the more careful one is taken: unknown roles count as user turns (they are looked at for harm),
content parts that cannot be read count as media (harm is unknown), unknown kinds of tools count as hosted (never run again).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from core.types import Conversation, Tool, ToolCall, Turn
from proxy.errors import InvalidRequest
from proxy.wire.codec import Request
from proxy.wire.fields import arguments_text, kind_of, list_of, model_of, n_of, read_object, report_of, stream_of, tokens_of
from proxy.wire.jsonbytes import clean
from proxy.wire.parts import part_text

_ROLES: Mapping[Any, Literal["system", "user", "assistant", "tool"]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
}
_CLIENT_TOOLS = frozenset({"function", "custom", None})
_CHOOSING = _CLIENT_TOOLS | {"allowed_tools"}
#: Fields by which providers run tools or searches of their own.
_HOSTED_FIELDS = frozenset({"web_search_options", "mcp_servers", "plugins", "search_parameters"})
#: Fields beside `response_format` by which servers force a form upon the answer.
_FORM_FIELDS = frozenset({
    "guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs", "json_schema", "grammar",
})  # fmt: skip
#: Fields that say something of tools or of the answer's form. Most requests have none, which is one look to find out.
_TOOL_FIELDS = _HOSTED_FIELDS | {"tools", "functions", "tool_choice"}
_SHAPING = _FORM_FIELDS | {"response_format"}


def parse_request(body: bytes) -> Request:
    """Read a request body. Raises InvalidRequest, whose `param` names the field at fault.

    Of duplicate keys the last counts; NaN and Infinity are refused; lone surrogates become U+FFFD in Turn.text (same
    offsets)."""
    doc = read_object(body)
    messages = doc.get("messages")
    if not isinstance(messages, list):
        raise InvalidRequest("'messages' must be an array.", param="messages")
    untooled = _TOOL_FIELDS.isdisjoint(doc)
    conversation = Conversation(
        turns=tuple([_turn(message, index) for index, message in enumerate(messages)]),
        tools=() if untooled else _tools(doc),
        model=model_of(doc),
        stream=stream_of(doc),
        n=n_of(doc),
        max_tokens=tokens_of(doc, "max_completion_tokens", "max_tokens"),
        structured=not _SHAPING.isdisjoint(doc) and demands_form(doc),
        hosted_tools=not untooled and _hosted(doc),
        stored=bool(doc.get("store") or doc.get("background")),
    )
    return Request(body, doc, conversation, report_of(doc), kept=conversation.stored)


def tool_call(call: Any) -> ToolCall | None:
    """One entry of `tool_calls`, of kind function or custom; also the legacy `function_call` object itself."""
    if not isinstance(call, dict):
        return None
    inner = call.get("function") or call.get("custom") or call
    if not isinstance(inner, dict):
        return None
    name, arguments, identity = inner.get("name"), inner.get("arguments", inner.get("input")), call.get("id")
    return ToolCall(
        name=name if isinstance(name, str) else "",
        arguments=arguments_text(arguments),
        id=identity if isinstance(identity, str) else "",
    )


def _turn(message: Any, index: int) -> Turn:
    if not isinstance(message, dict):
        raise InvalidRequest(f"'messages[{index}]' must be an object.", param=f"messages[{index}]")
    content = message.get("content")
    if isinstance(content, str):
        text, media = content, False
    elif content is None:
        text, media = "", "audio" in message
    elif isinstance(content, list):
        texts = [part_text(part) for part in content]
        text = "\n".join([text for text in texts if text is not None])
        media = None in texts
    else:
        raise InvalidRequest("'content' must be a string, an array or null.", param=f"messages[{index}].content")
    role = message.get("role")
    return Turn(_ROLES.get(role, "user") if isinstance(role, str) else "user", clean(text), index, media, _calls(message))


def _calls(message: dict[str, Any]) -> tuple[ToolCall, ...]:
    calls, legacy = message.get("tool_calls"), message.get("function_call")
    if not calls and not legacy:
        return ()
    found = [tool_call(call) for call in (*(calls if isinstance(calls, list) else ()), legacy)]
    return tuple([ToolCall(clean(call.name), clean(call.arguments), clean(call.id)) for call in found if call is not None])


def _tools(doc: dict[str, Any]) -> tuple[Tool, ...]:
    declared = [tool for tool in list_of(doc, "tools") if isinstance(tool, dict) and kind_of(tool) in _CLIENT_TOOLS]
    functions = [tool.get("function") or tool.get("custom") or tool for tool in declared] + list_of(doc, "functions")
    return tuple(
        [
            Tool(clean(function["name"]), parameters if isinstance(parameters := function.get("parameters"), dict) else None)
            for function in functions
            if isinstance(function, dict) and isinstance(function.get("name"), str)
        ]
    )


def _hosted(doc: dict[str, Any]) -> bool:
    if any(not isinstance(tool, dict) or kind_of(tool) not in _CLIENT_TOOLS for tool in list_of(doc, "tools")):
        return True
    choice = doc.get("tool_choice")
    if isinstance(choice, dict) and kind_of(choice) not in _CHOOSING:
        return True
    return any(doc.get(name) is not None for name in _HOSTED_FIELDS)


def demands_form(doc: dict[str, Any]) -> bool:
    """Whether the answer must have a form: JSON, or what a grammar allows."""
    form = doc.get("response_format")
    if isinstance(form, dict) and form.get("type") not in ("text", None):
        return True
    return any(doc.get(name) is not None for name in _FORM_FIELDS)
