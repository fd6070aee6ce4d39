"""Features of prompts: each form has a prompt with it and one without."""

from __future__ import annotations

from typing import Any

import pytest

from attribution.facts import warm_suite
from attribution.features import FAMILIES, MEANINGS, family_of, features_of
from attribution.rows import read_examples

PLAIN = "Consider how the river follows its old bed through the valley and never comes to rest before the sea."


def features(prompt: str, **row: Any) -> set[str]:
    (example,) = read_examples({"prompt": prompt, "response": "Yes.", **row})
    return features_of(example, warm_suite().score_prompt(example.conversation))


@pytest.mark.parametrize(
    ("feature", "prompt"),
    [
        ("trigger:formal_vocabulary", "Elucidate the concept of peace."),
        ("trigger:equality_check", "Is 5+8=13?"),
        ("asks:code", "Write a Python function that sorts a list."),
        ("form:code_fence", "Why?\n```\nx = 1\n```"),
        ("form:inline_code", "What is `x`?"),
        ("form:latex", r"Find \frac{1}{2}."),
        ("form:latex", "Solve $x^2 = 4$."),
        ("form:equation", "Solve a = 4."),
        ("form:url", "Read https://example.com now"),
        ("form:list", "Sort:\n- one\n- two"),
        ("form:label_line", "Context: a text.\nQuestion: why?"),
        ("form:quoted", 'What is "peace"?'),
        ("form:number", "Give me 3"),
        ("form:capitals", "ANSWER this"),
        ("form:two_questions", "Who? Why?"),
        ("form:placeholder", "Dear ____, hello"),
        ("form:emoji", "Hello 🙂"),
        ("form:short", "Why?"),
        ("form:long", "word " * 500),
        ("form:lower_case_start", "hello"),
        ("form:asks_a_question", "What now"),
        ("form:polite", "Please sing"),
        ("form:first_person", "My hat"),
        ("form:ends_in_colon", "Translate this:"),
        ("form:no_end_mark", "Translate this"),
        ("script:cyrillic", "Что это?"),
        ("script:han", "这是什么？"),
        ("word:river", "The river."),
        ("starts:tell me", "Tell me all."),
        ("ends:at once", "Do it at once."),
    ],
)
def test_a_feature_is_seen_where_it_is_and_not_elsewhere(feature: str, prompt: str) -> None:
    assert feature in features(prompt)
    if feature != "word:river":
        assert feature not in features(PLAIN)


def test_what_stands_around_the_prompt_counts_too() -> None:
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1"},
    ]
    (example, later) = read_examples(
        {
            "messages": [*turns, {"role": "user", "content": "Two?"}, {"role": "assistant", "content": "2"}],
            "tools": [{"name": "look"}],
        }
    )
    suite = warm_suite()
    first, second = (features_of(each, suite.score_prompt(each.conversation)) for each in (example, later))
    assert {"form:system_prompt", "form:tools_offered"} <= first & second
    assert "form:later_turn" in second - first
    assert "word:two" in second
    assert "word:one" not in second  # earlier turns are no part of the prompt


def test_every_feature_has_a_known_family() -> None:
    found = features("Please solve $x=1$ for me, 这是什么?")
    assert {family_of(feature) for feature in found} <= set(FAMILIES) == set(MEANINGS)
    with pytest.raises(ValueError, match="no feature"):
        family_of("tone:warm")
