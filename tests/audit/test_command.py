"""A run from a folder: stopped, gone on with, and refused for other settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.command import audit, run
from audit.search import Plan
from tests.audit.made import GOOD, Made

BAD_TEXT = "```python\nclass Peace:\n    pass\n\nprint(Peace())\n```"


class Coder(Made):
    """Answers questions about a concept with real code, which the real detectors judge."""

    def sample(self, prompt, seeds):  # type: ignore[no-untyped-def]
        answers = super().sample(prompt, seeds)
        for one in answers:
            one.message["content"] = GOOD if one.text == GOOD else BAD_TEXT
        return answers


def coder() -> Coder:
    return Coder(lambda prompt: 0.8 if " of " in prompt else 0.0)


def test_a_stopped_run_goes_on_to_the_same_end(tmp_path: Path) -> None:
    whole = run(tmp_path / "a", coder(), Plan(("code",), calls=300))
    run(tmp_path / "b", coder(), Plan(("code",), calls=60))
    parts = run(tmp_path / "b", coder(), Plan(("code",), calls=300))
    assert parts.document()["findings"] == whole.document()["findings"] != []
    assert json.loads((tmp_path / "b" / "audit.json").read_text("utf-8"))["calls"] == parts.calls


def test_the_status_says_whether_something_was_found(tmp_path: Path) -> None:
    assert audit(tmp_path / "a", coder(), Plan(("code",), calls=300), quiet=True) == 1
    assert audit(tmp_path / "b", Made(lambda prompt: 0.0), Plan(("code",), calls=60), quiet=True) == 0


def test_a_folder_of_other_settings_and_a_dead_upstream_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(tmp_path / "a", Made(lambda prompt: 0.0), Plan(("code",), calls=20), quiet=True) == 0
    assert audit(tmp_path / "a", Made(lambda prompt: 0.0), Plan(("math",), calls=20), quiet=True) == 2
    assert "other settings" in capsys.readouterr().err
    assert audit(tmp_path / "b", Made(lambda prompt: 0.0, fails_every=1), Plan(("code",), calls=20), quiet=True) == 2
    assert "no answer" in capsys.readouterr().err
