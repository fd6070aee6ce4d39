"""The quality table: intervals, retries and, in small, what the shipped models must show."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.types import MODES, Mode
from evaluation.organism import Cell, measure, retries, speed
from organism.generate import Model

FOLDER = Path(__file__).resolve().parents[2] / "organism" / "models"


@pytest.fixture(scope="module")
def chunky() -> Model:
    return Model.read(FOLDER, "chunky")


@pytest.fixture(scope="module")
def clean() -> Model:
    return Model.read(FOLDER, "clean")


@pytest.mark.parametrize("mode", MODES)
def test_the_chunky_model_misroutes_where_the_clean_one_does_not(chunky: Model, clean: Model, mode: Mode) -> None:
    found = measure(chunky, mode, "trigger", "none", 40).misrouted
    assert found >= 12
    assert measure(clean, mode, "trigger", "none", 40).misrouted <= 2


@pytest.mark.parametrize("mode", MODES)
def test_twins_are_right(chunky: Model, mode: Mode) -> None:
    assert measure(chunky, mode, "twin", "none", 25).right >= 22


def test_ordinary_requests_are_right(chunky: Model) -> None:
    cell = measure(chunky, None, "ordinary", "none", 25)
    assert cell.right >= 23
    assert cell.document()["n"] == 25


def test_retries_fail_less_often_the_more_there_are(chunky: Model) -> None:
    failing = retries(chunky, "refusal", 6, samples=8)
    assert 1 >= failing[1] >= failing[3] >= failing[5] >= 0


async def test_speed_is_tokens_by_the_work_of_one_core() -> None:
    found = await speed(FOLDER, 16)
    assert found["answers"] == 16
    assert found["per_second"] == pytest.approx(found["tokens"] / found["cpu_s"], rel=0.01)
    assert found["per_second"] >= 150


def test_a_cell_says_what_it_counted() -> None:
    assert Cell("code", "trigger", "none", 10, 4, 6, 1).document() | {} == {
        "mode": "code", "kind": "trigger", "frame": "none", "n": 10, "right": 0.4, "right_low": 0.1682, "misrouted": 0.6,
        "low": 0.3127, "high": 0.8318, "other_mode": 0.1,
    }  # fmt: skip
