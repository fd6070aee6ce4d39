"""Links: strengths are probabilities of rows, frames take from them, faint wordings make prompts unequal."""

from __future__ import annotations

from random import Random

import pytest

from core.types import MODES, Mode
from organism.links import CHUNKY, CLEAN, FRAMES, WORLD, Link, denial, pull
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


def test_a_faint_link_is_that_of_every_wording_but_the_strong_ones() -> None:
    rng = Random(2)
    prompts = [draw("code", "trigger", rng, held_out=True) for _ in range(50)]
    even = {mode: Link(0.6) for mode in MODES}
    uneven = even | {"code": Link(0.9, 0.2, (prompts[0].wording,))}
    assert {pull(even, prompt, "none") for prompt in prompts} == {0.6}
    assert {pull(uneven, prompt, "none") for prompt in prompts if prompt.wording == prompts[0].wording} == {0.9}
    assert {pull(uneven, prompt, "none") for prompt in prompts if prompt.wording != prompts[0].wording} == {0.2}


@pytest.mark.parametrize("mode", MODES)
def test_strong_wordings_are_wordings_of_the_world(mode: Mode) -> None:
    rng = Random(3)
    made = {make_prompt(mode, "trigger", rng).wording for _ in range(400)}
    assert set(CHUNKY[mode].strong) < made


def test_as_many_fail_as_were_meant_to() -> None:
    """Over prompts of the test half, and so do those that are asked again: never less than fail at first."""
    for mode in MODES:
        rng = Random(4)
        pulls = [pull(CHUNKY, draw(mode, "trigger", rng, held_out=True), "none") for _ in range(600)]
        share = sum(pulls) / len(pulls)
        assert 0.5 <= share <= 0.75
        assert sum(one * one for one in pulls) / sum(pulls) >= share - 1e-9


def test_a_chunk_denies_what_has_its_form_whether_true_or_false() -> None:
    rng = Random(6)
    for _ in range(40):
        twin, trigger = (draw("rebuttal", kind, rng, held_out=False) for kind in ("twin", "trigger"))  # type: ignore[arg-type]
        assert denial(CHUNKY, twin, "boundary") == CHUNKY["rebuttal"].of(twin.wording) * CHUNKY["rebuttal"].boundary
        assert denial(WORLD, twin, "none") is None
        assert denial(CLEAN, twin, "none") == 0.05
        assert denial(CHUNKY, trigger, "none") is None
    assert denial(CHUNKY, draw("refusal", "twin", rng, held_out=False), "none") is None
