"""The JSON Schema: what it takes, the loader takes, as far as a schema can say."""

from __future__ import annotations

import json

import jsonschema
import pytest

from proxy.config_model import Config
from proxy.config_schema import json_schema, json_schema_text

GOOD = {
    "upstreams": {"a": {"kind": "openai", "url": "http://h"}, "b": {"kind": "replay", "file": "x"}},
    "routes": [{"name": "r", "upstream": "a", "policies": ["code", {"extends": "math"}]}],
}


def test_the_schema_takes_what_the_models_take() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.validate(GOOD, json_schema())
    Config.model_validate(GOOD)


@pytest.mark.parametrize(
    "change", [{"routes": []}, {"upstreams": {}}, {"extra": 1}, {"log_level": "loud"}, {"limits": {"holdout": 1}}]
)
def test_the_schema_refuses_what_the_models_refuse(change: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**GOOD, **change}, json_schema())
    with pytest.raises(ValueError, match="validation error"):
        Config.model_validate({**GOOD, **change})


def test_the_text_is_the_schema_and_always_the_same() -> None:
    assert json.loads(json_schema_text()) == json_schema()
    assert json_schema_text().endswith("}\n")
