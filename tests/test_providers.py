"""The recipes of docs/providers.md: each is a whole configuration that loads, and its models are litellm's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from proxy.config import Settings, build
from proxy.config_model import LiteLLMSettings, OpenAISettings

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "providers.md").read_text(encoding="utf-8")
RECIPES = [
    (f"{section.splitlines()[0]} {number}", text)
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", section, re.DOTALL), 1)
]
NAMED = (
    "Azure OpenAI",
    "Anthropic",
    "Gemini",
    "Bedrock",
    "Vertex",
    "Ollama",
    "vLLM",
    "llama.cpp",
    "LM Studio",
    "OpenRouter",
    "litellm",
)


class AnyKey(dict[str, str]):
    """An environment in which everything is set."""

    def __contains__(self, name: object) -> bool:
        return True

    def get(self, name: str, default: object = None) -> str:  # type: ignore[override]
        return f"key-of-{name.lower()}"


def load(text: str) -> Settings:
    env: Mapping[str, str] = AnyKey()
    return build(yaml.safe_load(text), source="providers.md", folder=Path(), env=env)


@pytest.mark.parametrize(("name", "text"), RECIPES, ids=[name for name, _ in RECIPES])
def test_a_recipe_loads(name: str, text: str) -> None:
    settings = load(text)
    assert all(settings.policies[route.name] for route in settings.config.routes)
    keys = [own.api_key for own in settings.config.upstreams.values() if isinstance(own, OpenAISettings | LiteLLMSettings)]
    assert all(key is None or key.get_secret_value().startswith("key-of-") for key in keys)


@pytest.mark.parametrize("provider", NAMED)
def test_every_provider_has_a_recipe(provider: str) -> None:
    assert any(provider in name for name, _ in RECIPES)


@pytest.mark.filterwarnings("ignore")
def test_litellm_knows_the_providers_of_its_recipes() -> None:
    from proxy.upstream.litellm import load as load_litellm

    litellm = load_litellm()
    models = [
        model
        for _, text in RECIPES
        for own in load(text).config.upstreams.values()
        if isinstance(own, LiteLLMSettings)
        for model in own.models.values()
    ]
    assert len(models) >= 5
    for model in models:
        assert litellm.get_llm_provider(model)[1] == model.partition("/")[0]
