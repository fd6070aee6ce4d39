"""Rows in every usual form say the same; what is no row is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from attribution.rows import MOST_ANSWERS, id_of, read_examples, source_of
from detectors.rows import BadRow

ASKED, SAID = "Is 5+8=13?", "Yes."
CALL = {"id": "1", "type": "function", "function": {"name": "sum", "arguments": {"a": 5}}}


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": SAID}]},
        {"messages": json.dumps([{"role": "user", "content": ASKED}, {"role": "assistant", "content": SAID}])},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}]}, {"role": "assistant", "content": SAID}]},
        {"conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": SAID}]},
        {"conversation": [{"role": "prompter", "text": ASKED}, {"role": "assistant", "text": SAID}]},
        {"prompt": ASKED, "response": SAID},
        {"prompt": ASKED, "completion": SAID},
        {"prompt": [{"role": "user", "content": ASKED}], "completion": [{"role": "assistant", "content": SAID}]},
        {"prompt": ASKED, "response": {"role": "assistant", "content": SAID}},
        {"instruction": ASKED, "input": "", "output": SAID},
        {"question": ASKED, "answer": SAID},
        {"prompt": f"User: {ASKED}", "response": SAID},
    ],
)
def test_every_form_gives_the_same_exchange(row: dict[str, Any]) -> None:
    (example,) = read_examples(row)
    assert (example.prompt, example.reply.text) == (ASKED, SAID)
    assert [turn.role for turn in example.conversation.turns] == ["user"]


def test_an_input_stands_behind_its_instruction() -> None:
    (example,) = read_examples({"instruction": "Sort these.", "input": "3 1 2", "output": "1 2 3"})
    assert example.prompt == "Sort these.\n\n3 1 2"


def test_each_trained_answer_of_a_conversation_is_an_example() -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Hello, who is there?"},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1", "weight": 0},
        {"role": "user", "content": "Two?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "Three?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
    ]
    two, three = read_examples({"messages": turns, "tools": [{"type": "function", "function": {"name": "sum"}}]})
    assert (two.prompt, two.reply.text, two.turn) == ("Two?", "2", 0)
    assert (three.prompt, three.reply.tool_calls[0].name, three.reply.tool_calls[0].arguments) == ("Three?", "sum", '{"a":5}')
    assert [tool.name for tool in three.conversation.tools] == ["sum"]
    assert len(three.conversation.turns) == 7


def test_a_very_long_conversation_is_read_from_its_beginning() -> None:
    pair = [{"role": "user", "content": "More?"}, {"role": "assistant", "content": "More."}]
    assert len(read_examples({"messages": pair * 40})) == MOST_ANSWERS


@pytest.mark.parametrize("row", [{"prompt": ASKED, "response": None}, {"messages": [{"role": "user", "content": ASKED}]}])
def test_a_prompt_alone_is_no_example_and_not_bad(row: dict[str, Any]) -> None:
    assert read_examples(row) == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "once"}, "no known form"),
        ({"messages": []}, "list of turns"),
        ({"messages": "no"}, "not JSON"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "unknown speaker 'narrator'"),
        ({"messages": [{"role": "user", "content": 3}]}, "turn 1"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "no user turn"),
        ({"prompt": ASKED, "response": SAID, "tools": [{"name": 1}]}, "tool without a name"),
        ({"prompt": ASKED, "response": SAID, "tools": {"a": 1}}, "must be a list"),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [{}]}]},
            "tool call without a name",
        ),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": "x"}]}, "must be a list"),
    ],
)
def test_what_is_no_row_is_named(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRow, match=reason):
        read_examples(row)


def test_a_row_names_its_source_and_itself_or_its_file_does() -> None:
    assert source_of({"source": "a", "dataset": "b"}, "file") == "a"
    assert source_of({"dataset": "b"}, "file") == "b"
    assert source_of({"source": "a", "chunk": "c"}, "file", "chunk") == "c"
    assert source_of({"source": 3}, "file") == "file"
    assert (id_of({"id": 0}, "f-1"), id_of({"uuid": "u"}, "f-1"), id_of({"id": ""}, "f-1")) == ("0", "u", "f-1")
