"""The pictures of an audit: what they are drawn from."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.plots import PICTURES, draw, groups_of, odds_ratio, progress
from audit.search import State
from tests.audit.test_report import FOUND


def state() -> State:
    made = State(calls=900, findings=[FOUND])
    made.asked.update({"all": 100, "grand": 20, "grand.1": 20, "plain": 60, "rare": 2})
    made.hits.update({"code/all": 18, "code/grand": 15, "code/plain": 3, "code/rare": 2})
    return made


def test_groups_with_enough_answers_are_shown_the_worst_first() -> None:
    assert groups_of(state()) == ["grand", "plain"]


def test_an_odds_ratio_has_an_interval_around_it() -> None:
    middle, low, high = odds_ratio(15, 20, 3, 80)
    assert low < middle < high
    assert low > 10
    assert odds_ratio(5, 10, 50, 100)[0] == pytest.approx(1.0)


def test_every_finding_is_a_step() -> None:
    (axis,) = progress(state()).axes
    search, control = axis.lines
    assert list(search.get_xdata()) == [0, FOUND.found_at, 900]
    assert list(search.get_ydata()) == [0, 1, 1]
    assert list(control.get_ydata()) == [0, 0]


@pytest.mark.parametrize("made", [State(), state()])
def test_every_picture_is_drawn(tmp_path: Path, made: State) -> None:
    draw(made, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == set(PICTURES)
