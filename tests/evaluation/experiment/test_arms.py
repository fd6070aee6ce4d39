"""Arms: each a gateway's route that only differs in policies, all of them valid configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.experiment.arms import ARMS, placebo_of, policies_of, settings_of
from policies.loader import load_library

UPSTREAM = {"kind": "openai", "url": "http://127.0.0.1:1/v1"}


def test_every_arm_is_a_valid_route() -> None:
    settings = settings_of(UPSTREAM, ARMS, Path())
    assert [route.name for route in settings.config.routes] == list(ARMS)
    assert settings.policies["off"] == ()
    assert not any(policy.enforcing for policy in settings.policies["detect_only"])
    for arm in ARMS[2:]:
        assert all(policy.enforcing for policy in settings.policies[arm])


def test_arms_change_what_they_are_named_for() -> None:
    settings = settings_of(UPSTREAM, ARMS, Path())
    changes = {arm: {c for p in settings.policies[arm] for rung in p.ladder for c in rung.change} for arm in ARMS[2:]}
    assert changes["resample"] == set()
    assert changes["placebo"] == changes["boundary"] == {"boundary"}
    assert changes["neutralise"] == {"neutralise"}
    assert {"boundary", "neutralise"} <= changes["full"]
    assert all(policy.boundary.inject == "never" for policy in settings.policies["resample"])


@pytest.mark.parametrize("mode", sorted(load_library()))
def test_a_placebo_is_about_as_long_as_the_boundary_it_stands_for(mode: str) -> None:
    for text in load_library()[mode].boundary.text.values():
        made = placebo_of(text)
        assert made == placebo_of(text)
        assert abs(len(made) - len(text)) <= 80
        assert made != text


def test_an_unknown_arm_is_an_error() -> None:
    with pytest.raises(KeyError):
        policies_of("nonsense")
