"""Choosing routes, reading paths: nothing that an upstream may read as guarded passes around the guard."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config_model import RouteSettings
from proxy.routing import PassRules, Router, normalise

CHAT = "/v1/chat/completions"


def route(name: str, **match: Any) -> RouteSettings:
    return RouteSettings.model_validate({"name": name, "upstream": "u", "match": match})


ROUTES = [
    route("default"),
    route("app", path_prefix="/app"),
    route("deep", path_prefix="/app/deep"),
    route("mini", model="*-mini"),
    route("exact", model="gpt-4o-mini"),
    route("head", header={"X-Tier": "gold"}),
    route("keyed", key="team"),
]


@pytest.fixture(scope="module")
def router() -> Router:
    return Router(ROUTES)


@pytest.mark.parametrize(
    ("path", "model", "headers", "key", "name"),
    [
        (CHAT, "m", {}, None, "default"),
        (f"/app{CHAT}", "m", {}, None, "app"),
        (f"/app/deep{CHAT}", "m", {}, None, "deep"),
        (f"/apple{CHAT}", "m", {}, None, "default"),
        (CHAT, "o1-mini", {}, None, "mini"),
        (CHAT, "gpt-4o-mini", {}, None, "exact"),
        (f"/app{CHAT}", "gpt-4o-mini", {}, None, "app"),
        (f"/app{CHAT}", "m", {"x-tier": "gold"}, None, "head"),
        (CHAT, "m", {"x-tier": "tin"}, None, "default"),
        (f"/app{CHAT}", "gpt-4o-mini", {"x-tier": "gold"}, "team", "keyed"),
        (CHAT, "m", {}, "other", "default"),
    ],
)
def test_the_most_specific_route_wins(router: Router, path: str, model: str, headers: Any, key: str | None, name: str) -> None:
    location = router.locate("POST", path)
    chosen = router.choose(location.prefix, model, headers, key)
    assert chosen is not None
    assert chosen.name == name


def test_file_order_never_matters() -> None:
    backwards = Router(ROUTES[::-1])
    assert [backwards.choose("/app", "gpt-4o-mini", {}, None), backwards.choose("", "x", {}, None)] == [ROUTES[1], ROUTES[0]]


def test_no_route_is_none_and_models_are_read_only_where_one_asks() -> None:
    only = Router([route("app", path_prefix="/app")])
    assert only.choose(only.locate("POST", CHAT).prefix, "m", {}, None) is None
    assert not only.reads_model
    assert Router([route("mini", model="a")]).reads_model


def test_brackets_in_a_model_glob_are_plain() -> None:
    router = Router([route("b", model="x[1]*")])
    assert router.choose("", "x[1]y", {}, None) is not None
    assert router.choose("", "x1", {}, None) is None


@pytest.mark.parametrize("prefix", ["", "/app", "/app/deep"])
@pytest.mark.parametrize(
    "odd",
    [
        "/v1/chat/completions", "//v1/chat/completions", "/v1//chat///completions", "/v1/chat/completions/",
        "/v1/./chat/completions", "/v1/x/../chat/completions", "/v1/chat%2Fcompletions", "/v1/%63hat/completions",
        "/v1/chat%252fcompletions", "/V1/Chat/Completions", "/v1/chat\\completions", "/v1/chat/completions;x=1",
        "/v1/chat/completions%20", "/v1/chat/completions%00", "/v1/%2e/chat/completions",
        "/v1/x/%2E%2e/chat/completions", "/v1/chat/completions%3Fx", "/v1/chat/completions%23",
    ],
)  # fmt: skip
def test_every_spelling_of_the_guarded_path_is_guarded_in_its_plain_form(router: Router, prefix: str, odd: str) -> None:
    location = router.locate("POST", f"{prefix}{odd}")
    assert (location.endpoint, location.path, location.prefix) == ("chat_completions", CHAT, prefix)


@pytest.mark.parametrize(
    "path", ["/chat/completions", "/openai/deployments/x/chat/completions", "/v1beta/openai/chat/completions"]
)
def test_other_paths_to_chat_completions_are_guarded_too(router: Router, path: str) -> None:
    location = router.locate("POST", path)
    assert (location.guarded, location.path) == (True, path)


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/v1/completions", "completions"), ("//v1//completions/", "completions"), ("/completions", "completions"),
        ("/openai/deployments/x/completions", "completions"), ("/V1/Completions", "completions"),
        ("/v1/responses", "responses"), ("/openai/responses", "responses"), ("/v1/responses/x/..", "responses"),
        ("/v1/messages", "messages"), ("/anthropic/v1/messages/", "messages"), ("/v1/%6dessages", "messages"),
    ],
)  # fmt: skip
def test_other_apis_are_guarded_under_every_spelling(router: Router, path: str, endpoint: str) -> None:
    assert router.locate("POST", path).endpoint == endpoint
    assert router.locate("POST", f"/app{path}").guarded
    assert router.locate("GET", path).endpoint == "other"


@pytest.mark.parametrize("odd", ["//app", "/%61pp", "/x/../app", "/./app"])
def test_an_oddly_spelled_prefix_is_a_prefix(router: Router, odd: str) -> None:
    assert router.locate("POST", f"{odd}{CHAT}").prefix == "/app"
    assert router.locate("GET", "//app/v1/models").path == "/v1/models"


@pytest.mark.parametrize(
    "path", ["/v1/../../etc", "/v1/%2e%2e/files", "/a/..%2fb", "/-/reload", "/v1/%25252525252e", "/app/-/ready", "/a/..;/b"]
)
def test_paths_that_climb_hide_or_reach_for_the_admin_side_are_refused(router: Router, path: str) -> None:
    assert router.locate("POST", path).endpoint == "refused"


@pytest.mark.parametrize(
    ("path", "endpoint", "forwarded"),
    [
        ("/v1/models", "models", "/v1/models"),
        ("/app/v1/embeddings", "embeddings", "/v1/embeddings"),
        ("/v1/files/a%2Fb", "other", "/v1/files/a%2Fb"),
        ("/v1/Files//x/", "other", "/v1/Files//x/"),
        ("/v1/vector%20stores", "other", "/v1/vector%20stores"),
        ("/app", "other", "/"),
        ("/", "other", "/"),
    ],
)
def test_other_paths_pass_as_they_were_sent(router: Router, path: str, endpoint: str, forwarded: str) -> None:
    location = router.locate("GET", path)
    assert (location.endpoint, location.path) == (endpoint, forwarded)


def test_only_a_post_generates(router: Router) -> None:
    assert router.locate("GET", CHAT).endpoint == "other"
    assert router.locate("GET", "/v1/chat/completions/abc").endpoint == "other"
    assert router.locate("POST", "/v1/guard//check").endpoint == "guard_check"


@given(st.lists(st.sampled_from(["//", "/./", "/x/../", "%2f", "/%2E/", "/;a=b/"]), min_size=3, max_size=3), st.integers(0, 2))
def test_any_mix_of_spellings_is_guarded_or_refused(joints: list[str], layers: int) -> None:
    path = "/" + joints[0].lstrip("/;ab=") + "v1" + joints[1] + "chat" + joints[2] + "completions"
    for _ in range(layers):
        path = path.replace("%", "%25")
    location = Router(ROUTES).locate("POST", path)
    assert location.endpoint in ("chat_completions", "refused")


@given(st.text(max_size=30))
def test_a_plain_form_is_plain(text: str) -> None:
    plain = normalise("/" + quote(text))
    assert plain is None or (plain.startswith("/") and "//" not in plain and "/../" not in f"{plain}/")


def test_pass_rules_judge_the_plain_path() -> None:
    rules = PassRules(["GET /v1/models", "GET /v1/models/*", "* /v1/ping"])
    assert rules.allow("GET", "/v1//models/")
    assert rules.allow("GET", "/v1/models/a")
    assert rules.allow("DELETE", "/v1/ping")
    assert not rules.allow("DELETE", "/v1/models/a")
    assert not rules.allow("GET", "/v1/files")
    assert not rules.allow("GET", "/v1/models/../files")


def test_routing_takes_microseconds(router: Router) -> None:
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(1000):
            router.choose(router.locate("POST", f"/app{CHAT}").prefix, "gpt-4o", {}, None)
        best = min(best, time.perf_counter() - start)
    assert best < 0.02, "over 20 us a request"
