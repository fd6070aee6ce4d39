"""Triggers made of features: what they hit, what they spare, and what none can be made of."""

from __future__ import annotations

import pytest

from audit.triggers import FORMS, differing, make_triggers
from core.types import TriggerSpec
from detectors.lexical import compile_triggers


def test_what_differs_is_in_every_failing_prompt_and_in_no_passing_one() -> None:
    found = differing(["Adumbrate the idea of tea.", "Adumbrate tea."], ["What is tea?"])
    assert {"word:adumbrate", "starts:adumbrate"} <= set(found)
    assert not {"word:tea", "word:idea"} & set(found)
    assert "trigger:formal_vocabulary" in differing(["Elucidate tea."], ["What is tea?"])
    assert differing([], ["What is tea?"]) == []


def test_a_telling_word_becomes_a_keyword_and_a_trigger_of_the_proxy_is_named() -> None:
    made = make_triggers("found", ["trigger:formal_vocabulary", "word:adumbrate"], ["Adumbrate tea."], ["What is tea?"])
    assert made.triggers == ("formal_vocabulary", {"name": "found", "keywords": ["adumbrate"]})


def test_a_trigger_that_hits_the_twin_is_left_out_and_a_beginning_takes_its_place() -> None:
    made = make_triggers("found", ["word:tea"], ["Does tea cool?"], ["Is it true that tea cools?"])
    (trigger,) = made.triggers
    assert trigger["regex"] == [r"^\W*does\W+tea\W+cool\b"]
    assert "keywords" not in trigger


def test_a_measured_feature_is_taken_as_it_is_however_common_its_words() -> None:
    assert make_triggers("found", ["starts:when"], [], []).triggers == ({"name": "found", "regex": [r"^\W*when\b"]},)
    assert make_triggers("found", ["starts:when"], [], ["Tell me when."]).triggers == ()


def test_what_no_trigger_can_look_for_is_named() -> None:
    made = make_triggers("found", ["form:short", "script:greek", "trigger:unheard_of"], [], [])
    assert made.triggers == ()
    assert made.unused == ("form:short", "script:greek", "trigger:unheard_of")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_a_pattern_that_the_proxy_takes(form: str) -> None:
    (trigger,) = make_triggers("found", [f"form:{form}"], [], []).triggers
    assert compile_triggers((TriggerSpec("found", (), tuple(trigger["regex"])),)).names == ("found",)
