"""What `make bench` claims rests on: a bar that must fall short does, and sizes are what they are called."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = str(Path(__file__).resolve().parents[1] / "benchmarks")


@pytest.fixture
def growth(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [BENCHMARKS, *sys.path])
    return importlib.import_module("growth")


@pytest.mark.parametrize(("costs", "holds"), [((100, 200, 400), True), ((100, 120, 140), True), ((100, 200, 440), False)])
def test_a_cost_that_outgrows_its_bytes_falls_short(growth: Any, costs: tuple[int, ...], holds: bool) -> None:
    found = {f"turns {2**i}": {"bytes": 1000 * 2**i, "cpu_us": cost} for i, cost in enumerate(costs)}
    assert growth._bar("x", "turns", found)[1] is holds


def test_each_size_is_twice_the_one_before(growth: Any) -> None:
    groups = growth.sizes()
    for kind, of in (("answers", lambda pair: len(pair[1]["choices"][0]["message"]["content"])),
                     ("turns", lambda pair: len(pair[0]["messages"]))):  # fmt: skip
        sizes = {name: [of(pair) for pair in pairs] for name, pairs in groups.items() if name.startswith(kind)}
        for name, found in sizes.items():
            assert all(abs(size - int(name.split()[1])) <= 1 for size in found), name


def test_the_closing_line_counts_what_falls_short(growth: Any, capsys: pytest.CaptureFixture[str]) -> None:
    bars = importlib.import_module("bars")
    assert bars.show([("one", True, "1"), ("two", False, "2")]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 bars hold, 1 fall short"
