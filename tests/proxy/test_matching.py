"""When two matches tie."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config_model import Match
from proxy.matching import globs_meet, may_meet, rank, tie


@pytest.mark.parametrize(
    ("one", "other", "ties"),
    [
        ({}, {}, True),
        ({"path_prefix": "/a"}, {"path_prefix": "/b"}, False),
        ({"path_prefix": "/a"}, {"path_prefix": "/a"}, True),
        ({"path_prefix": "/a"}, {}, False),
        ({"model": "a"}, {"model": "b"}, False),
        ({"model": "a*"}, {"model": "*b"}, True),
        ({"model": "a*"}, {"model": "b*"}, False),
        ({"model": "a*"}, {"model": "ab"}, False),
        ({"key": "k"}, {"key": "l"}, False),
        ({"key": "k"}, {"header": {"x": "1"}}, False),
        ({"header": {"x": "1"}}, {"header": {"x": "2"}}, False),
        ({"header": {"x": "1"}}, {"header": {"y": "1"}}, True),
        ({"header": {"x": "1"}}, {"header": {"x": "1", "y": "1"}}, False),
        ({"header": {"x": "1"}, "path_prefix": "/a"}, {"header": {"y": "1"}}, False),
    ],
)
def test_a_tie_is_equal_rank_and_a_common_request(one: Any, other: Any, ties: bool) -> None:
    first, second = Match.model_validate(one), Match.model_validate(other)
    assert tie(first, second) is tie(second, first) is ties


def test_ranks_go_key_header_prefix_model() -> None:
    rising: list[dict[str, Any]] = [
        {}, {"model": "*"}, {"model": "a*"}, {"model": "abc*"}, {"model": "a"}, {"path_prefix": "/a"}, {"path_prefix": "/a/b"},
        {"header": {"x": "1"}}, {"key": "k"}, {"key": "k", "model": "a"},
    ]  # fmt: skip
    ranks = [rank(Match.model_validate(match)) for match in rising]
    assert ranks == sorted(ranks)
    assert not may_meet(Match(path_prefix="/a"), Match(path_prefix="/ab"))


@given(st.text("ab*?", max_size=4), st.text("ab*?", max_size=4))
def test_globs_meet_exactly_when_some_text_matches_both(one: str, other: str) -> None:
    texts = ("".join(letters) for size in range(9) for letters in product("ab", repeat=size))
    assert globs_meet(one, other) == any(fnmatchcase(text, one) and fnmatchcase(text, other) for text in texts)
