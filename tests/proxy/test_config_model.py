"""Single settings: what each accepts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from proxy.config_model import Config, Match, OpenAISettings, PassThrough


def models_below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    stack = [field.annotation for field in model.model_fields.values()]
    while stack:
        item = stack.pop()
        if isinstance(item, type) and issubclass(item, BaseModel):
            yield from models_below(item)
        stack.extend(get_args(item))


def test_every_setting_is_described_and_no_other_is_taken() -> None:
    models = list(models_below(Config))
    assert len(set(models)) == 22
    for model in models:
        assert model.__doc__
        assert model.model_config["extra"] == "forbid"
        assert [name for name, field in model.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("url", ["http://h", "https://h:8443/openai/v1/", "http://[::1]:8000/v1", "http://127.0.0.1:11434"])
def test_base_urls_are_taken(url: str) -> None:
    assert OpenAISettings(kind="openai", url=url).url == url.rstrip("/")


@pytest.mark.parametrize("url", ["h", "ftp://h", "http://", "http://u:p@h", "http://h?x=1", "http://h#x", ""])
def test_other_urls_are_not(url: str) -> None:
    with pytest.raises(ValidationError):
        OpenAISettings(kind="openai", url=url)


@pytest.mark.parametrize(
    ("given", "kept"), [("", ""), ("/", ""), ("/app", "/app"), ("/app/", "/app"), ("/a.b/c_d-e~", "/a.b/c_d-e~")]
)
def test_prefixes_are_taken_without_a_last_slash(given: str, kept: str) -> None:
    assert Match(path_prefix=given).path_prefix == kept


@pytest.mark.parametrize("prefix", ["app", "//a", "/a//b", "/a/../b", "/a%2fb", "/v1", "/v1/x", "/-/x", "/a b", "/a?x"])
def test_prefixes_that_could_hide_a_path_are_not(prefix: str) -> None:
    with pytest.raises(ValidationError):
        Match(path_prefix=prefix)


@pytest.mark.parametrize("name", ["", "a b", "x-chunkguard-route", "X-Chunkguard-X", "a:"])
def test_headers_that_match_nothing_are_not_taken(name: str) -> None:
    with pytest.raises(ValidationError):
        Match(header={name: "x"})
    assert Match(header={"X-Tier": "Gold"}).header == {"x-tier": "Gold"}


@pytest.mark.parametrize("address", ["8800", ":8800", "h:99999", "h:", "::1:80", "unix:"])
def test_addresses_must_name_host_and_port(address: str) -> None:
    fields = {"upstreams": {"u": {"kind": "openai", "url": "http://h"}}, "routes": [{"name": "r", "upstream": "u"}]}
    with pytest.raises(ValidationError):
        Config.model_validate({**fields, "admin": address})
    assert Config.model_validate({**fields, "listen": "[::1]:80", "admin": "unix:/run/x"}).admin == "unix:/run/x"
    with pytest.raises(ValidationError):
        Config.model_validate({**fields, "listen": "unix:/run/x"})


@pytest.mark.parametrize("rule", ["GET", "/v1/models", "get /v1", "GET v1", "GET /v1 x"])
def test_pass_rules_have_a_method_and_a_path(rule: str) -> None:
    with pytest.raises(ValidationError):
        PassThrough(allow=[rule])


@pytest.mark.parametrize("key", ["", "a b", "a\n", "ä"])
def test_keys_are_what_a_header_can_carry(key: str) -> None:
    with pytest.raises(ValidationError):
        OpenAISettings.model_validate({"kind": "openai", "url": "http://h", "api_key": key})
