"""The tuning: nothing of the test half in it, candidates that can be served, no choice by noise, true citations."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rich.console import Console

from core.types import MODES, Mode
from evaluation import tuning
from evaluation.efficacy import frozen_items
from evaluation.experiment.arms import settings_of
from evaluation.tuning import AGAIN, COUNTS, SEED, SHIPPED, arms_of, candidates, favourite, fingerprint, items_of, tune, wins
from organism import wordings
from organism.chunks import boundary
from organism.prompts import TEST_SHARE
from policies.loader import load_library

ROOT = Path(__file__).resolve().parents[2]
RESULTS = json.loads((ROOT / "benchmarks" / "results" / "tuning.json").read_text(encoding="utf-8"))
#: SHA-256 of every wording that raises a link, and of how the halves are split: frozen before anything was chosen.
FAMILIES = "a1d601c8d505003b769f6701293af88b2410371ad5f0daa478c39d31d773a469"


def test_trigger_families_are_the_frozen_ones() -> None:
    families = {name: getattr(wordings, name) for name in sorted(vars(wordings)) if name.endswith("_TRIGGERS")}
    assert len(families) == 10
    assert hashlib.sha256(json.dumps(families).encode()).hexdigest() == FAMILIES
    assert TEST_SHARE == 4


def test_nothing_of_the_test_half_is_tuned_on() -> None:
    frozen = {(i.prompt.family, i.prompt.wording, i.prompt.topic) for i in frozen_items() if i.prompt and i.prompt.topic}
    for mode in MODES:
        for counts, seed in ((COUNTS, SEED), (AGAIN, SEED + 1)):
            items = items_of(mode, counts, seed)
            assert {item.part for item in items} - {"trigger"}
            keys = {(item.prompt.family, item.prompt.wording, item.prompt.topic) for item in items if item.prompt}
            assert keys & frozen == set()


@pytest.mark.parametrize("mode", MODES)
def test_candidates_can_be_served_and_differ_from_what_is_shipped(mode: Mode) -> None:
    arms = arms_of(mode)
    settings = settings_of({"kind": "embedded"}, list(arms), Path(), policies=arms)
    found = {arm: fingerprint(settings.policies[arm][0]) for arm in arms if arm != "off"}
    assert len(candidates()[mode]) >= 4
    assert len(set(found.values())) == len(found)
    assert found[SHIPPED] == fingerprint(load_library()[mode])


def test_a_refusal_keeps_its_one_retry() -> None:
    arms = arms_of("refusal")
    settings = settings_of({"kind": "embedded"}, list(arms), Path(), policies=arms)
    for policies in settings.policies.values():
        assert all(sum(rung.attempts for rung in policy.ladder) <= 1 for policy in policies)
        assert all(policy.harm_at_most is not None for policy in policies)


def test_no_candidate_is_a_text_of_the_organism() -> None:
    def runs(text: str) -> set[tuple[str, ...]]:
        found = "".join(char if char.isalnum() else " " for char in text.lower()).split()
        return {tuple(found[start : start + 6]) for start in range(len(found) - 5)}

    rng = Random(8)
    rows = [*wordings.PLACEBOS, *(text for texts in wordings.BOUNDARIES.values() for text in texts)]
    rows += [boundary(mode, rng) for mode in MODES for _ in range(300)]
    theirs = set().union(*map(runs, rows))
    texts = [one.get("boundary", {}).get("text", {}).get("en", "") for found in candidates().values() for one in found.values()]
    assert [text for text in texts if runs(text) & theirs] == []


def row(gain: float, low: float, broken: int = 0, calls: float = 1.2) -> dict[str, Any]:
    return {"over_shipped": [gain, low, 1.0], "broken_elsewhere": broken, "calls": calls}


def test_only_what_is_surely_better_and_harms_no_more_wins() -> None:
    rows = {"off": row(-0.5, -0.6), SHIPPED: row(0, 0, broken=1)}
    assert favourite({**rows, "worse": row(-0.1, -0.2)}) is None
    assert favourite({**rows, "harmful": row(0.3, 0.1, broken=2), "dear": row(0.3, 0.1, calls=1.6)}) is None
    assert favourite({**rows, "good": row(0.2, 0.05, broken=1), "best": row(0.3, -0.02)}) == "best"
    assert not wins(row(0.2, -0.01), rows[SHIPPED])
    assert not wins(row(0.2, 0.01, broken=2), rows[SHIPPED])
    assert wins(row(0.2, 0.01, calls=1.9), row(0, 0, calls=2.0))


def test_a_run_in_small_goes_on_and_chooses_by_the_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    says = {"says_causes": candidates()["fiction"]["says_causes"]}
    monkeypatch.setattr(tuning, "COUNTS", {"trigger": 1, "twin": 1})
    monkeypatch.setattr(tuning, "candidates", lambda: {"fiction": says})
    quiet = Console(quiet=True)
    found = tune("fiction", tmp_path, quiet, quiet=True)
    state = (tmp_path / "fiction.jsonl").read_bytes()
    assert tune("fiction", tmp_path, quiet, quiet=True) == found
    assert (tmp_path / "fiction.jsonl").read_bytes() == state
    assert set(found["arms"]) == {*tuning.RIVALS, SHIPPED, *says}
    assert found["chosen"] == SHIPPED  # one prompt makes nothing sure


@pytest.mark.parametrize("mode", MODES)
def test_results_follow_from_their_rule(mode: Mode) -> None:
    found = RESULTS["modes"][mode]
    assert set(found["arms"]) == {*tuning.RIVALS, SHIPPED, *candidates()[mode]}
    best = favourite(found["arms"])
    won = best is not None and wins(found["again"][best], found["again"][SHIPPED])
    assert found["chosen"] == (best if won else SHIPPED)
    assert found["chosen"] == SHIPPED, "what wins is shipped, and then measured again"


@pytest.mark.parametrize("mode", MODES)
def test_a_policy_cites_the_results_that_are_about_it(mode: Mode) -> None:
    assert RESULTS["modes"][mode]["policy"] == fingerprint(load_library()[mode])
    text = (ROOT / "policies" / "library" / f"{mode}.yaml").read_text(encoding="utf-8")
    assert f"benchmarks/results/tuning.json, modes.{mode}" in text
