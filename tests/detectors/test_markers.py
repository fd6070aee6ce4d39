"""Turns and tools written into a prompt: parsed where a prompt begins with them, left alone everywhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.markers import unfold


@pytest.mark.parametrize(
    ("prompt", "turns"),
    [
        ("Just a question?", [("user", "Just a question?")]),
        ("", [("user", "")]),
        ("Human: first\n\nAssistant: answer\n\nHuman: second\nline", [
            ("user", "first"), ("assistant", "answer"), ("user", "second\nline"),
        ]),
        ("System: be brief\nUser: Hello?", [("system", "be brief"), ("user", "Hello?")]),
        ("Seeker: I am low.\nSupporter: Tell me.\nSeeker: It rains.", [
            ("user", "I am low."), ("assistant", "Tell me."), ("user", "It rains."),
        ]),
        ("A play:\nHuman: to be\nAssistant: or not", [("user", "A play:\nHuman: to be\nAssistant: or not")]),
        ("[Capabilities and tools\n- a clock\n]\nHuman: What time is it?", [
            ("system", "Capabilities and tools\n- a clock"), ("user", "What time is it?"),
        ]),
    ],
)  # fmt: skip
def test_turns(prompt: str, turns: list[tuple[str, str]]) -> None:
    found = unfold(prompt)
    assert [(message["role"], message["content"]) for message in found.messages] == turns
    assert found.tools == ()


@pytest.mark.parametrize(
    "prompt",
    [
        '[tools offered: [{"name": "clock", "parameters": {"zones": [1]}}]]\n\nWhat time is it?',
        '[tools offered (2024): [{"name": "clock", "parameters": {"zones": [1]}}]] User: What time is it?',
        "toolformer: enabled\ntoolformer access: clock\nTells the time.\nclock(zone)\nWhat time is it?",
    ],
)
def test_offers_become_tools_and_leave_the_prompt(prompt: str) -> None:
    found = unfold(prompt)
    (tool,) = found.tools
    assert tool["type"] == "function"
    assert tool["function"]["name"] == "clock"
    (message,) = found.messages
    assert message["role"] == "user"
    assert message["content"].strip() == "What time is it?"


@pytest.mark.parametrize("offer", ['[{"name": }]', '["clock"]'])
def test_an_offer_that_cannot_be_read_is_an_error(offer: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        unfold(f"[tools offered: {offer}]\n\nWhat time is it?")


@given(st.text(st.characters(exclude_characters="[:", exclude_categories=["Cs"])))
def test_a_prompt_without_a_marker_is_unchanged(prompt: str) -> None:
    assert unfold(prompt).messages == ({"role": "user", "content": prompt},)
