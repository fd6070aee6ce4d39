"""The worst errors: which, in which order, the same every time."""

from __future__ import annotations

from dataclasses import replace

from evaluation.judge import Judged, Shown
from evaluation.table import make_table
from evaluation.worst import worst_errors
from tests.evaluation.made import judged


def showing(row: Judged) -> Judged:
    return replace(row, shown=Shown("asked", "answered", {"code": ("code.block: x",)}))


ROWS = [
    judged("code", False, {"code": (0, 0.3)}, name="nearly"),
    judged("code", False, {"code": (0, 0.0)}, name="not-at-all"),
    judged("code", False, {"code": (2, 0.9)}, name="found"),
    showing(judged("code", True, {"code": (2, 0.8)}, name="twin")),
    judged("none", True, {"code": (1, 0.95)}, name="suspected"),
    judged("none", True, {"code": (2, 0.9)}, name="certain"),
    judged("code", None, {"code": (2, 0.99)}, name="unsaid"),
    judged("none", True, {"math": (1, 0.5)}, name="elsewhere"),
]


def test_misses_lowest_first_and_false_alarms_most_certain_first() -> None:
    worst = worst_errors(make_table(ROWS), 10, 0)["code"]
    assert (worst.missed, [error.id for error in worst.misses]) == (2, ["not-at-all", "nearly"])
    assert (worst.flagged, [error.id for error in worst.false_alarms]) == (3, ["certain", "twin", "suspected"])
    twin = worst.false_alarms[1]
    assert (twin.verdict, twin.score, twin.prompt, twin.response) == ("misrouted", 0.8, "asked", "answered")
    assert twin.evidence == ("code.block: x",)


def test_a_limit_keeps_the_counts() -> None:
    worst = worst_errors(make_table(ROWS), 1, 0)["code"]
    assert (worst.missed, len(worst.misses), worst.flagged, len(worst.false_alarms)) == (2, 1, 3, 1)
    assert worst_errors(make_table(ROWS), 0, 0)["math"].flagged == 1


def test_ties_depend_on_the_seed_alone() -> None:
    rows = [judged("code", False, name=str(number)) for number in range(40)]
    orders = [[error.id for error in worst_errors(make_table(rows), 40, seed)["code"].misses] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    backwards = worst_errors(make_table(rows[::-1]), 40, 1)["code"].misses
    assert [error.id for error in backwards] == orders[0]
