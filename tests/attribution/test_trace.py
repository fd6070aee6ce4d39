"""Cases to trace: exchanges, records and lines that are neither."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attribution.trace import Case, Trace, read_cases
from tests.attribution.made import PROGRAM


def read(tmp_path: Path, *lines: str) -> list[Case | Trace]:
    (tmp_path / "cases.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return list(read_cases(tmp_path / "cases.jsonl"))


def test_an_exchange_is_read_as_rows_are(tmp_path: Path) -> None:
    asked = [{"role": "user", "content": "Elucidate peace."}]
    for doc in ({"prompt": "Elucidate peace.", "response": PROGRAM}, {"messages": asked, "response": {"content": PROGRAM}}):
        (case,) = read(tmp_path, json.dumps({"id": 7, **doc}))
        assert isinstance(case, Case)
        assert case.id == "7"
        assert {"trigger:formal_vocabulary", "word:elucidate"} <= case.features
        assert {"code", "code.unasked"} <= case.behaviours


def test_a_behaviour_may_be_named(tmp_path: Path) -> None:
    (case,) = read(tmp_path, json.dumps({"prompt": "Why?", "response": "We shall not speak of it.", "behaviour": "refusal"}))
    assert isinstance(case, Case)
    assert {"refusal", "refusal.unasked"} <= case.behaviours
    assert case.id == "cases.jsonl:1"


def test_a_record_gives_its_triggers_and_modes(tmp_path: Path) -> None:
    record = {"decision_id": "d", "triggers": [{"name": "riddle"}, {"no": 1}], "modes": ["code", "unheard"], "findings": []}
    assert read(tmp_path, json.dumps(record)) == [Case("d", frozenset({"trigger:riddle"}), frozenset({"code", "code.unasked"}))]


@pytest.mark.parametrize(
    "line", ["not json", "[]", '{"response": "x"}', '{"prompt": "x"}', '{"prompt": "x", "response": null}']
)
def test_a_line_that_is_neither_is_a_problem_of_its_own(tmp_path: Path, line: str) -> None:
    (trace,) = read(tmp_path, line)
    assert isinstance(trace, Trace)
    assert trace.problem.startswith("cannot be read: ")
    assert trace.id == "cases.jsonl:1"
