"""Pattern sets: the same answer from either engine, and the way from a lexicon's regions to them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.lexicons import load_table
from detectors.patterns import PatternSet, Rare, Region
from detectors.phrases import FILES, load_groups, lower

PATTERNS = (("a", r"\bno[^.\n]{0,30}cat"), ("b", "собак[аи]"), ("a", r"^yes\b"), ("c", "x{2,}|nothing here"))


@pytest.mark.parametrize("rare", [False, True])
def test_it_says_which_patterns_occur_and_where_in_characters(rare: bool) -> None:
    patterns = PatternSet(PATTERNS, rare=rare)
    data = "две собаки, no black cat".encode()
    assert sorted(patterns.match(data)) == [0, 1]
    assert [patterns.group(number) for number in (0, 1)] == ["a", "b"]
    assert patterns.span(1, data) == (4, 10)
    assert patterns.span(0, data) == (12, 24)
    assert patterns.span(0, b"no cat") == (0, 6)


def test_patterns_that_need_no_literal_keep_their_numbers() -> None:
    rare = Rare((r"\d+", "cat", r"[aeiou]{3}", "queue|dog"))
    assert sorted(rare.Match(b"a queue of 3") or ()) == [0, 2, 3]
    assert rare.Match(b"cat") == [1]
    assert rare.Match(b"why") is None
    assert sorted(Rare((r"\d", r"\s")).likely(b"1 2") or ()) == [0, 1]
    assert Rare(("no[^.]{0,9}cat",)).likely(b"cat, no") == [0]


@pytest.mark.parametrize("rare", [False, True])
def test_no_patterns_match_nothing(rare: bool) -> None:
    assert not PatternSet((), rare=rare).match(b"anything")


def every_pattern() -> list[tuple[str, str]]:
    entries = load_groups().items()
    return [(group, each) for group, entry in entries for rows in entry.get("patterns", {}).values() for each in rows]


WORDS = sorted({word for name in FILES for word in re.findall(r"[^\W\d_]{2,}", str(load_table(name).get("groups")))})


@settings(deadline=None)  # the first text compiles the lexicon
@given(st.lists(st.sampled_from([*WORDS, "i", "you", "не", ",", ".", "'", "1+1", "—", '"']), max_size=40).map(" ".join))
def test_both_engines_find_the_same(text: str) -> None:
    for one, other in ENGINES:
        data = lower(text).encode()
        found = sorted(one.match(data))
        assert found == sorted(other.match(data))
        assert found == [number for number in sorted(other.likely(data)) if other.span(number, data) is not None]


ENGINES = [(PatternSet(every_pattern()), PatternSet(every_pattern(), rare=True))]


def test_a_region_reads_its_own_patterns_in_every_script() -> None:
    groups = {
        "here": {"region": "head", "patterns": {"en": ["^no", "i [^.]{0,60}can"], "de": [r"\büber"], "ja": ["猫"]}},
        "there": {"region": "prompt", "patterns": {"en": ["no"]}},
        "wordless": {"region": "head", "words": {"en": ["no"]}},
    }
    region = Region(groups, "head")

    def found(text: str) -> list[str]:
        likely = region.likely(text)
        sure = [patterns.group(number) for patterns, number, data in likely if patterns.span(number, data) is not None]
        assert region.find(text) == set(sure)
        return sure

    assert found("no, i think you can") == ["here", "here"]
    assert found("darüber") == []
    assert found("nicht über uns") == ["here"]
    assert found("猫") == ["here"]
    assert found("I say no") == []
