"""Lines judged: the guard's own verdicts, bad lines, what is kept of texts."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import MODES, Level
from detectors.rows import Line
from evaluation.judge import Judged, Problem, excerpt, judge, judge_line
from proxy.scan import warm_checker
from tests.evaluation.made import CODE, ROWS


def line(row: Any, number: int = 1) -> Line:
    return Line("set", "set.jsonl", number, orjson.dumps(row))


def row(name: str) -> dict[str, Any]:
    (found,) = [each for each in ROWS if each["id"] == name]
    return found


def judged(name: str, *, texts: bool = True) -> Judged:
    found = judge_line(line(row(name)), texts=texts)
    assert isinstance(found, Judged)
    return found


@pytest.mark.parametrize(
    ("name", "mode", "level"),
    [
        ("sum", "rebuttal", Level.MISROUTED),
        ("false-sum", "rebuttal", Level.CLEAR),
        ("peace", "code", Level.MISROUTED),
        ("asked", "code", Level.CLEAR),
    ],
)
def test_the_verdict_is_the_guards(name: str, mode: str, level: Level) -> None:
    found = judged(name)
    verdict = warm_checker().check(row(name))["modes"]
    assert found.levels[MODES.index(mode)] == level
    assert [round(score, 4) for score in found.scores] == [verdict[each]["score"] for each in MODES]


def test_baselines_read_the_answer() -> None:
    assert judged("peace").baselines == (False, True)
    assert judged("declined").baselines == (True, False)


def test_wrong_rows_keep_what_a_reader_needs_to_see() -> None:
    missed = judged("missed").shown
    assert missed is not None
    assert (missed.prompt, missed.response) == ("Elucidate the concept of peace.", "peace = calm + time")
    false = judge_line(line({"prompt": "Elucidate the concept of peace.", "response": CODE, "behaviour": "none"}), texts=True)
    assert isinstance(false, Judged)
    assert false.shown is not None
    assert any("import math" in piece or "def peace" in piece or "```" in piece for piece in false.shown.evidence["code"])


def test_rightly_judged_rows_keep_no_text() -> None:
    assert judged("sum").shown is None
    assert judged("plain").shown is None


def test_without_texts_only_names_are_kept() -> None:
    raw = {"prompt": "Elucidate the concept of peace.", "response": CODE, "behaviour": "none"}
    found = judge_line(line(raw), texts=False)
    assert isinstance(found, Judged)
    assert found.shown is not None
    assert (found.shown.prompt, found.shown.response) == ("", "")
    assert found.shown.evidence["code"]
    assert all(name.startswith("code.") and "peace" not in name for name in found.shown.evidence["code"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": None}, "'messages'"),
        ({"messages": "hello"}, "'messages' must be an array"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content: "),
        ({"response": 5}, "response: "),
        ({"behaviour": "rant"}, "'behaviour'"),
    ],
)
def test_what_cannot_be_judged_is_a_problem_with_its_place(change: dict[str, Any], said: str) -> None:
    raw = {"prompt": "Why?", "response": "So.", "behaviour": "none", **change}
    found = judge_line(line(raw, 9), texts=True)
    assert isinstance(found, Problem)
    assert (found.path, found.number) == ("set.jsonl", 9)
    assert said in found.reason


def test_a_message_with_tool_calls_is_an_answer() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    raw = {"prompt": "Hello!", "response": {"role": "assistant", "content": None, "tool_calls": [call]}, "behaviour": "none"}
    found = judge_line(line(raw), texts=True)
    assert isinstance(found, Judged)
    assert found.levels[MODES.index("tool_call")] == Level.MISROUTED
    assert found.shown is not None
    assert found.shown.response == "clock({})"


def test_several_processes_judge_in_order() -> None:
    lines = [line({**ROWS[number % 4], "id": str(number)}, number) for number in range(150)]
    one = [row for batch in judge(lines, processes=1) for row in batch]
    two = [row for batch in judge(lines, processes=2) for row in batch]
    assert one == two
    assert [row.label.id for row in one if isinstance(row, Judged)] == [str(number) for number in range(150)]


@given(st.text(), st.integers(2, 30))
def test_excerpts_are_one_short_line(text: str, limit: int) -> None:
    found = excerpt(text, limit)
    assert len(found) <= limit
    assert "\n" not in found
    if not found.endswith("…"):
        assert found == " ".join(text.split())
