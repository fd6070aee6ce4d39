"""The search as a whole, on a model whose triggers are known; killed and gone on with, it finds the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.confirm import Finding
from audit.pool import load_pool
from audit.search import BATCH, Plan, Search, State, distinct
from audit.store import read_state, write_state
from tests.audit.made import Made, asker

PLAN = Plan(("code", "math"), calls=1500, run=4)
HEADER = {"target": "made", **PLAN.document()}


def rate(prompt: str) -> float:
    return 0.6 if " of " in prompt else 0.0


def test_it_finds_what_is_there_and_keeps_to_its_budget() -> None:
    search = Search(load_pool(), asker(Made(rate), run=4), PLAN, State())
    told: list[Finding] = []
    while not search.over:
        search.step(told.append)
    found = search.state.findings
    assert found == told != []
    assert all(" of " in one.prompt and " of " not in one.twin for one in found)
    assert set(distinct(found)) == {"code"}
    assert len({one.group for one in found}) == len(found)
    assert search.state.calls < PLAN.calls + 200
    asked = search.state.arms["weighted/candidates"] + search.state.arms["control/candidates"]
    assert search.state.arms["control/candidates"] == pytest.approx(asked / BATCH, abs=2)
    assert len(search.state.seen) == asked


def test_a_model_without_a_fault_has_no_finding() -> None:
    search = Search(load_pool(), asker(Made(lambda prompt: 0.02)), Plan(("code",), calls=600), State())
    while not search.over:
        search.step()
    assert search.state.findings == []


def test_a_run_that_was_killed_finds_the_same(tmp_path: Path) -> None:
    whole = Search(load_pool(), asker(Made(rate), run=4), PLAN, State())
    for _ in range(150):
        whole.step()
    file = tmp_path / "state.json"
    for _ in range(150):
        search = Search(load_pool(), asker(Made(rate), run=4), PLAN, read_state(file, HEADER))
        search.step()
        write_state(file, HEADER, search.state)
        # What comes after the last write is lost: a step that was under way when the process died.
        Search(load_pool(), asker(Made(rate), run=4), PLAN, read_state(file, HEADER)).step()
    assert read_state(file, HEADER).document() == whole.state.document()
    assert whole.state.findings


def test_the_control_arm_alone_draws_uniformly() -> None:
    search = Search(load_pool(), asker(Made(rate)), Plan(("code",), calls=100, control=True), State())
    for _ in range(5):
        search.step()
    assert (search.state.arms["control/candidates"], search.state.arms["weighted/candidates"]) == (5, 0)


def test_a_budget_of_tokens_ends_it_too() -> None:
    search = Search(load_pool(), asker(Made(rate)), Plan(("code",), tokens=3), State())
    search.step()
    assert search.over
