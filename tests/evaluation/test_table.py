"""Who is positive, ordinary, a look-alike or left out, for each mode and for all of them together."""

from __future__ import annotations

import numpy as np
import pytest

from core.types import MODES
from evaluation.baselines import CODE_FENCE, REFUSAL_LIST
from evaluation.table import ANY, make_table
from tests.evaluation.made import judged

ROWS = [
    judged("code", False, {"code": (2, 0.9), "math": (1, 0.5)}, baselines=(False, True)),
    judged("code", True, baselines=(False, True)),
    judged("code", None),
    judged("refusal", False, {"refusal": (1, 0.4)}, baselines=(True, False)),
    judged("refusal", True, {"refusal": (-1, 0.0)}),
    judged("none", None, lang=""),
    judged("none", True, {"math": (2, 0.8)}),
]


def places(found: np.ndarray) -> list[int]:
    return np.flatnonzero(found).tolist()


@pytest.mark.parametrize(
    ("name", "positive", "look_alike", "ordinary"),
    [
        ("code", [0], [1], [3, 4, 5, 6]),
        ("refusal", [3], [4], [0, 1, 2, 5, 6]),
        ("math", [], [], [0, 1, 2, 3, 4, 5, 6]),
        (ANY, [0, 3], [1, 4], [5, 6]),
    ],
)
def test_classes(name: str, positive: list[int], look_alike: list[int], ordinary: list[int]) -> None:
    classes = make_table(ROWS).classes(name)
    assert places(classes.positive) == positive
    assert places(classes.look_alike) == look_alike
    assert places(classes.ordinary) == ordinary
    assert places(classes.negative) == sorted(ordinary + look_alike)


def test_a_mode_that_is_not_chosen_is_ordinary_to_all_together() -> None:
    table = make_table(ROWS, ["code"])
    assert table.names == (ANY, "code")
    assert places(table.classes(ANY).positive) == [0]
    assert places(table.classes(ANY).ordinary) == [3, 4, 5, 6]
    assert table.score(ANY).tolist() == [0.9, 0, 0, 0, 0, 0, 0]


def test_chosen_modes_stand_in_the_order_of_the_mode_table() -> None:
    table = make_table(ROWS, ["math", "code"])
    assert table.modes == ("code", "math")
    assert table.score("math").tolist() == [0.5, 0, 0, 0, 0, 0, 0.8]


def test_any_mode_has_the_highest_score_and_level() -> None:
    table = make_table(ROWS)
    assert table.score(ANY).tolist() == [0.9, 0, 0, 0.4, 0, 0, 0.8]
    assert table.level(ANY).tolist() == [2, 0, 0, 1, 0, 0, 2]
    assert table.own_level().tolist() == [2, 0, 0, 1, -1, -1, -1]


def test_unchecked_rows_are_known() -> None:
    table = make_table(ROWS)
    assert places(table.unchecked("refusal")) == [4]
    assert places(table.unchecked("code")) == []
    assert places(table.unchecked(ANY)) == [4]


def test_baselines_stand_beside_their_mode_and_together_beside_all() -> None:
    table = make_table(ROWS)
    assert {name: places(flags) for name, flags in table.baselines("code").items()} == {CODE_FENCE: [0, 1]}
    assert {name: places(flags) for name, flags in table.baselines("refusal").items()} == {REFUSAL_LIST: [3]}
    assert table.baselines("math") == {}
    assert [places(flags) for flags in table.baselines(ANY).values()] == [[0, 1, 3]]
    assert make_table(ROWS, ["math"]).baselines(ANY) == {}
    assert list(make_table(ROWS, ["code"]).baselines(ANY)) == [CODE_FENCE]


def test_languages_and_sources() -> None:
    table = make_table(ROWS)
    assert table.langs.tolist() == ["en"] * 5 + ["?", "en"]
    assert set(table.sources.tolist()) == {"made"}
    assert table.scores.shape == (7, len(MODES))
