"""Finds the reviewed word tables beside this file and reads each once.

One rule: a lexicon is data - YAML of words, patterns and weights - and nothing but this file opens it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml

# The C parser is ten times as fast; some builds of PyYAML lack it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def load_table(name: str) -> Mapping[str, Any]:
    """The table `<name>.yaml`, read once and shared: treat it as constant.

    Raises FileNotFoundError, or ValueError if it is no mapping."""
    text = (resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")
    table = yaml.load(text, Loader=_Loader)
    if not isinstance(table, dict):
        raise ValueError(f"lexicon {name}.yaml holds no mapping")
    return MappingProxyType(table)


@cache
def table_names(prefix: str) -> tuple[str, ...]:
    """The names, in order, of all shipped tables whose name begins with `prefix`."""
    names = (entry.name for entry in resources.files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.startswith(prefix) and name.endswith(".yaml")))
