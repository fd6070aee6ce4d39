"""Requests of the chat API become conversations; what is not understood is taken the careful way."""

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import Conversation, Tool, ToolCall, Turn
from proxy.errors import InvalidRequest
from proxy.wire.chat_request import parse_request


def parse(**fields: Any) -> Conversation:
    return parse_request(orjson.dumps({"model": "m", "messages": [], **fields})).conversation


def turn(**message: Any) -> Turn:
    return parse(messages=[message]).turns[0]


def test_a_whole_request() -> None:
    body = orjson.dumps(
        {
            "model": "gpt-x",
            "messages": [
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "input_text", "text": "two 🤖"}]},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "found"},
            ],
            "stream": True,
            "n": 2,
            "max_tokens": 5,
            "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
            "unknown": {"kept": True},
        }
    )
    request = parse_request(body)
    assert request.body is body
    assert request.doc["unknown"] == {"kept": True}
    assert not request.report
    assert request.conversation == Conversation(
        turns=(
            Turn("system", "Be kind.", 0),
            Turn("user", "one\ntwo 🤖", 1),
            Turn("assistant", "", 2, tool_calls=(ToolCall("look", '{"a":1}', "c1"),)),
            Turn("tool", "found", 3),
        ),
        tools=(Tool("look", {"type": "object"}),),
        model="gpt-x",
        stream=True,
        n=2,
        max_tokens=5,
    )


@pytest.mark.parametrize(
    ("role", "read"),
    [("system", "system"), ("function", "tool"), ("critic", "user"), (None, "user"), (7, "user"), ([], "user")],
)
def test_roles(role: Any, read: str) -> None:
    assert turn(role=role, content="x").role == read
    assert parse(messages=[{"content": "x"}]).turns[0].role == "user"


@pytest.mark.parametrize(
    ("content", "text", "media"),
    [
        (None, "", False),
        ("", "", False),
        ([], "", False),
        (["plain", {"text": "untyped"}], "plain\nuntyped", False),
        ([{"type": "refusal", "refusal": "no"}, {"type": "output_text", "text": "yes"}], "no\nyes", False),
        ([{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "t"}], "t", True),
        ([{"type": "input_audio", "input_audio": {}}], "", True),
        ([{"type": "file", "file": {}}], "", True),
        ([{"type": "novel", "text": "unread"}], "", True),
        ([{"type": "text", "text": 5}, 7, {"type": ["odd"]}], "", True),
    ],
)
def test_content(content: Any, text: str, media: bool) -> None:
    read = turn(role="user", content=content)
    assert (read.text, read.media) == (text, media)


def test_audio_of_an_earlier_answer_is_media() -> None:
    assert turn(role="assistant", audio={"id": "a"}).media
    assert not turn(role="assistant").media


def test_lone_surrogates_keep_their_place() -> None:
    body = (
        b'{"messages":[{"role":"user","content":"a\\ud83db","tool_calls":[{"function":{"name":"\\udc00"}}]}],"model":"\\ud83d"}'
    )
    conversation = parse_request(body).conversation
    assert conversation.turns[0].text == "a\ufffdb"
    assert conversation.turns[0].tool_calls[0].name == "\ufffd"
    assert conversation.model == "\ufffd"


