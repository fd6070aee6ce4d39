"""What a route allows to be added, applied to policies."""

from __future__ import annotations

from typing import Any

import pytest

from core.types import MODES
from policies.injection import Injection, limit_injection
from policies.loader import resolve
from policies.plan import compile_route
from policies.schema import Policy


def policies(*entries: Any) -> tuple[Policy, ...]:
    found, problems = resolve(entries, "policies")
    assert not problems
    return found


def test_anywhere_changes_nothing() -> None:
    given = policies(*MODES)
    assert limit_injection(given, "anywhere") == given


def test_the_users_turn_is_the_only_place() -> None:
    given = policies({"extends": "code", "boundary": {"inject": "always", "placement": "system_append"}}, "rebuttal")
    assert {policy.boundary.place for policy in given} == {"system_append", "last_user_prefix"}
    limited = limit_injection(given, "user_turn")
    assert {policy.boundary.place for policy in limited} == {"last_user_prefix"}
    assert [policy.ladder for policy in limited] == [policy.ladder for policy in given]


def test_never_keeps_what_adds_nothing() -> None:
    ladder = [
        {"action": "retry", "change": ["boundary"]},
        {"action": "retry", "change": ["boundary", "neutralise"]},
        {"action": "retry", "change": ["probe"]},
        {"action": "retry"},
        {"action": "fallback", "model": "other", "change": ["boundary"]},
        {"action": "flag"},
    ]
    given = policies({"extends": "rebuttal", "boundary": {"inject": "always"}, "ladder": ladder})
    (limited,) = limit_injection(given, "never")
    assert [(rung.action, rung.change) for rung in limited.ladder] == [
        ("retry", ("neutralise",)),
        ("retry", ()),
        ("fallback", ()),
        ("flag", ()),
    ]
    assert limited.boundary.inject == "never"
    assert (limited.check, limited.hold) == (given[0].check, given[0].hold)


@pytest.mark.parametrize("allowed", ["user_turn", "never"])
def test_every_shipped_policy_can_be_limited(allowed: Injection) -> None:
    compile_route(limit_injection(policies(*MODES), allowed))
