"""Figures and their words from trials made by hand."""

from __future__ import annotations

from evaluation.experiment.items import counts_of, make_items
from evaluation.experiment.report import figures, markdown
from evaluation.experiment.trials import Trial

ITEMS = make_items(counts_of(4), 1, modes=["code"])
NAMES = [item.name for item in ITEMS if item.part == "trigger"]


def trial(name: str, arm: str, *, right: bool) -> Trial:
    return Trial(name, arm, 0, "right" if right else "misrouted", None if right else "code", 1 if arm == "off" else 2, 30, 5.0)


TRIALS = [
    *(trial(name, "off", right=name == NAMES[0]) for name in NAMES),
    *(trial(name, "full", right=name != NAMES[3]) for name in NAMES),
]


def test_arms_are_paired_with_none() -> None:
    found = figures(ITEMS, TRIALS, ["off", "full"])
    full = found["modes"]["code"]["full"]
    assert (full["n"], full["misrouted"], full["fixed"], full["broken"]) == (4, 1, 2, 0)
    assert (full["fix_rate"], full["break_rate"], full["calls"]) == (0.6667, 0.0, 2)
    assert found["overall"]["off"]["rate"] == 0.75
    assert found["missing"] == 0


def test_what_is_missing_is_counted_and_nowhere_else() -> None:
    found = figures(ITEMS, TRIALS[:-1], ["off", "full"])
    assert found["missing"] == 1
    assert found["modes"]["code"]["full"]["n"] == 3


def test_the_words_repeat_the_figures() -> None:
    text = markdown(figures(ITEMS, TRIALS[:-1], ["off", "full"]), {"seed": 1})
    assert "## `code`" in text
    assert "| full | 3 |" in text
    assert "1 answers are missing" in text
    assert "Nothing was asked." in text
