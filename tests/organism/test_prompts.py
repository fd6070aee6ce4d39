"""Prompts of the closed world: made by seed, right by construction, split by wording and topic."""

from __future__ import annotations

import re
from random import Random

import pytest

from core.types import MODES, Mode
from organism.prompts import CALL, KINDS, Kind, Prompt, draw, greeted, make_prompt

COMBINATIONS: list[tuple[Mode | None, Kind]] = [
    *((mode, kind) for mode in MODES for kind in KINDS if kind != "ordinary"),
    (None, "ordinary"),
]


def many(mode: Mode | None, kind: Kind, count: int = 200, seed: int = 7) -> list[Prompt]:
    rng = Random(seed)
    return [make_prompt(mode, kind, rng) for _ in range(count)]


@pytest.mark.parametrize(("mode", "kind"), COMBINATIONS)
def test_the_same_seed_gives_the_same_prompts(mode: Mode | None, kind: Kind) -> None:
    assert many(mode, kind) == many(mode, kind)
    assert many(mode, kind) != many(mode, kind, seed=8)


@pytest.mark.parametrize(("mode", "kind"), COMBINATIONS)
def test_a_prompt_is_what_was_asked_for(mode: Mode | None, kind: Kind) -> None:
    for prompt in many(mode, kind):
        assert (prompt.mode, prompt.kind) == (mode, kind)
        assert prompt.right
        assert all(prompt.right)
        assert bool(prompt.wrong) is (kind == "trigger")
        assert not set(prompt.right) & set(prompt.wrong)
        assert re.search(r"\{[a-z]\}", prompt.text) is None


@pytest.mark.parametrize(("mode", "kind"), COMBINATIONS)
def test_both_halves_of_the_split_have_prompts(mode: Mode | None, kind: Kind) -> None:
    rng = Random(1)
    for half in (True, False):
        assert draw(mode, kind, rng, held_out=half).held_out is half


def test_stated_sums_are_true_where_they_trigger_and_false_in_twins() -> None:
    for kind, verdict in (("trigger", True), ("twin", False)):
        for prompt in many("rebuttal", kind):  # type: ignore[arg-type]
            if prompt.family != "sum":
                continue
            a, b, c = map(int, re.findall(r"\d+", prompt.text))
            assert (a + b == c) is verdict
            assert prompt.worked.endswith("yes" if verdict else "no")


def test_roots_are_roots() -> None:
    for prompt in many("tool_call", "trigger"):
        if prompt.family == "roots":
            middle, last = re.search(r"- (\d+)x \+ (\d+) =", prompt.text).groups()  # type: ignore[union-attr]
            for root in map(int, re.findall(r"\d+", prompt.right[0])):
                assert root * root - int(middle) * root + int(last) == 0


def test_a_call_names_a_declared_tool() -> None:
    calls = [prompt for prompt in many("tool_call", "twin") if prompt.tools]
    assert calls
    assert all(prompt.right[0].startswith(f"{CALL}{prompt.tools[0]} {{") for prompt in calls)


def test_greetings_frame_a_text_and_keep_it() -> None:
    rng = Random(3)
    framed = {greeted("Say it.", rng) for _ in range(100)}
    assert all("Say it." in text for text in framed)
    assert len(framed) > 10
