"""Rules across keys: each breach is refused, and what stands right beside it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.config import build
from proxy.config_rules import is_loopback
from proxy.errors import ConfigError
from proxy.keys import hash_of

OWN = {"kind": "openai", "url": "https://one.example/v1"}
KEYED = {"kind": "openai", "url": "https://two.example/v1", "api_key": "sk-2"}
LITELLM = {"kind": "litellm", "models": {"a": "openai/a"}}


def breaches(**sections: Any) -> dict[str, str]:
    data = {"upstreams": {"own": OWN}, "routes": [{"name": "default", "upstream": "own"}], **sections}
    try:
        build(data, source="f", folder=Path(), env={})
    except ConfigError as error:
        return {problem.key: problem.reason for problem in error.problems}
    return {}


def route(name: str = "default", *policies: Any, upstream: str = "own", **match: Any) -> dict[str, Any]:
    return {"name": name, "upstream": upstream, "match": match, "policies": list(policies)}


def fallback(upstream: str) -> dict[str, Any]:
    return {"extends": "code", "ladder": [{"action": "fallback", "upstream": upstream}]}


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("localhost:1", True), ("unix:/x", True),
        ("0.0.0.0:1", False), ("[::]:1", False), ("10.0.0.1:1", False), ("example.com:1", False),
        ("localhost.example:1", False),
    ],
)  # fmt: skip
def test_loopback_is_what_nobody_else_can_reach(address: str, local: bool) -> None:
    assert is_loopback(address) is local


@pytest.mark.parametrize("upstream", [KEYED, LITELLM])
def test_a_key_of_ours_without_client_keys_stays_on_loopback(upstream: dict[str, Any]) -> None:
    upstreams = {"own": OWN, "paid": upstream}
    assert breaches(upstreams=upstreams, listen="0.0.0.0:1").keys() == {"listen"}
    assert breaches(upstreams=upstreams, listen="127.0.0.1:1") == {}
    assert breaches(upstreams=upstreams, listen="0.0.0.0:1", keys={"a": "k"}) == {}
    assert breaches(listen="0.0.0.0:1") == {}


def test_a_public_admin_needs_a_key() -> None:
    assert breaches(admin="0.0.0.0:1").keys() == {"admin"}
    assert breaches(admin="0.0.0.0:1", admin_key="k") == {}
    assert breaches(admin="unix:/run/guard.sock") == {}


def test_both_listeners_need_their_own_address() -> None:
    assert breaches(admin="127.0.0.1:7", listen="127.0.0.1:7").keys() == {"admin"}
    assert breaches(admin="127.0.0.1:0", listen="127.0.0.1:0") == {}


def test_names_must_exist_and_be_one_only() -> None:
    routes = [route("a", path_prefix="/a"), route("a", upstream="none", key="nobody")]
    assert breaches(routes=routes).keys() == {"routes", "routes[1].upstream", "routes[1].match.key"}
    assert breaches(keys={"a": "same", "b": "same", "c": "other"}).keys() == {"keys.a", "keys.b"}


def test_a_tie_is_refused() -> None:
    assert breaches(routes=[route("a", model="x*"), route("b", model="*y")]).keys() == {"routes[1].match"}
    assert breaches(routes=[route("a", model="x*"), route("b", model="z*"), route("c")]) == {}


def test_a_rung_may_only_ask_an_upstream_with_a_key_of_its_own() -> None:
    key = "routes[0].policies.code.ladder[0].upstream"
    upstreams = {"own": OWN, "bare": {**OWN}, "paid": KEYED, "other": LITELLM}
    assert breaches(upstreams=upstreams, routes=[route("a", fallback("bare"))]).keys() == {key}
    assert "no upstream" in breaches(upstreams=upstreams, routes=[route("a", fallback("gone"))])[key]
    for name in ("own", "paid", "other"):
        assert breaches(upstreams=upstreams, routes=[route("a", fallback(name))]) == {}


def test_a_moderation_endpoint_needs_a_key_of_its_own() -> None:
    moderation = {"url": "https://three.example/v1"}
    assert breaches(routes=[{**route(), "moderation": moderation}]).keys() == {"routes[0].moderation.api_key"}
    enforced = route("r", {"extends": "refusal", "enforcement": "enforce"})
    assert breaches(routes=[{**enforced, "moderation": {**moderation, "api_key": "k"}}]) == {}


FLAGGING = {
    "extends": "refusal",
    "enforcement": "enforce",
    "boundary": {"inject": "never"},
    "ladder": [{"action": "flag"}],
}


@pytest.mark.parametrize("policies", [[], ["code"], ["refusal"], [FLAGGING]])
def test_a_moderation_endpoint_that_is_never_asked_is_refused(policies: list[Any]) -> None:
    moderation = {"url": "https://three.example/v1", "api_key": "k"}
    assert breaches(routes=[{**route("r", *policies), "moderation": moderation}]).keys() == {"routes[0].moderation"}


GOLD = {"header": {"x-tier": "gold"}}


@pytest.mark.parametrize(
    ("policies", "strict"),
    [
        (["code", "rebuttal"], True),
        (["code", "rebuttal", "math"], True),
        (["code"], False),
        ([], False),
        (["code", {"extends": "rebuttal", "enforcement": "observe"}], False),
        (["code", {"extends": "rebuttal", "check": {"misrouted_at": 0.95}}], False),
        (["code", {"extends": "rebuttal", "check": {"misrouted_at": 0.6}}], True),
    ],
)
def test_a_header_may_only_tighten(policies: list[Any], strict: bool) -> None:
    routes = [route("base", "code", "rebuttal"), route("gold", *policies, **GOLD)]
    assert (breaches(routes=routes) == {}) is strict


def test_a_key_may_permit_more_than_a_header() -> None:
    routes = [route("base", "code"), route("gold", **GOLD, key="team")]
    assert breaches(routes=routes, keys={"team": "k"}) == {}


def test_a_header_is_compared_with_the_routes_it_takes_requests_from() -> None:
    narrow = [route("base", "code", "math"), route("app", "code", path_prefix="/app")]
    assert breaches(routes=[*narrow, route("gold", "code", **GOLD, path_prefix="/app")]) == {}
    assert breaches(routes=[*narrow, route("gold", "code", **GOLD)]).keys() == {"routes[2].policies"}


LIMITED = {"app": {"key": "k" * 30, "limits": {"requests_per_minute": 1}}}


def test_limits_that_would_not_hold_are_refused() -> None:
    redis = {"kind": "redis", "url": "redis://127.0.0.1/0"}
    assert breaches(keys=LIMITED, workers=2).keys() == {"limit_store"}
    assert breaches(keys=LIMITED, workers=2, limit_store=redis) == {}
    assert breaches(keys=LIMITED) == {}
    assert breaches(keys={"app": "k"}, workers=2) == {}


def test_a_redis_has_an_address_and_nothing_else_has() -> None:
    assert breaches(limit_store={"kind": "redis"}).keys() == {"limit_store.url"}
    assert breaches(limit_store={"url": "redis://h"}).keys() == {"limit_store.url"}


def test_a_key_may_only_name_routes_that_there_are() -> None:
    assert breaches(keys={"app": {"key": "k", "routes": ["nowhere"]}}).keys() == {"keys.app.routes"}


def test_a_key_and_its_hash_are_the_same_key() -> None:
    assert breaches(keys={"a": "one", "b": hash_of("one")}).keys() == {"keys.a", "keys.b"}


def group(*members: str) -> dict[str, Any]:
    return {"kind": "fallback", "upstreams": list(members)}


@pytest.mark.parametrize(
    ("groups", "keys"),
    [
        ({"g": group("own", "paid")}, set()),
        ({"g": {"kind": "weighted", "upstreams": {"own": 1, "other": 3}}}, set()),
        ({"g": group("own", "h"), "h": group("paid", "other")}, set()),
        ({"g": group("own", "nobody")}, {"upstreams.g.upstreams[1]"}),
        ({"g": group("own", "g")}, {"upstreams.g.upstreams[1]"}),
        ({"g": group("own", "h"), "h": group("paid", "g")}, {"upstreams.g.upstreams[1]", "upstreams.h.upstreams[1]"}),
        ({"g": group("paid", "own")}, {"upstreams.g.upstreams[1]"}),
        ({"g": group("own", "own")}, {"upstreams.g.upstreams[0]", "upstreams.g.upstreams[1]"}),
        ({"g": {"kind": "weighted", "upstreams": {"paid": 1, "own": 3}}}, {"upstreams.g.upstreams.own"}),
        ({"g": group("paid", "h"), "h": group("own", "paid")}, {"upstreams.g.upstreams[1]"}),
    ],
)
def test_groups_are_made_of_others_and_spend_no_credentials_of_the_client(groups: dict[str, Any], keys: set[str]) -> None:
    upstreams = {"own": OWN, "paid": KEYED, "other": LITELLM, **groups}
    assert breaches(upstreams=upstreams).keys() == keys


def test_a_group_counts_as_what_it_is_made_of() -> None:
    upstreams = {"own": OWN, "paid": KEYED, "g": group("own", "paid"), "bare": group("own", "paid")}
    routes = [route(upstream="g")]
    assert breaches(upstreams=upstreams, routes=routes, listen="0.0.0.0:1").keys() == {"listen"}
    # A rung sends no client credentials, whoever the group's first is.
    assert breaches(upstreams=upstreams, routes=[route("r", fallback("bare"), upstream="paid")]).keys() == {
        "routes[0].policies.code.ladder[0].upstream"
    }
