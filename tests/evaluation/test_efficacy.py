"""The campaign in small: frozen prompts, a run that goes on, figures from a real gateway over the organism."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from evaluation import efficacy
from evaluation.efficacy import COUNTS, campaign, frozen_items


def test_the_prompts_are_the_frozen_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    items = frozen_items()
    assert sum(item.part == "trigger" for item in items) == 8 * COUNTS["trigger"]
    assert sum(item.part == "harm" for item in items) == sum(item.part == "false_premise" for item in items) == 500
    monkeypatch.setattr(efficacy, "SEED", 1)
    with pytest.raises(ValueError, match="not the frozen ones"):
        frozen_items()


def test_a_campaign_goes_on_where_it_was(tmp_path: Path) -> None:
    first = campaign(tmp_path, Console(quiet=True), share=0.002, quiet=True)
    state = (tmp_path / "triggers.jsonl").read_bytes()
    again = campaign(tmp_path, Console(quiet=True), share=0.002, quiet=True)
    assert again == first
    assert (tmp_path / "triggers.jsonl").read_bytes() == state
    assert first["overall"]["full"]["n"] == 5
    assert set(first["controls"]) == {"clean", "shuffled"}
