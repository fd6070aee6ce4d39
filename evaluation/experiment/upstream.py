"""Which upstream an experiment asks: the organism, a chat API by its base URL, or one of a configuration file by its name.

One rule: a key is named by its environment variable; it never stands in the state, a report or a list of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from core.values import frozen
from proxy.errors import ConfigError, Problem
from proxy.yaml_text import read_yaml

ORGANISM: Final = "organism"


@frozen
class Upstream:
    """`name`: what tells it from others. `settings`: as under `upstreams.NAME` of a file. `others`: what it is made of.

    `folder`: what relative files in it are relative to."""

    name: str
    settings: Mapping[str, Any]
    others: Mapping[str, Mapping[str, Any]]
    folder: Path

    @property
    def seeded(self) -> bool:
        """Whether the same request has the same answers in every arm and run."""
        return self.name == ORGANISM


def organism(seed: int) -> Upstream:
    """The shipped models, whose answers follow from the seed, the request and how often it came."""
    return Upstream(ORGANISM, {"kind": "embedded", "seed": seed}, {}, Path())


def from_url(url: str, key_env: str = "") -> Upstream:
    """A chat API by its base URL. `key_env`: variable that holds its key; empty = none is sent."""
    settings: dict[str, Any] = {"kind": "openai", "url": url.replace("${", "$${")}
    if key_env:
        settings["api_key"] = f"${{{key_env}}}"
    return Upstream(url, settings, {}, Path())


def from_config(file: Path, name: str) -> Upstream:
    """The upstream of that name, of any kind, groups with their members. Raises ConfigError."""
    try:
        document = read_yaml(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError([Problem(str(file), "", f"cannot be read: {error}")]) from None
    found = document.get("upstreams") if isinstance(document, dict) else None
    upstreams: Mapping[str, Any] = found if isinstance(found, dict) else {}
    if not isinstance(upstreams.get(name), dict):
        known = ", ".join(str(one) for one in upstreams) or "none"
        raise ConfigError([Problem(str(file), "upstreams", f"there is no {name!r}; there are {known}")])
    others = {other: upstreams[other] for other in _members(upstreams, name) if other != name}
    return Upstream(f"{file.name}:{name}", upstreams[name], others, file.parent)


def _members(upstreams: Mapping[str, Any], name: str) -> list[str]:
    """The upstream and all that it is made of, groups in groups too; what is not there, the configuration's own rules name."""
    found = [name]
    for one in found:  # which grows meanwhile
        members = upstreams[one].get("upstreams") or ()
        found += [member for member in members if member not in found and isinstance(upstreams.get(member), dict)]
    return found
