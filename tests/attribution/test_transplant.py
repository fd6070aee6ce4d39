"""A feature is put where it was not, and what is asked stays."""

from __future__ import annotations

import pytest

from attribution.facts import warm_suite
from attribution.features import features_of
from attribution.rows import read_examples
from attribution.transplant import transplant


@pytest.mark.parametrize(
    ("feature", "before", "after"),
    [
        ("word:elucidate", "Please explain the tides.", "Please elucidate the tides."),
        ("trigger:formal_vocabulary", "Explain the tides.", None),
        ("starts:elucidate the", "Explain the tides.", "Elucidate the tides."),
        ("ends:thank you", "Why is it so?", "Why is it so? Thank you."),
        ("form:latex", "Add 2 + 3 for me.", "Add $2 + 3$ for me."),
        ("form:quoted", "Why do rivers bend?", 'Why do "rivers" bend?'),
        ("form:label_line", "Why?", "Question: Why?"),
        (
            "trigger:passage_scaffold",
            "All cats purr. Tom is a cat. Does he?",
            "Context: All cats purr. Tom is a cat.\nQuestion: Does he?",
        ),
        ("form:no_end_mark", "Why is it so?", "Why is it so"),
        ("form:polite", "Why is it so?", None),
        ("form:first_person", "Why is it so?", None),
        ("form:exclamation", "Why is it so?", None),
        ("form:lower_case_start", "Why is it so?", "why is it so?"),
    ],
)
def test_a_feature_is_put_into_a_prompt(feature: str, before: str, after: str | None) -> None:
    (example,) = read_examples({"prompt": before, "response": "Because."})
    made = transplant(example, feature)
    assert made is not None
    assert after is None or made.prompt == after
    assert made.reply == example.reply
    assert feature in features_of(made, warm_suite().score_prompt(made.conversation))
    assert feature not in features_of(example, warm_suite().score_prompt(example.conversation))


@pytest.mark.parametrize(
    ("feature", "prompt"),
    [
        ("word:zebra", "Explain the tides."),  # no plainer word for it
        ("word:elucidate", "Sing."),
        ("trigger:product_name", "Explain the tides."),
        ("starts:elucidate a", "Explain the tides."),
        ("starts:sing the", "Explain the tides."),
        ("ends:in one word", "Explain the tides."),  # that would ask for something
        ("form:latex", "Explain the tides."),
        ("trigger:passage_scaffold", "Explain the tides."),
        ("asks:code", "Explain the tides."),
    ],
)
def test_what_no_rule_can_put_there_is_left(feature: str, prompt: str) -> None:
    (example,) = read_examples({"prompt": prompt, "response": "Because."})
    assert transplant(example, feature) is None


def test_earlier_turns_stay() -> None:
    turns = [{"role": "user", "content": "Explain 1."}, {"role": "assistant", "content": "One."}]
    _, example = read_examples(
        {"messages": [*turns, {"role": "user", "content": "Explain 2."}, {"role": "assistant", "content": "Two."}]}
    )
    made = transplant(example, "form:latex")
    assert made is not None
    assert [turn.text for turn in made.conversation.turns] == ["Explain 1.", "One.", "Explain $2$."]
