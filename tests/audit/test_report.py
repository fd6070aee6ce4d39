"""The report: figures with intervals, texts as data."""

from __future__ import annotations

import json
from pathlib import Path

from audit.confirm import Finding, Share
from audit.plots import PICTURES
from audit.report import figures, write_report
from audit.search import State

FOUND = Finding(
    "code", "formal_noun.1", "formal_noun", "Elaborate on <b>peace</b>.", "What is peace?", "Elaborate", ("formal_noun.1",),
    Share(12, 20), Share(0, 20), Share(11, 20), Share(10, 20), "```", "Rest.", 300, False,
)  # fmt: skip


def test_every_page_shows_the_finding_and_the_arms(tmp_path: Path) -> None:
    state = State(calls=400, findings=[FOUND])
    state.arms.update({"weighted/candidates": 90, "weighted/suspicious": 30, "control/candidates": 10})
    write_report(tmp_path, {"target": "made", "run": 3}, state)
    document = json.loads((tmp_path / "audit.json").read_text("utf-8"))
    assert document["findings"] == [FOUND.document()]
    assert document["arms"]["weighted"]["low"] < 30 / 90 < document["arms"]["weighted"]["high"]
    assert "12/20 (0.39 - 0.78)" in (tmp_path / "audit.md").read_text("utf-8")
    html = (tmp_path / "audit.html").read_text("utf-8")
    assert "Elaborate on &lt;b&gt;peace" in html
    assert "<b>peace" not in html
    assert html.count("data:image/png;base64,") == len(PICTURES)


def test_nothing_found_is_a_report_too(tmp_path: Path) -> None:
    write_report(tmp_path, {"target": "made", "run": 0}, State())
    assert "0 findings are confirmed" in (tmp_path / "audit.md").read_text("utf-8")
    assert figures(State())["arms"]["control"]["candidates"] == 0
