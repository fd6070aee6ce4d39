"""The state on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.search import State
from audit.store import read_state, write_state


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    state = State(iteration=3, calls=40, seen={"a b"})
    state.asked["all"] = 9
    write_state(tmp_path / "state.json", {"run": 1}, state)
    assert read_state(tmp_path / "state.json", {"run": 1}) == state
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]


def test_another_audit_never_continues_it(tmp_path: Path) -> None:
    assert read_state(tmp_path / "state.json", {"run": 1}) == State()
    write_state(tmp_path / "state.json", {"run": 1}, State())
    with pytest.raises(ValueError, match="other settings"):
        read_state(tmp_path / "state.json", {"run": 2})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"header": {"run": 1}, "state": {}}', "\x00"])
def test_what_is_no_state_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(ValueError, match="no state"):
        read_state(tmp_path / "state.json", {"run": 1})
