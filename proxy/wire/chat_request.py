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
from core.values import frozen
from proxy.errors import InvalidRequest
from proxy.wire.jsonbytes import clean, dump, load

#: The opt-in body field `{"chunkguard": {"report": true}}`; it is ours and never forwarded.
FIELD = "chunkguard"

_ROLES: Mapping[Any, Literal["system", "user", "assistant", "tool"]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
}
_TEXT_PARTS = ("text", "input_text", "output_text", "refusal", None)
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


@frozen
class ChatRequest:
    """A parsed request. `body`: the client's exact bytes. `doc`: the same as a document, never changed in place.

    `report`: the client asked for the `chunkguard` field in its answer."""

    body: bytes
    doc: dict[str, Any]
    conversation: Conversation
    report: bool = False


def parse_request(body: bytes) -> ChatRequest:
    """Read a request body. Raises InvalidRequest, whose `param` names the field at fault.

    Of duplicate keys the last counts; NaN and Infinity are refused; lone surrogates become U+FFFD in Turn.text (same
    offsets)."""
    try:
        doc = load(body)
    except ValueError as error:
        raise InvalidRequest("The body is not valid JSON in UTF-8.", code="invalid_json") from error
    if not isinstance(doc, dict):
        raise InvalidRequest("The body must be a JSON object.", code="invalid_json")
    messages = doc.get("messages")
    if not isinstance(messages, list):
        raise InvalidRequest("'messages' must be an array.", param="messages")
    untooled = _TOOL_FIELDS.isdisjoint(doc)
    conversation = Conversation(
        turns=tuple([_turn(message, index) for index, message in enumerate(messages)]),
        tools=() if untooled else _tools(doc),
        model=_model(doc),
        stream=_stream(doc),
        n=_n(doc),
        max_tokens=_max_tokens(doc),
        structured=not _SHAPING.isdisjoint(doc) and _structured(doc),
        hosted_tools=not untooled and _hosted(doc),
        stored=bool(doc.get("store") or doc.get("background")),
    )
    return ChatRequest(body, doc, conversation, _report(doc))


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


def arguments_text(arguments: Any) -> str:
    """Arguments as text; some servers give an object where the API says string. Empty where they nest beyond writing."""
    if isinstance(arguments, str):
        return arguments
    try:
        return "" if arguments is None else dump(arguments).decode()
    except ValueError:
        return ""


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
    declared = [tool for tool in _list(doc, "tools") if isinstance(tool, dict) and _kind(tool) in _CLIENT_TOOLS]
    functions = [tool.get("function") or tool.get("custom") or tool for tool in declared] + _list(doc, "functions")
    return tuple(
        [
            Tool(clean(function["name"]), parameters if isinstance(parameters := function.get("parameters"), dict) else None)
            for function in functions
            if isinstance(function, dict) and isinstance(function.get("name"), str)
        ]
    )


def _hosted(doc: dict[str, Any]) -> bool:
    if any(not isinstance(tool, dict) or _kind(tool) not in _CLIENT_TOOLS for tool in _list(doc, "tools")):
        return True
    choice = doc.get("tool_choice")
    if isinstance(choice, dict) and _kind(choice) not in _CHOOSING:
        return True
    return any(doc.get(name) is not None for name in _HOSTED_FIELDS)


def _structured(doc: dict[str, Any]) -> bool:
    form = doc.get("response_format")
    if isinstance(form, dict) and form.get("type") not in ("text", None):
        return True
    return any(doc.get(name) is not None for name in _FORM_FIELDS)


def _kind(tool: dict[str, Any]) -> str | None:
    kind = tool.get("type")
    return kind if isinstance(kind, str | None) else ""


def _list(doc: dict[str, Any], name: str) -> list[Any]:
    value = doc.get(name)
    return value if isinstance(value, list) else []


def _model(doc: dict[str, Any]) -> str:
    model = doc.get("model")
    if model is None:
        return ""
    if not isinstance(model, str):
        raise InvalidRequest("'model' must be a string.", param="model")
    return clean(model)


def _stream(doc: dict[str, Any]) -> bool:
    # Strict: an upstream that reads "true" as true would answer in a form we do not expect.
    stream = doc.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise InvalidRequest("'stream' must be a boolean.", param="stream")
    return bool(stream)


def _n(doc: dict[str, Any]) -> int:
    n = doc.get("n")
    if n is None:
        return 1
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise InvalidRequest("'n' must be a positive integer.", param="n")
    return n


def _max_tokens(doc: dict[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = doc.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _report(doc: dict[str, Any]) -> bool:
    if FIELD not in doc:
        return False
    wish = doc[FIELD]
    if not isinstance(wish, dict) or wish.keys() - {"report"} or not isinstance(wish.get("report", False), bool):
        raise InvalidRequest(f"'{FIELD}' takes one boolean field, 'report'.", param=FIELD)
    return bool(wish.get("report"))
