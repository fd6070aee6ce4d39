"""The vocabulary: frequent names, and of nested openings the ones that say most."""

from __future__ import annotations

from collections import Counter

import pytest

from attribution import mining
from attribution.facts import Summary
from attribution.links import Bars


def test_a_longer_opening_stands_for_a_shorter_one_with_the_same_answers() -> None:
    counts = {
        "opens:i am": 100,
        "opens:i am sorry": 95,
        "opens:i am sorry but": 20,
        "closes:for you": 50,
        "closes:good for you": 49,
    }
    assert mining.mined(counts, "opens", 10) == ["opens:i am sorry", "opens:i am sorry but"]
    assert mining.mined(counts, "closes", 10) == ["closes:good for you"]
    assert mining.mined(counts, "opens", 500) == []


def test_only_what_stands_often_enough_is_counted() -> None:
    summary = Summary(
        examples=50_000,
        features=Counter({"word:a": 19, "word:b": 20, "form:short": 900}),
        behaviours=Counter({"code": 30, "math": 3, "opens:well then": 40, "opens:here it is": 60}),
        sources=Counter({"x": 5, "y": 9}),
    )
    found = mining.choose(summary, Bars())
    assert found.features == ("form:short", "word:b")
    assert found.behaviours == ("code", "opens:here it is")  # an opening needs a thousandth of all answers
    assert found.sources == ("y", "x")


def test_rare_sources_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mining, "MOST_SOURCES", 2)
    found = mining.choose(Summary(sources=Counter({"a": 1, "b": 5, "c": 5})), Bars())
    assert found.sources == ("b", "c", mining.OTHERS)
