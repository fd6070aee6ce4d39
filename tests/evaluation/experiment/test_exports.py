"""CSV: every figure has a column, every trial a line, and no text stands in them."""

from __future__ import annotations

import csv
from pathlib import Path

from evaluation.experiment.exports import write_figures, write_trials
from evaluation.experiment.figures import figures
from tests.evaluation.experiment.test_figures import ITEMS, TRIALS, state


def test_every_arm_of_every_group_is_a_line(tmp_path: Path) -> None:
    file = tmp_path / "experiment.csv"
    found = figures(ITEMS, state(*TRIALS), ["off", "full"], 1)
    write_figures(file, found)
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["group"], row["name"], row["arm"]) for row in rows] == [
        ("triggers", "all", "off"), ("triggers", "all", "full"), ("triggers", "code", "off"), ("triggers", "code", "full"),
    ]  # fmt: skip
    full = found["overall"]["full"]
    assert float(rows[1]["fix_low"]) == full["fix_interval"][0]
    assert float(rows[1]["extra_tokens_high"]) == full["extra_tokens"][2]
    assert (rows[0]["fixed"], rows[1]["fixed"]) == ("0", "2")


def test_trials_are_lines_without_texts(tmp_path: Path) -> None:
    file = tmp_path / "trials.csv"
    write_trials(file, ITEMS, TRIALS)
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == len(TRIALS)
    assert rows[0]["part"] == "trigger"
    assert rows[0]["item_mode"] == "code"
    assert not any(item.text in file.read_text("utf-8") for item in ITEMS)
