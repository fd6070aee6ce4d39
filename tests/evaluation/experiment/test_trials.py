"""Trials through a real gateway over the organism: kept, never asked twice, never mixed with another experiment's."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.experiment.arms import settings_of
from evaluation.experiment.items import counts_of, make_items
from evaluation.experiment.trials import Trial, read_state, run_trials

ARMS = ("off", "full")
HEADER = {"seed": 1}
ITEMS = make_items(counts_of(4), 1, modes=["code"])


async def run(state: Path, most: int = 0) -> list[Trial]:
    settings = settings_of({"kind": "embedded", "seed": 1}, ARMS, state.parent, modes=["code"])
    return await run_trials(settings, ITEMS, ARMS, 1, "chunky", state, HEADER, most=most)


async def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    state = tmp_path / "trials.jsonl"
    first = await run(state, most=5)
    assert len(first) == 5
    with state.open("ab") as file:
        file.write(b'{"item": "cut o')  # as an interruption leaves it
    trials = await run(state)
    assert trials[:5] == first
    assert {trial.key for trial in trials} == {(item.name, arm, 0) for item in ITEMS for arm in ARMS}
    assert len(trials) == len(ITEMS) * len(ARMS)
    assert read_state(state, HEADER) == trials


async def test_an_untouched_first_answer_is_the_same_in_every_arm(tmp_path: Path) -> None:
    trials = {trial.key: trial for trial in await run(tmp_path / "trials.jsonl")}
    for item in ITEMS:
        if item.part == "plain":
            assert trials[item.name, "off", 0].outcome == trials[item.name, "full", 0].outcome
    assert all(trial.tokens > 0 and trial.calls >= 1 for trial in trials.values())


def test_another_experiments_state_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "trials.jsonl"
    assert read_state(state, HEADER) == []
    state.write_bytes(b'{"seed":2}\n')
    with pytest.raises(ValueError, match="other settings"):
        read_state(state, HEADER)
