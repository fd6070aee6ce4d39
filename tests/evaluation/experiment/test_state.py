"""The state on disk: whole after any interruption, paid once, never another experiment's."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.experiment.state import Failure, State, Trial, begin, read_state, write_line

HEADER = {"seed": 1}
DONE = Trial("a", "off", 0, "right", None, 2, 30, 5.0)
UNREAD = Trial("b", "off", 0, "", None, 1, 20, 5.0, answer={"content": "x"})
READ = Trial("b", "off", 0, "broken", None, 1, 20, 5.0, judge_calls=1, judge_tokens=70)
FAILED = Failure("c", "off", 0, "status 500", 3, 7)


def write(file: Path, *lines: Trial | Failure) -> State:
    begin(file, HEADER)
    with file.open("ab") as out:
        for line in lines:
            write_line(out, line)
    return read_state(file, HEADER)


def test_what_is_written_is_read_and_spent_once(tmp_path: Path) -> None:
    state = write(tmp_path / "s.jsonl", DONE, UNREAD, Failure("b", "off", 0, "judge: late", 0), FAILED, READ)
    assert list(state.trials.values()) == [DONE, READ]
    assert list(state.failed.values()) == [FAILED]
    assert (state.calls, state.tokens) == (2 + 1 + 1 + 3, 30 + 20 + 70 + 7)


def test_a_line_that_was_cut_off_is_left_out_and_taken_away(tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    write(file, DONE)
    with file.open("ab") as out:
        out.write(b'{"item": "cut o')
    assert list(read_state(file, HEADER).trials.values()) == [DONE]
    assert list(write(file, READ).trials.values()) == [DONE, READ]


def test_another_experiments_state_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    assert read_state(file, HEADER) == State()
    for content in (b'{"seed":2}\n', b"no state at all\n"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="other settings"):
            read_state(file, HEADER)
