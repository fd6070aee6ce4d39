"""Figures from trials made by hand: paired, and what is missing is counted nowhere else."""

from __future__ import annotations

import pytest

from evaluation.experiment.figures import agreement, figures
from evaluation.experiment.items import counts_of, make_items
from evaluation.experiment.state import Failure, State, Trial

ITEMS = make_items(counts_of(4), 1, modes=["code"])
NAMES = [item.name for item in ITEMS if item.part == "trigger"]


def trial(name: str, arm: str, *, right: bool, verdict: str = "unjudged") -> Trial:
    outcome, mode = ("right", None) if right else ("misrouted", "code")
    calls = 1 if arm == "off" else 2
    return Trial(name, arm, 0, outcome, mode, calls, 30 * calls, 5.0 * calls, verdict=verdict)


def state(*trials: Trial | Failure) -> State:
    made = State()
    for one in trials:
        made.add(one)
    return made


TRIALS = [
    *(trial(name, "off", right=name == NAMES[0]) for name in NAMES),
    *(trial(name, "full", right=name != NAMES[3]) for name in NAMES),
]


def test_arms_are_paired_with_none() -> None:
    found = figures(ITEMS, state(*TRIALS), ["off", "full"], 1)
    full = found["modes"]["code"]["full"]
    assert (full["n"], full["misrouted"], full["fixed"], full["broken"]) == (4, 1, 2, 0)
    assert (full["fix_rate"], full["break_rate"], full["calls"]) == (0.6667, 0.0, 2)
    assert (full["extra_calls"], full["extra_tokens"], full["extra_ms"]) == ([1, 1, 1], [30, 30, 30], [5, 5, 5])
    assert found["overall"]["off"]["rate"] == 0.75
    assert found["spent"] == {"calls": 12, "tokens": 360}


def test_what_is_missing_is_counted_and_nowhere_else() -> None:
    failed = Failure(NAMES[3], "full", 0, "status 500")
    unread = Trial(NAMES[2], "full", 0, "", None, 1, 30, 5.0, answer={})
    found = figures(ITEMS, state(*TRIALS[:-2], unread, Failure(*unread.key, "judge: late", 0), failed), ["off", "full"], 1)
    asked = 2 * len(ITEMS)
    assert found["missing"] == {"failed": 2, "unasked": asked - 8, "reasons": {"judge: late": 1, "status 500": 1}}
    assert found["modes"]["code"]["full"]["n"] == 2


def test_agreement_is_of_unguarded_answers_by_mode() -> None:
    right = [trial(name, "off", right=True, verdict="clear") for name in NAMES[:2]]
    wrong = [trial(NAMES[2], "off", right=False, verdict="misrouted"), trial(NAMES[3], "off", right=False, verdict="suspect")]
    answers = {(one.item, one.sample): one for one in (*right, *wrong)}
    found = agreement(ITEMS, answers)
    assert list(found) == ["code", "all"]
    assert found["code"] == {
        "both": 1, "detectors_only": 0, "judge_only": 1, "neither": 2, "share": 0.75, "kappa": pytest.approx(0.5),
    }  # fmt: skip
    assert agreement(ITEMS, {(one.item, 0): one for one in right})["all"]["kappa"] is None
    assert agreement(ITEMS, {(one.item, 0): one for one in TRIALS[:4]}) == {}


def test_samples_of_one_prompt_are_no_independent_answers() -> None:
    many = [
        Trial(name, arm, sample, "right" if arm == "full" or name == NAMES[0] else "misrouted", None, 1, 1, 1.0)
        for name in NAMES
        for arm in ("off", "full")
        for sample in range(20)
    ]
    alone = figures(ITEMS, state(*(one for one in many if one.sample == 0)), ["off", "full"], 1)["overall"]["full"]
    found = figures(ITEMS, state(*many), ["off", "full"], 20)["overall"]["full"]
    assert found["n"] == 80
    assert found["p"] == alone["p"] == 0.25  # of three prompts, not of sixty answers
    low, high = found["gain_interval"]
    assert high - low > 0.5
