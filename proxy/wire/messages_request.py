"""The request of Anthropic's POST /v1/messages, read into a Conversation (https://docs.anthropic.com/en/api/messages).

One rule: as for chat - strict on the form of the answer, lenient on everything else, careful where two readings are possible:
blocks that cannot be read count as media (harm is unknown), tools that are not certainly the client's count as hosted.

Turns that stand outside `messages`, or share a message with another turn (the system prompt, tool results beside a text), have
indices behind its end, so that an index below it always names a message.
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

_ROLES: Final[Mapping[Any, Role]] = {"user": "user", "assistant": "assistant", "system": "system"}
#: Blocks that say nothing to the client and ask nothing of the model.
_QUIET: Final = frozenset({"thinking", "redacted_thinking", "server_tool_use", "mcp_tool_use"})
#: Tools that the client runs, by the beginning of their versioned type; each has one name. Toolsets hold several unnamed ones.
_CLIENT_TOOLS: Final = ("bash_", "text_editor_", "computer_2", "memory_")


def parse_request(body: bytes) -> Request:
    """Read a request body. Raises InvalidRequest, whose `param` names the field at fault."""
    doc = read_object(body)
    messages = doc.get("messages")
    if not isinstance(messages, list):
        raise InvalidRequest("messages: Input should be a valid list", param="messages")
    outside = count(len(messages))
    turns = [*_system(doc.get("system"), outside)]
    for index, message in enumerate(messages):
        turns += _turns(message, index, outside)
    conversation = Conversation(
        turns=tuple(turns),
        tools=tuple(_tools(doc)),
        model=model_of(doc),
        stream=stream_of(doc),
        max_tokens=tokens_of(doc, "max_tokens"),
        structured=_structured(doc),
        hosted_tools=_hosted(doc),
    )
    return Request(body, doc, conversation, report_of(doc))


def _system(system: Any, outside: Iterator[int]) -> Iterator[Turn]:
    if system is None:
        return
    if not isinstance(system, str | list):
        raise InvalidRequest("system: Input should be a valid string or list", param="system")
    texts = [system] if isinstance(system, str) else [text for text in map(part_text, system) if text is not None]
    yield Turn("system", clean("\n".join(texts)), next(outside))


def _turns(message: Any, index: int, outside: Iterator[int]) -> Iterator[Turn]:
    """The turns of one message: tool results are one of their own, before what stands beside them."""
    if not isinstance(message, dict):
        raise InvalidRequest(f"messages.{index}: Input should be an object", param=f"messages.{index}")
    role = message.get("role")
    speaker = _ROLES.get(role, "user") if isinstance(role, str) else "user"
    content = message.get("content")
    if not isinstance(content, str | list | None):
        param = f"messages.{index}.content"
        raise InvalidRequest(f"{param}: Input should be a valid string or list", param=param)
    blocks: list[Any] = [content] if isinstance(content, str) else content or []
    results = [_result(block) for block in blocks if _is_result(block)]
    rest = [block for block in blocks if not _is_result(block)]
    if results:
        text = clean("\n".join([text for text in results if text]))
        yield Turn("tool", text, next(outside) if rest or speaker != "user" else index)
        if not rest and speaker == "user":
            return
    texts = [part_text(block) for block in rest]
    text = "\n".join([text for text in texts if text is not None])
    media = any(text is None and not _is_quiet(block) for text, block in zip(texts, rest, strict=True))
    yield Turn(speaker, clean(text), index, media, tuple(_calls(rest)))


def _is_result(block: Any) -> bool:
    return isinstance(block, dict) and (kind_of(block) or "").endswith("tool_result")


def _is_quiet(block: Any) -> bool:
    return isinstance(block, dict) and (kind_of(block) in _QUIET or kind_of(block) == "tool_use")


def _result(block: dict[str, Any]) -> str:
    content = block.get("content")
    if isinstance(content, list):
        return "\n".join([text for text in map(part_text, content) if text is not None])
    return string(content)


def _calls(blocks: list[Any]) -> Iterator[ToolCall]:
    for block in blocks:
        if isinstance(block, dict) and kind_of(block) == "tool_use":
            arguments = clean(arguments_text(block.get("input")))
            yield ToolCall(clean(string(block.get("name"))), arguments, clean(string(block.get("id"))))


def _tools(doc: dict[str, Any]) -> Iterator[Tool]:
    for tool in list_of(doc, "tools"):
        if _is_clients(tool) and isinstance(tool.get("name"), str):
            schema = tool.get("input_schema")
            yield Tool(clean(tool["name"]), schema if isinstance(schema, dict) else None)


def _is_clients(tool: Any) -> bool:
    return isinstance(tool, dict) and (kind_of(tool) in (None, "custom") or (kind_of(tool) or "").startswith(_CLIENT_TOOLS))


def _hosted(doc: dict[str, Any]) -> bool:
    return bool(doc.get("mcp_servers") or doc.get("container")) or not all(map(_is_clients, list_of(doc, "tools")))


def _structured(doc: dict[str, Any]) -> bool:
    config = doc.get("output_config")
    form = config.get("format") if isinstance(config, dict) else None
    return bool(form or doc.get("output_format"))
