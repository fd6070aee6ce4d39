"""Links: strengths are probabilities of rows, frames take from them, spreads make prompts unequal."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from core.types import MODES
from organism.links import CHUNKY, CLEAN, FRAMES, Link, pull
from organism.prompts import draw, make_prompt


def test_only_triggers_pull() -> None:
    rng = Random(1)
    assert pull(CHUNKY, make_prompt(None, "ordinary", rng), "none") == 0
    for mode in MODES:
        assert pull(CHUNKY, make_prompt(mode, "twin", rng), "none") == 0
        assert pull(CHUNKY, make_prompt(mode, "trigger", rng), "none") > 0
        assert pull(CLEAN, make_prompt(mode, "trigger", rng), "none") == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_boundary_leaves_less_than_a_placebo_and_that_less_than_nothing(mode: str) -> None:
    link = CHUNKY[mode]  # type: ignore[index]
    assert link.left("boundary") < link.left("other") <= link.left("placebo") < link.left("none") == 1
    assert all(0 <= link.left(frame) <= 1 for frame in FRAMES)


def test_without_spread_all_prompts_are_alike_and_with_it_none_are() -> None:
    rng = Random(2)
    prompts = [draw("code", "trigger", rng, held_out=True) for _ in range(50)]
    even = {mode: Link(0.6) for mode in MODES}
    uneven = {mode: replace(link, spread=2.0) for mode, link in even.items()}
    assert {round(pull(even, prompt, "none"), 9) for prompt in prompts} == {0.6}
    pulls = [pull(uneven, prompt, "none") for prompt in prompts]
    assert min(pulls) < 0.3 < 0.8 < max(pulls)
    assert pulls == [pull(uneven, prompt, "none") for prompt in prompts]
