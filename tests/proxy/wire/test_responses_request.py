"""Requests of /v1/responses as conversations: texts and items, tools of client and provider, what the provider keeps."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from core.types import Conversation, Tool, ToolCall
from proxy.errors import InvalidRequest
from proxy.wire.codec import Request
from proxy.wire.responses_request import parse_request


def request(**fields: Any) -> Request:
    return parse_request(orjson.dumps({"model": "m", **fields}))


def read(*items: Any, **fields: Any) -> Conversation:
    return request(input=list(items), **fields).conversation


def turns(conversation: Conversation) -> list[tuple[str, str, int]]:
    return [(turn.role, turn.text, turn.index) for turn in conversation.turns]


def test_a_text_is_a_user_turn_and_instructions_stand_behind_it() -> None:
    assert turns(request(input="hi", instructions="Be kind.").conversation) == [("system", "Be kind.", 1), ("user", "hi", 0)]
    assert turns(request(instructions=None).conversation) == []


def test_items_are_turns() -> None:
    conversation = read(
        {"role": "developer", "content": "Be kind."},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}],
        },
        {"type": "reasoning", "id": "rs", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"x":1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "4 C"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "run", "input": "ls"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "x"}, {"type": "input_image"}],
        },
        {"type": "code_interpreter_call", "id": "ci"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]},
        {"role": 7, "content": None},
    )
    assert turns(conversation) == [
        ("system", "Be kind.", 0),
        ("user", "a\nb", 1),
        ("assistant", "", 3),
        ("tool", "4 C", 4),
        ("assistant", "", 5),
        ("tool", "x", 6),
        ("tool", "", 7),
        ("assistant", "ok", 8),
        ("user", "", 9),
    ]
    calls = [call for turn in conversation.turns for call in turn.tool_calls]
    assert calls == [ToolCall("look", '{"x":1}', "c1"), ToolCall("run", "ls", "c2")]
    assert not conversation.has_media


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "x"},
        {"type": "x_new"},
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]},
        {"role": "user", "content": ["a", 7]},
    ],
)
def test_what_cannot_be_read_counts_as_media(item: dict[str, Any]) -> None:
    assert read(item).has_media


@pytest.mark.parametrize("field", ["previous_response_id", "conversation", "prompt"])
def test_so_do_earlier_turns_that_only_the_provider_knows(field: str) -> None:
    conversation = request(input="hi", **{field: "x"}).conversation
    assert conversation.has_media
    assert conversation.last_user is not None
    assert conversation.last_user.index == 0


def test_tools_of_the_client_are_declared() -> None:
    tools = [
        {"type": "function", "name": "a", "parameters": {"type": "object"}},
        {"type": "custom", "name": "b"},
        {"type": "local_shell"},
        {"type": "computer_use_preview"},
    ]
    conversation = read(tools=tools, tool_choice={"type": "function", "name": "a"})
    assert conversation.tools == (Tool("a", {"type": "object"}), Tool("b"), Tool("local_shell"), Tool("computer"))
    assert not conversation.hosted_tools
    assert not read(tool_choice={"type": "allowed_tools"}).hosted_tools


@pytest.mark.parametrize("tool", [{"type": "web_search"}, {"type": "mcp"}, {"type": "x_new"}, {"name": "a"}, "odd"])
def test_tools_of_the_provider_are_hosted(tool: Any) -> None:
    assert read(tools=[tool]).hosted_tools
    assert not isinstance(tool, dict) or read(tool_choice=tool).hosted_tools


@pytest.mark.parametrize(
    ("fields", "stored", "kept"),
    [
        ({}, False, True),
        ({"store": None}, False, True),
        ({"store": False}, False, False),
        ({"store": True}, True, True),
        ({"background": True}, True, True),
        ({"conversation": "c"}, True, True),
    ],
)
def test_what_the_provider_keeps(fields: dict[str, Any], stored: bool, kept: bool) -> None:
    found = request(input="x", **fields)
    assert (found.conversation.stored, found.kept) == (stored, kept)


def test_the_other_fields() -> None:
    conversation = request(input="x", stream=True, max_output_tokens=5, text={"format": {"type": "json_schema"}}).conversation
    assert (conversation.stream, conversation.max_tokens, conversation.structured) == (True, 5, True)
    for text in ({"format": {"type": "text"}}, {"verbosity": "low"}, 7):
        assert not request(input="x", text=text).conversation.structured


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": 7}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"role": "user", "content": 7}]}, "input[0].content"),
        ({"instructions": 7}, "instructions"),
        ({"stream": 1}, "stream"),
    ],
)
def test_wrong_types_are_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request(**fields)
    assert caught.value.param == param
