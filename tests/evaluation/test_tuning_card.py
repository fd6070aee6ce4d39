"""The table of the tuning: made from the results, put where the page has room for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evaluation.tuning_card import place, table


def row(right: float, gain: float, broken: int = 0) -> dict[str, Any]:
    return {"right": right, "over_shipped": [gain, gain - 0.1, gain + 0.1], "broken_elsewhere": broken, "elsewhere": 30}


HEAD = {"command": "tune", "model": "abc"}
RIVALS = {name: row(0.4, -0.3) for name in ("off", "resample", "placebo")}
ARMS = {**RIVALS, "shipped": row(0.7, 0), "says_more": row(0.9, 0.2, broken=2)}


def test_every_candidate_stands_in_it() -> None:
    text = table({**HEAD, "modes": {"code": {"arms": ARMS, "chosen": "shipped"}}})
    assert text.splitlines()[4] == (
        "| `code` | 0.40 / 0.40 / 0.40 / 0.70 | `says_more` +20 (+10 to +30), breaks 2 of 30 | `shipped` |"
    )


def test_a_second_trial_is_told() -> None:
    again = {"off": row(0.4, -0.3), "shipped": row(0.7, 0), "says_more": row(0.7, 0.01)}
    text = table({**HEAD, "modes": {"code": {"arms": ARMS, "chosen": "shipped", "again": again}}})
    assert "`shipped`; on fresh prompts `says_more` +1 (-9 to +11)" in text


def test_it_is_put_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- tuning -->\nold\n<!-- /tuning -->\nafter\n", encoding="utf-8")
    place(page, "new")
    assert page.read_text("utf-8") == "before\n<!-- tuning -->\nnew\n<!-- /tuning -->\nafter\n"
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="no place"):
        place(page, "new")
