"""The organism's card: bars say what was found, the page holds the kept figures, and those are the shipped models'."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from core.types import MODES
from evaluation.organism_card import bars, cells_of, left, markdown, place

ROOT = Path(__file__).resolve().parents[2]
KEPT = json.loads((ROOT / "benchmarks" / "results" / "organism.json").read_text(encoding="utf-8"))


def cell(mode: str, kind: str, frame: str, misrouted: float, right: float) -> dict[str, Any]:
    return {"mode": mode, "kind": kind, "frame": frame, "misrouted": misrouted, "right": right}


def all_cells(**changed: float) -> list[dict[str, Any]]:
    shares = {"none": 0.6, "placebo": 0.5, "boundary": 0.3, "shipped": 0.2, **changed}
    found = [cell(mode, "trigger", frame, share, 1 - share) for mode in MODES for frame, share in shares.items()]
    return [*found, *(cell(mode, kind, "none", 0.0, 0.96) for mode in MODES for kind in ("plain", "twin"))]


def test_a_model_as_it_should_be_holds_every_bar() -> None:
    again = {"rebuttal": {"1": 0.7, "3": 0.5, "5": 0.45}}
    found = list(bars(cells_of(all_cells()), again | {mode: {"1": 0, "3": 0, "5": 0} for mode in MODES if mode != "rebuttal"}))
    assert {bar.mode for bar in found if bar.remark} == {"code", "math"}
    short = {(bar.mode, bar.name[:7]) for bar in found if not bar.held}
    assert short == {(mode, "retries") for mode in ("code", "refusal", "math", "analytic")}


@pytest.mark.parametrize(
    ("changed", "bar"), [({"boundary": 0.55}, "a boundary"), ({"placebo": 0.2}, "a placebo"), ({"none": 0.4}, "mis-routed")]
)
def test_what_falls_short_is_counted(changed: dict[str, float], bar: str) -> None:
    found = [one for one in bars(cells_of(all_cells(**changed)), {}) if one.name.startswith(bar)]
    assert len(found) == len(MODES)
    assert not any(one.held for one in found)


def test_what_is_left_is_a_share_of_what_was_there() -> None:
    cells = cells_of(all_cells(none=0.5, boundary=0.2))
    assert left(cells, "code", "boundary") == pytest.approx(0.4)
    assert left(cells_of(all_cells(none=0.0)), "code", "boundary") == 0


def test_a_table_goes_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- measured -->\nold\n<!-- /measured -->\nb\n", encoding="utf-8")
    place(page, "new")
    assert page.read_text(encoding="utf-8") == "a\n<!-- measured -->\nnew\n<!-- /measured -->\nb\n"
    with pytest.raises(ValueError, match="no place for the text 'causal'"):
        place(page, "new", "causal")
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="no place"):
        place(page, "new")


def test_the_page_and_the_kept_figures_are_those_of_the_shipped_models() -> None:
    assert markdown(KEPT) in (ROOT / "docs" / "organism.md").read_text(encoding="utf-8")
    for name, model in KEPT["models"].items():
        assert hashlib.sha256((ROOT / "organism" / "models" / f"{name}.onnx").read_bytes()).hexdigest() == model["sha256"]
    assert KEPT["speed"]["per_second"] >= 150
