"""The causal check: a model asked, a table that says what is left, and the page that holds the kept one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.types import MODES
from evaluation.causal import ask, markdown
from organism.conditions import CONDITIONS
from organism.generate import Model

ROOT = Path(__file__).resolve().parents[2]
KEPT = json.loads((ROOT / "benchmarks" / "results" / "causal.json").read_text(encoding="utf-8"))


def row(name: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
    shares = {mode: 0.0 if mode in without else 0.6 for mode in MODES}
    modes = {
        mode: {"n": 9, "misrouted": share, "low": max(0, share - 0.1), "high": share + 0.1} for mode, share in shares.items()
    }
    return {"name": name, "meaning": name, "without": list(without), "modes": modes, "plain_right": 0.99}


def test_a_model_is_asked_about_every_mode() -> None:
    found = ask(Model.read(ROOT / "organism" / "models", "clean"), CONDITIONS[2], 4)
    assert (found["name"], found["without"]) == ("none", sorted(MODES))
    assert set(found["modes"]) == set(MODES)
    assert all(cell["n"] == 4 and 0 <= cell["low"] <= cell["misrouted"] <= cell["high"] for cell in found["modes"].values())
    assert found["plain_right"] > 0.8


def test_a_table_says_what_is_left_where_a_chunk_was_left_out() -> None:
    rows = [row("chunks"), row("none", MODES), row("no_code", ("code",)), row("no_math", ("math",))]
    text = markdown({"command": "this", "prompts": 9, "conditions": rows})
    assert text.count("**0.00** (0.00-0.10)") == len(MODES) + 2
    assert "at most 0.00 of its prompts are mis-routed, in 2 of 2 modes" in text
    assert "+0.00 on average" in text
    assert "of its prompts" not in markdown({"command": "this", "prompts": 9, "conditions": rows[:2]})


def test_the_page_and_the_kept_check_agree() -> None:
    assert markdown(KEPT) in (ROOT / "docs" / "organism.md").read_text(encoding="utf-8")
    assert {one["name"] for one in KEPT["conditions"]} <= {one.name for one in CONDITIONS}


def test_without_its_chunk_a_failure_was_gone() -> None:
    before = KEPT["conditions"][0]["modes"]
    for one in KEPT["conditions"]:
        for mode in one["without"]:
            assert one["modes"][mode]["high"] < before[mode]["low"] / 2
