"""Lines to labels: both formats, every way in which a line can be bad, and what reaches the judging."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from detectors.rows import BadRow, Line, exchange_of, files_of, lines_of, read_row


def line(row: Any, file: str = "set") -> Line:
    return Line(file, f"{file}.jsonl", 7, row if isinstance(row, bytes) else orjson.dumps(row))


GOOD = {"prompt": "Why?", "response": "So.", "behaviour": "none"}


def test_a_label_has_what_the_row_says_and_a_name_where_it_says_none() -> None:
    label, _ = read_row(line(GOOD))
    assert (label.id, label.source, label.lang, label.appropriate) == ("set-7", "set", "", None)
    row = {**GOOD, "id": 12, "lang": "de", "behaviour": "code", "appropriate": False, "source": "other"}
    label, _ = read_row(line(row))
    assert (label.id, label.source, label.lang) == ("12", "set/other", "de")
    assert (label.behaviour, label.appropriate) == ("code", False)
    assert read_row(line({**GOOD, "source": "set"}))[0].source == "set"


@pytest.mark.parametrize(
    ("change", "usable"),
    [({}, True), ({"behaviour": "unknown"}, False), ({"response": None}, False), ({"response": ""}, True)],
)
def test_rows_count_when_they_are_answered_and_labelled(change: dict[str, Any], usable: bool) -> None:
    assert read_row(line({**GOOD, **change}))[0].usable is usable


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"{broken", "not JSON"),
        (b'{"response": "\xff", "behaviour": "none"}', "not JSON"),
        ([], "not an object"),
        ({"prompt": "Why?", "behaviour": "none"}, "no 'response'"),
        ({"prompt": "Why?", "response": "So."}, "'behaviour' must be one of rebuttal"),
        ({**GOOD, "behaviour": "rant"}, "'behaviour' must be one of rebuttal"),
        ({**GOOD, "behaviour": ["code"]}, "'behaviour' must be one of rebuttal"),
        ({**GOOD, "appropriate": "yes"}, "'appropriate' must be true, false or null"),
        ({**GOOD, "appropriate": 1}, "'appropriate' must be true, false or null"),
        ({**GOOD, "lang": ["en"]}, "'lang' must be a string"),
        ({**GOOD, "id": True}, "'id' must be a string"),
    ],
)
def test_a_bad_line_says_why(row: Any, said: str) -> None:
    with pytest.raises(BadRow, match=said):
        read_row(line(row))


def test_an_exchange_holds_what_was_asked_and_nothing_of_the_label() -> None:
    tools = [{"type": "function", "function": {"name": "clock"}}]
    doc = exchange_of({**GOOD, "tools": tools, "max_tokens": 5, "stop": None, "lang": "en", "note": "x", "model": 3})
    assert doc == {
        "messages": [{"role": "user", "content": "Why?"}],
        "response": "So.",
        "tools": tools,
        "max_tokens": 5,
    }


def test_messages_are_taken_as_they_are_and_prompts_are_unfolded() -> None:
    messages = [{"role": "user", "content": "Human: hello"}]
    hello = [{"role": "user", "content": "hello"}]
    assert exchange_of({"messages": None, "prompt": "Human: hello", "response": "Hi."})["messages"] == hello
    assert exchange_of({"messages": messages, "response": "Hi."})["messages"] == messages
    doc = exchange_of({"prompt": '[tools offered: [{"name": "f"}]]\nHuman: hello', "response": "Hi."})
    assert doc["messages"] == [{"role": "user", "content": "hello"}]
    assert doc["tools"][0]["function"]["name"] == "f"


@pytest.mark.parametrize("row", [{"response": "x"}, {"prompt": 3, "response": "x"}])
def test_an_exchange_without_a_prompt_is_bad(row: dict[str, Any]) -> None:
    with pytest.raises(BadRow, match="'messages'"):
        exchange_of(row)


def test_an_offer_that_cannot_be_read_is_bad() -> None:
    with pytest.raises(BadRow, match="tools offered"):
        exchange_of({"prompt": "[tools offered: [{]]\nHuman: hello", "response": "x"})


def test_folders_give_their_files_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "c.txt"):
        (tmp_path / name).write_bytes(b"{}\n")
    assert [path.name for path in files_of([tmp_path / "c.txt", tmp_path, tmp_path / "a.jsonl"])] == [
        "c.txt",
        "a.jsonl",
        "b.jsonl",
    ]
    with pytest.raises(FileNotFoundError):
        files_of([tmp_path / "absent.jsonl"])


def test_lines_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    file = tmp_path / "set.jsonl"
    file.write_bytes(b"\n{}\n  \n[]")
    assert [(each.file, each.number, each.data.strip()) for each in lines_of(file)] == [("set", 2, b"{}"), ("set", 4, b"[]")]
    assert next(lines_of(file)).place == f"{file}:2"
