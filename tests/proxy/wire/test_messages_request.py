"""Requests of /v1/messages as conversations: system, tool loops, media, tools of client and provider."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from core.types import Conversation, Tool, ToolCall
from proxy.errors import InvalidRequest
from proxy.wire.messages_request import parse_request

PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}


def read(*messages: Any, **fields: Any) -> Conversation:
    return parse_request(orjson.dumps({"model": "m", "max_tokens": 9, "messages": list(messages), **fields})).conversation


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def turns(conversation: Conversation) -> list[tuple[str, str, int]]:
    return [(turn.role, turn.text, turn.index) for turn in conversation.turns]


def test_the_system_prompt_is_a_turn_behind_the_messages() -> None:
    assert turns(read(user("hi"), system="Be kind.")) == [("system", "Be kind.", 1), ("user", "hi", 0)]
    blocks = [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "b"}]
    assert turns(read(user([{"type": "text", "text": "hi"}]), system=blocks)) == [("system", "a\nb", 1), ("user", "hi", 0)]
    assert turns(read({"role": "system", "content": "late"}, {"role": "x", "content": "odd"}, user(None))) == [
        ("system", "late", 0),
        ("user", "odd", 1),
        ("user", "", 2),
    ]


def test_a_tool_loop() -> None:
    conversation = read(
        user("How warm is it?"),
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "x", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t1", "name": "look", "input": {"x": 1}},
            ],
        },
        user([{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "4 C"}, PICTURE]}]),
    )
    assert turns(conversation) == [("user", "How warm is it?", 0), ("assistant", "I look.", 1), ("tool", "4 C", 2)]
    assert conversation.turns[1].tool_calls == (ToolCall("look", '{"x":1}', "t1"),)
    assert (conversation.has_tool_result, conversation.has_media) == (True, False)
    assert conversation.last_user is conversation.turns[0]


def test_tool_results_beside_a_text_are_a_turn_of_their_own() -> None:
    results = [{"type": "tool_result", "tool_use_id": "t", "content": "4"}, {"type": "tool_result", "tool_use_id": "u"}]
    assert turns(read(user([*results, {"type": "text", "text": "Go on."}]))) == [("tool", "4", 1), ("user", "Go on.", 0)]
    hosted = [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "text", "text": "Found."},
    ]
    found = read({"role": "assistant", "content": hosted})
    assert turns(found) == [("tool", "", 1), ("assistant", "Found.", 0)]
    assert not found.has_media


@pytest.mark.parametrize("block", [PICTURE, {"type": "document", "source": {}}, {"type": "x_new"}, 7, {"type": 7}])
def test_what_cannot_be_read_counts_as_media(block: Any) -> None:
    assert read(user([{"type": "text", "text": "What?"}, block])).has_media


def test_tools_of_the_client_are_declared() -> None:
    schema = {"type": "object", "properties": {}}
    tools = [{"name": "a", "input_schema": schema}, {"type": "custom", "name": "b"}, {"type": "bash_20250124", "name": "bash"}]
    conversation = read(user("x"), tools=tools)
    assert conversation.tools == (Tool("a", schema), Tool("b"), Tool("bash"))
    assert not conversation.hosted_tools


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"type": "computer_toolset_20260801"}]},
        {"tools": ["odd"]},
        {"mcp_servers": [{"type": "url", "url": "https://x.test"}]},
        {"container": "c"},
    ],
)
def test_tools_of_the_provider_are_hosted(fields: dict[str, Any]) -> None:
    assert read(user("x"), **fields).hosted_tools


def test_the_other_fields() -> None:
    conversation = read(user("x"), stream=True, max_tokens=5, output_config={"format": {"type": "json_schema"}})
    assert (conversation.stream, conversation.max_tokens, conversation.structured, conversation.n) == (True, 5, True, 1)
    assert not read(user("x"), output_config={"effort": "low"}).structured
    assert read(user("x"), output_format={"type": "json_schema"}).structured


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": "x"}, "messages"),
        ({"messages": ["x"]}, "messages.0"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
        ({"messages": [], "system": 7}, "system"),
        ({"messages": [], "stream": 1}, "stream"),
        ({"messages": [], "model": []}, "model"),
        ({"messages": [], "chunkguard": 1}, "chunkguard"),
    ],
)
def test_wrong_types_are_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(orjson.dumps(fields))
    assert caught.value.param == param