@pytest.mark.parametrize(
    ("message", "calls"),
    [
        ({"tool_calls": [{"id": 5, "type": "custom", "custom": {"name": "run", "input": "ls"}}]}, (ToolCall("run", "ls"),)),
        ({"function_call": {"name": "old", "arguments": "{}"}}, (ToolCall("old", "{}"),)),
        ({"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}, (ToolCall("f", '{"a":1}'),)),
        ({"tool_calls": [{"function": {"name": 3}}, 4, {"function": "odd"}]}, (ToolCall("", ""),)),
        ({"tool_calls": "odd", "function_call": None}, ()),
        ({"tool_calls": []}, ()),
    ],
)
def test_tool_calls(message: dict[str, Any], calls: tuple[ToolCall, ...]) -> None:
    assert turn(role="assistant", **message).tool_calls == calls


def test_arguments_nested_beyond_writing_are_empty() -> None:
    deep = b"[" * 300 + b"]" * 300
    body = b'{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":' + deep + b"}}]}]}"
    assert parse_request(body).conversation.turns[0].tool_calls == (ToolCall("f", ""),)


@pytest.mark.parametrize(
    ("fields", "names", "hosted"),
    [
        ({}, [], False),
        ({"tools": None, "functions": None}, [], False),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}], "functions": [{"name": "old"}]}, ["c", "old"], False),
        ({"tools": [{"name": "flat", "parameters": "odd"}]}, ["flat"], False),
        ({"tools": [{"type": "function", "function": {"name": 5}}, {"type": "function", "function": "odd"}]}, [], False),
        ({"tools": [{"type": "web_search"}]}, [], True),
        ({"tools": [{"type": "mcp", "name": "server"}]}, [], True),
        ({"tools": [{"type": {"odd": 1}}]}, [], True),
        ({"tools": ["odd"]}, [], True),
        ({"web_search_options": {}}, [], True),
        ({"tool_choice": "auto"}, [], False),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, [], False),
        ({"tool_choice": {"type": "allowed_tools"}}, [], False),
        ({"tool_choice": {"type": "code_interpreter"}}, [], True),
    ],
)
def test_tools(fields: dict[str, Any], names: list[str], hosted: bool) -> None:
    conversation = parse(**fields)
    assert ([tool.name for tool in conversation.tools], conversation.hosted_tools) == (names, hosted)
    assert all(tool.parameters is None for tool in conversation.tools)


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"store": True}, "stored", True),
        ({"background": True}, "stored", True),
        ({"store": False}, "stored", False),
        ({"response_format": {"type": "json_object"}}, "structured", True),
        ({"response_format": {"type": "json_schema"}}, "structured", True),
        ({"response_format": {"type": "text"}}, "structured", False),
        ({"response_format": None}, "structured", False),
        ({"guided_json": {}}, "structured", True),
        ({"max_completion_tokens": 7, "max_tokens": 5}, "max_tokens", 7),
        ({"max_completion_tokens": None, "max_tokens": 5}, "max_tokens", 5),
        ({"max_tokens": True}, "max_tokens", None),
        ({"stream": None}, "stream", False),
        ({"n": None}, "n", 1),
        ({"n": 2.0}, "n", 2),
        ({"model": None}, "model", ""),
    ],
)
def test_other_fields(fields: dict[str, Any], attribute: str, value: Any) -> None:
    assert getattr(parse(**fields), attribute) == value


@pytest.mark.parametrize(("wish", "report"), [({}, False), ({"report": False}, False), ({"report": True}, True)])
def test_the_report_is_opt_in(wish: dict[str, Any], report: bool) -> None:
    assert parse_request(orjson.dumps({"messages": [], "chunkguard": wish})).report is report


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"\xff", None),
        (b"[1]", None),
        (b'{"messages":[],"n":NaN}', None),
        (b"{}", "messages"),
        (b'{"messages":{}}', "messages"),
        (b'{"messages":[{},null]}', "messages[1]"),
        (b'{"messages":[{"content":5}]}', "messages[0].content"),
        (b'{"messages":[],"n":0}', "n"),
        (b'{"messages":[],"n":1.5}', "n"),
        (b'{"messages":[],"n":true}', "n"),
        (b'{"messages":[],"n":"2"}', "n"),
        (b'{"messages":[],"stream":"true"}', "stream"),
        (b'{"messages":[],"model":5}', "model"),
        (b'{"messages":[],"chunkguard":true}', "chunkguard"),
        (b'{"messages":[],"chunkguard":{"report":1}}', "chunkguard"),
        (b'{"messages":[],"chunkguard":{"rapport":true}}', "chunkguard"),
    ],
)
def test_invalid_requests_name_the_field(body: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(body)
    assert caught.value.param == param
    assert caught.value.code == ("invalid_json" if param is None else "invalid_request")


def test_of_duplicate_keys_the_last_counts() -> None:
    body = b'{"messages":[{"content":"first"}],"messages":[{"content":"last"}]}'
    assert parse_request(body).conversation.turns[0].text == "last"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "function", "name", "tool_calls"]), inner, max_size=4
        )
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["messages", "tools", "tool_choice", "functions", "response_format", "n"]), _JSON))
def test_any_json_is_read_or_refused_in_one_way(doc: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequest):
        request = parse_request(orjson.dumps(doc))
        assert [turn.index for turn in request.conversation.turns] == list(range(len(doc["messages"])))
