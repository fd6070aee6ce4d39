"""Upstreams of an experiment: by URL, by the name in a configuration, of any kind; keys stand nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.experiment.arms import settings_of
from evaluation.experiment.upstream import from_config, from_url, organism
from proxy.errors import ConfigError

FILE = """
upstreams:
  claude: {kind: litellm, models: {claude: anthropic/claude-sonnet-4-5}, api_key: "${TEST_KEY}"}
  first: {kind: openai, url: "http://127.0.0.1:1/v1", api_key: "${TEST_KEY}"}
  pair: {kind: fallback, upstreams: [first, claude]}
  nested: {kind: weighted, upstreams: {pair: 2, claude: 1}}
  needless: {kind: openai, url: "${NOT_SET}"}
routes:
  - {name: default, upstream: pair, policies: [code]}
"""


def test_a_key_is_read_from_the_environment_and_shown_nowhere() -> None:
    found = from_url("http://127.0.0.1:1/v1", "TEST_KEY")
    settings = settings_of(found.settings, ["off", "full"], Path(), env={"TEST_KEY": "sk-secret"})
    key = settings.config.upstreams["arm-full"].api_key  # type: ignore[union-attr]
    assert key is not None
    assert key.get_secret_value() == "sk-secret"
    assert "sk-secret" not in str(found)
    with pytest.raises(ConfigError, match="TEST_KEY"):
        settings_of(found.settings, ["off"], Path(), env={})


@pytest.mark.parametrize(
    ("name", "others"),
    [("claude", set()), ("first", set()), ("pair", {"first", "claude"}), ("nested", {"pair", "first", "claude"})],
)
def test_an_upstream_of_a_configuration_is_taken_with_what_it_is_made_of(tmp_path: Path, name: str, others: set[str]) -> None:
    file = tmp_path / "guard.yaml"
    file.write_text(FILE, encoding="utf-8")
    found = from_config(file, name)
    settings = settings_of(found.settings, ["off", "full"], found.folder, others=found.others, env={"TEST_KEY": "sk-secret"})
    own = settings.config.upstreams
    assert own["arm-off"] == own["arm-full"]
    assert set(own) == {"arm-off", "arm-full"} | others
    assert found.name == f"guard.yaml:{name}"


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    file = tmp_path / "guard.yaml"
    with pytest.raises(ConfigError, match="cannot be read"):
        from_config(file, "claude")
    file.write_text(FILE, encoding="utf-8")
    with pytest.raises(ConfigError, match="there is no 'gpt'; there are claude, first"):
        from_config(file, "gpt")


def test_only_the_organism_is_seeded() -> None:
    assert organism(3).seeded
    assert not from_url("http://127.0.0.1:1/v1").seeded
