"""Tool calls against declared tools and their schemas, and calls written into text."""

from __future__ import annotations

from typing import Any

import pytest

from core.types import Conversation, Tool, ToolCall, Turn
from detectors.toolcheck import ToolChecker, interpreter_declared, written_calls

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
WEATHER = Tool("weather", SCHEMA)


def problems(call: ToolCall, *tools: Tool) -> list[str]:
    return [finding.problem for finding in ToolChecker().check(tools, (call,))]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("weather", '{"city": "Oslo"}', []),
        ("wether", '{"city": "Oslo"}', ["undeclared"]),
        ("weather", '{"city": 5}', ["schema"]),
        ("weather", '{"town": "Oslo"}', ["schema"]),
        ("weather", "{}", ["schema"]),
        ("weather", "city=Oslo", ["not_json"]),
        ("weather", "", ["schema"]),
    ],
)
def test_a_call_is_checked_against_its_schema(name: str, arguments: str, expected: list[str]) -> None:
    assert problems(ToolCall(name, arguments), WEATHER) == expected


def test_every_call_is_undeclared_where_no_tool_is() -> None:
    assert problems(ToolCall("weather", "{}")) == ["undeclared"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "dict"},
        {"$ref": "https://example.com/schema.json"},
        {"patternProperties": {"(a+)+$": {}}},
        {"not": {"properties": {"city": {"pattern": "^O"}}}},
        {"properties": {"city": {"$ref": "#/nowhere"}}},
        None,
    ],
)
def test_a_schema_that_cannot_be_judged_accuses_nobody(schema: dict[str, Any] | None) -> None:
    assert problems(ToolCall("weather", '{"city": "Oslo"}'), Tool("weather", schema)) == []


def test_patterns_are_left_out_and_the_rest_is_judged() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string", "pattern": "(a+)+$"}}}
    assert problems(ToolCall("weather", f'{{"city": "{"a" * 40}b"}}'), Tool("weather", schema)) == []
    assert problems(ToolCall("weather", '{"city": 1}'), Tool("weather", schema)) == ["schema"]


def test_validators_are_cached_up_to_a_bound() -> None:
    checker = ToolChecker(capacity=2)
    for size in range(5):
        tool = Tool("f", {"type": "object", "properties": {"a": {"type": "string", "maxLength": size}}})
        assert checker.check((tool,), (ToolCall("f", '{"a": ""}'),)) == ()
    assert len(checker._validators) == 2


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('<tool_call>\n{"name": "search", "arguments": {"q": "x"}}\n</tool_call>', "search"),
        ('[TOOL_CALLS] [{"name": "search", "arguments": {}}]', "search"),
        ('{"name": "search", "parameters": {"q": "x"}}', "search"),
        ('<invoke name="search">', "search"),
        ("<function=search>{}</function>", "search"),
        ("Thought: hm\nAction: search\nAction Input: x", "search"),
    ],
)
def test_calls_written_into_text(text: str, name: str) -> None:
    (finding,) = written_calls(text, ())
    assert finding.name == name
    assert text[finding.start : finding.end]
    assert written_calls(text, (Tool(name),)) == ()


def test_ordinary_json_is_no_call() -> None:
    assert written_calls('{"name": "Ann", "age": 5}\nAction: run away', ()) == ()


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("python", True),
        ("code_interpreter", True),
        ("execute_python", True),
        ("run_code", True),
        ("weather", False),
        ("pythagoras", False),
    ],
)
def test_interpreters(name: str, runs: bool) -> None:
    assert interpreter_declared(Conversation((Turn("user", "x", 0),), (Tool(name),))) is runs
