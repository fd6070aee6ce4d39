"""The JSON Schema of the configuration file, for editors and other tools.

One rule: it is generated from the models alone; the committed copy is compared by a test.
"""

from __future__ import annotations

import json
from typing import Any

from proxy.config_model import Config


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the configuration file. Rules across keys, `${ENV}` values and policies are beyond what it can say."""
    schema = Config.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "chunkguard configuration"}


def json_schema_text() -> str:
    """Its committed form: indented, keys sorted, one newline at the end."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"
