"""Reading configurations: what is accepted, and that every problem is named at once, with file, key and reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from core.types import MODES
from proxy.config import Settings, build, from_upstream_url, load, parse
from proxy.config_model import OpenAISettings
from proxy.errors import ConfigError

UPSTREAM = {"kind": "openai", "url": "https://api.example.com/v1"}
ROUTE = {"name": "default", "upstream": "main"}


def config(**sections: Any) -> dict[str, Any]:
    return {"upstreams": {"main": UPSTREAM}, "routes": [ROUTE], **sections}


def built(data: object, **env: str) -> Settings:
    return build(data, source="guard.yaml", folder=Path(), env=env)


def problems(data: object, **env: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        built(data, **env)
    assert all(problem.file == "guard.yaml" for problem in caught.value.problems)
    return {problem.key: problem.reason for problem in caught.value.problems}


def test_a_small_file_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "guard.yaml"
    file.write_text(yaml.safe_dump(config()))
    settings = load(file)
    assert (settings.config.listen, settings.config.admin) == ("127.0.0.1:8800", "127.0.0.1:8801")
    assert (settings.policies, settings.source, settings.path("x")) == ({"default": ()}, str(file), tmp_path / "x")


def test_policies_are_resolved_by_route() -> None:
    route = {**ROUTE, "policies": ["code", {"extends": "rebuttal", "enforcement": "observe"}]}
    found = built(config(routes=[route])).policies["default"]
    assert [(policy.name, policy.mode) for policy in found] == [("code", "code"), ("rebuttal", "rebuttal")]
    assert not found[1].enforcing


def test_no_file_at_all_guards_with_every_shipped_policy() -> None:
    settings = from_upstream_url("https://api.example.com/v1", api_key="sk-${NOT_A_VARIABLE}")
    assert {policy.mode for policy in settings.policies["default"]} == set(MODES)
    upstream = settings.config.upstreams["default"]
    assert isinstance(upstream, OpenAISettings)
    assert upstream.api_key is not None
    assert upstream.api_key.get_secret_value() == "sk-${NOT_A_VARIABLE}"


def test_a_bad_upstream_url_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"upstreams\.default\.url: must be an http"):
        from_upstream_url("api.example.com")


def test_a_public_address_with_a_key_is_refused_without_a_file_too() -> None:
    with pytest.raises(ConfigError, match="listen"):
        from_upstream_url("https://api.example.com/v1", api_key="sk-1", listen="0.0.0.0:8800")
    assert from_upstream_url("https://api.example.com/v1", listen="0.0.0.0:8800").config.listen == "0.0.0.0:8800"


def test_environment_variables_are_filled_in() -> None:
    upstream = {**UPSTREAM, "api_key": "${KEY}", "timeouts": {"total_s": "${TOTAL}"}}
    data = config(upstreams={"main": upstream}, keys={"a": "pre-$${x}-${KEY}$"})
    settings = built(data, KEY="sk-9", TOTAL="30")
    main = settings.config.upstreams["main"]
    assert isinstance(main, OpenAISettings)
    assert main.api_key is not None
    assert (main.api_key.get_secret_value(), main.timeouts.total_s) == ("sk-9", 30.0)
    assert settings.config.keys["a"].get_secret_value() == "pre-${x}-sk-9$"


def test_prompts_of_policies_are_no_templates() -> None:
    boundary = {"inject": "always", "text": {"en": "Write ${NAME} as it is."}}
    route = {**ROUTE, "policies": [{"extends": "code", "boundary": boundary}]}
    assert built(config(routes=[route])).policies["default"][0].boundary.text["en"] == "Write ${NAME} as it is."


def test_every_problem_of_every_kind_is_found_at_once() -> None:
    data = {
        "listn": "x",
        "log_level": "loud",
        "upstreams": {
            "main": {"kind": "openai", "url": "ftp://x", "api_key": "${MISSING}"},
            "odd": {"kind": "smtp"},
            "bare": {"url": "http://x"},
            "tape": {"kind": "replay", "url": "http://x"},
        },
        "routes": [
            {"name": "a b", "upstream": "main", "match": {"path_prefix": "app", "modle": "x"}, "policies": ["nonsense"]},
            {"upstream": "main", "policies": [3]},
        ],
        "limits": {"retry_share": 2, "body_bytes": 0},
    }
    found = problems(data)
    assert found.keys() >= {
        "listn", "log_level", "upstreams.main.url", "upstreams.main.api_key", "upstreams.odd", "upstreams.bare",
        "upstreams.tape.file", "upstreams.tape.url", "routes[0].name", "routes[0].match.path_prefix", "routes[0].match.modle",
        "routes[1].name", "routes[1].policies[0]", "limits.retry_share", "limits.body_bytes",
    }  # fmt: skip
    assert "'MISSING' is not set" in found["upstreams.main.api_key"]
    assert found["listn"] == "there is no such setting"
    assert found["routes[1].name"] == "is required"
    assert "nonsense" in found["routes[0].policies[0]"]


def test_problems_of_policies_name_route_and_policy() -> None:
    route = {
        **ROUTE,
        "policies": ["code", {"extends": "code", "name": "late", "hold": {"default": "none", "on_trigger": "none"}}],
    }
    (key, reason), *_ = problems(config(routes=[route])).items()
    assert key.startswith("routes[0].policies[1]")
    assert "hold" in reason


def test_no_error_text_holds_a_value_from_the_environment() -> None:
    data = config(
        upstreams={"main": {"kind": "openai", "url": "${KEY}", "api_key": "${KEY} x"}}, log_level="${KEY}", admin="${KEY}"
    )
    with pytest.raises(ConfigError) as caught:
        built(data, KEY="sk-very-secret")
    assert len(caught.value.problems) == 4
    assert "sk-very-secret" not in str(caught.value)
    assert "sk-very-secret" not in repr(built(config(keys={"a": "${KEY}"}), KEY="sk-very-secret"))


def test_empty_sections_mean_their_defaults() -> None:
    assert built(config(limits=None, keys=None)).config.limits.holdout == 0.01


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a: [", "is not YAML"), ("a: 1\na: 2", "stands twice"), ("- a", "must be a mapping"), ("", "must be a mapping")],
)
def test_what_is_no_configuration_is_one_problem(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse(text, source="guard.yaml", folder=Path(), env={})


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "bytes.yaml")


def test_files_are_relative_to_the_configuration(tmp_path: Path) -> None:
    data = yaml.safe_dump(config(upstreams={"main": {"kind": "replay", "file": "tape.jsonl"}}))
    (tmp_path / "guard.yaml").write_text(data)
    with pytest.raises(ConfigError, match=r"upstreams\.main\.file: there is no file 'tape\.jsonl'"):
        load(tmp_path / "guard.yaml")
    (tmp_path / "tape.jsonl").write_text('{"reply": "x"}\n')
    assert load(tmp_path / "guard.yaml").path("tape.jsonl").is_file()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (None, ("test", "keys_file")),
        ("", ("keys.yaml", "")),
        ("- a", ("keys.yaml", "")),
        ("{1: a}", ("keys.yaml", "")),
        ("app: a\napp: b", ("test", "keys_file")),
        ("own: sk-one", ("keys.yaml", "own")),
        ("app: sha256:abc", ("keys.yaml", "keys.app")),
        ("app: ${MISSING}", ("keys.yaml", "keys.app")),
        ("app: {key: sk-1, routes: [nowhere]}", ("keys.yaml", "keys.app.routes")),
    ],
)
def test_problems_of_a_keys_file_are_named_by_it(tmp_path: Path, text: str | None, place: tuple[str, str]) -> None:
    if text is not None:
        (tmp_path / "keys.yaml").write_text(text, encoding="utf-8")
    data = config(keys={"own": "sk-own"}, keys_file="keys.yaml")
    with pytest.raises(ConfigError) as caught:
        build(data, source="test", folder=tmp_path, env={})
    assert place in [(problem.file, problem.key) for problem in caught.value.problems]


def test_keys_of_both_places_are_served_and_watched(tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text("app: ${KEY}\n", encoding="utf-8")
    settings = build(
        config(keys={"own": "sk-own"}, keys_file="keys.yaml"), source="test", folder=tmp_path, env={"KEY": "sk-app"}
    )
    assert set(settings.config.keys) == {"own", "app"}
    assert settings.watched == (tmp_path / "keys.yaml",)
    assert "sk-app" not in repr(settings)
