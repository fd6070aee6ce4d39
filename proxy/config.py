"""Reads a configuration: YAML, `${ENV}` values, the models, the policies of each route, and the rules across them.

One rule: all problems are found and raised together as one ConfigError, each with file, key path and reason, and no error text
ever holds a value that came from the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from core.types import MODES
from policies.injection import limit_injection
from policies.loader import resolve
from policies.schema import Policy
from proxy.config_model import Config, PolicyEntry
from proxy.config_rules import breaches
from proxy.errors import ConfigError, Problem
from proxy.yaml_text import read_yaml

if TYPE_CHECKING:
    from detectors.modelset import ModelSet

#: `$${` is a literal `${`.
_VARIABLE = re.compile(r"\$(\$\{|\{([^{}]*)\})")
_KINDS = ("openai", "replay", "litellm", "embedded")


@dataclass(frozen=True, slots=True)
class Settings:
    """A configuration that can be used.

    `policies`: those of each route by route name, in the order that the route lists them. `folder`: what relative files of the
    configuration are relative to. `source`: the file, or what stands for it. `models`: those of `detectors.models`, as read
    with the configuration; None = the shipped ones.
    """

    config: Config
    policies: Mapping[str, tuple[Policy, ...]]
    source: str
    folder: Path
    models: ModelSet | None = None

    def path(self, file: str) -> Path:
        """A file named in the configuration."""
        return self.folder / file

    @property
    def watched(self) -> tuple[Path, ...]:
        """Files beside the configuration's own whose change is a change of it."""
        tls = self.config.tls
        named = (self.config.keys_file, *((tls.cert_file, tls.key_file) if tls is not None else ()))
        return tuple(self.path(name) for name in named if name is not None)


def load(path: str | Path, env: Mapping[str, str] | None = None) -> Settings:
    """Read a configuration file. `env`: the variables, by default the process's. Raises ConfigError with every problem."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise ConfigError([Problem(str(file), "", f"cannot be read: {reason}")]) from None
    return parse(text, source=str(file), folder=file.parent, env=env)


def parse(text: str, *, source: str, folder: Path, env: Mapping[str, str] | None = None) -> Settings:
    """As `load`, of a text. `source` names it in problems."""
    try:
        data = read_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark is not None else ""
        raise ConfigError([Problem(source, place, f"is not YAML: {getattr(error, 'problem', None) or error}")]) from None
    return build(data, source=source, folder=folder, env=env)


def build(data: object, *, source: str, folder: Path, env: Mapping[str, str] | None = None) -> Settings:
    """As `load`, of plain data."""
    if not isinstance(data, dict):
        raise ConfigError([Problem(source, "", "must be a mapping")])
    problems: list[Problem] = []
    data = {
        key: _interpolate(item, os.environ if env is None else env, str(key), source, problems) for key, item in data.items()
    }
    data, of_file = _with_keys_file(data, folder, os.environ if env is None else env, source, problems)
    try:
        return _build(data, source, folder, problems)
    except ConfigError as error:
        # Keys of the other file are named by it.
        placed = [item if not _is_of(item.key, of_file) else item._replace(file=data["keys_file"]) for item in error.problems]
        raise ConfigError(placed) from None


def _build(data: dict[str, Any], source: str, folder: Path, problems: list[Problem]) -> Settings:
    config = _validate(data, source, problems)
    if config is None:
        problems.extend(_policy_problems_of(data, source))
        raise ConfigError(problems)
    policies = []
    for index, route in enumerate(config.routes):
        found, wrong = _resolve(route.policies, f"routes[{index}].policies", source)
        policies.append(limit_injection(found, route.injection))
        problems.extend(wrong)
    problems.extend(Problem(source, key, reason) for key, reason in breaches(config, policies))
    problems.extend(_missing_files(config, folder, source))
    if config.tracing is not None and not _has_exporter():
        problems.append(Problem(source, "tracing", "needs OpenTelemetry: install chunkguard with the extra 'otel'"))
    models, wrong = _models(config, folder, source)
    problems.extend(wrong)
    if problems:
        raise ConfigError(problems)
    by_name = {route.name: found for route, found in zip(config.routes, policies, strict=True)}
    return Settings(config, by_name, source, folder, models)


def _with_keys_file(
    data: dict[str, Any], folder: Path, env: Mapping[str, str], source: str, problems: list[Problem]
) -> tuple[dict[str, Any], frozenset[str]]:
    """The data with the keys of its `keys_file` among its `keys`, and the names of those."""
    name, own = data.get("keys_file"), data.get("keys") or {}
    if not isinstance(name, str) or not isinstance(own, dict):
        return data, frozenset()
    try:
        found = read_yaml((folder / name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        problems.append(Problem(source, "keys_file", f"{name!r} cannot be read, or is not YAML"))
        return data, frozenset()
    if not isinstance(found, dict) or not found or not all(isinstance(key, str) for key in found):
        # An empty one would open the proxy to everybody.
        problems.append(Problem(name, "", "must be a mapping of names to keys, and hold one at least"))
        return data, frozenset()
    problems.extend(Problem(name, key, "stands in `keys`, too") for key in found if key in own)
    filled = {key: _interpolate(item, env, f"keys.{key}", name, problems) for key, item in found.items()}
    return {**data, "keys": {**own, **filled}}, frozenset(found)


def _is_of(key: str, names: frozenset[str]) -> bool:
    return key.startswith("keys.") and any(key == f"keys.{name}" or key.startswith(f"keys.{name}.") for name in names)


def from_upstream_url(
    url: str,
    *,
    listen: str = "127.0.0.1:8800",
    admin: str = "127.0.0.1:8801",
    api_key: str | None = None,
    policies: Sequence[PolicyEntry] = MODES,
) -> Settings:
    """The settings of `chunkguard serve --upstream URL`: one route with all shipped policies. Raises ConfigError."""
    upstream = {"kind": "openai", "url": url} | ({"api_key": api_key} if api_key else {})
    route = {"name": "default", "upstream": "default", "policies": list(policies)}
    data = {"listen": listen, "admin": admin, "upstreams": {"default": upstream}, "routes": [route]}
    return build(_escaped(data), source="--upstream", folder=Path(), env={})


def _interpolate(value: Any, env: Mapping[str, str], key: str, source: str, problems: list[Problem]) -> Any:
    """Replace `${NAME}` in every text but those of policies, which are prompts and hold no secrets."""
    if isinstance(value, dict):
        return {name: _interpolate(item, env, _join(key, name), source, problems) for name, item in value.items()}
    if isinstance(value, list):
        if key.endswith(".policies"):
            return value
        return [_interpolate(item, env, f"{key}[{index}]", source, problems) for index, item in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value

    def replace(match: re.Match[str]) -> str:
        name = match[2]
        if name is None:
            return "${"
        if name not in env:
            problems.append(Problem(source, key, f"the environment variable {name!r} is not set"))
        # A stand-in keeps later checks from complaining about the same key again.
        return env.get(name, "unset")

    return _VARIABLE.sub(replace, value)


def _escaped(value: Any) -> Any:
    """Values given on a command line are no templates."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def _join(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _validate(data: dict[str, Any], source: str, problems: list[Problem]) -> Config | None:
    """The config, or None with its problems added."""
    unset = {problem.key for problem in problems}
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_context=False, include_input=False):
            key = _path(item["loc"])
            if key not in unset:
                problems.append(Problem(source, key, _reason(item["type"], item["msg"])))
    return None


def _path(loc: Sequence[str | int]) -> str:
    """`routes[0].match.model` of pydantic's location, without the tag of the union of upstreams."""
    key = ""
    for index, part in enumerate(loc):
        if (index == 2 and loc[0] == "upstreams" and part in _KINDS) or part == "[key]":
            continue
        if loc[0] == "routes" and part in ("str", "dict[str,any]"):
            continue
        if index == 2 and loc[0] == "keys" and part in ("text", "mapping"):
            continue
        key = f"{key}[{part}]" if isinstance(part, int) else _join(key, part)
    return key


def _reason(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such setting"
    if kind == "missing":
        return "is required"
    if kind == "union_tag_not_found":
        return f"needs a `kind`: {', '.join(_KINDS)}"
    if kind == "union_tag_invalid":
        return f"`kind` must be one of {', '.join(_KINDS)}"
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _resolve(entries: Sequence[PolicyEntry], key: str, source: str) -> tuple[tuple[Policy, ...], list[Problem]]:
    policies, wrong = resolve(entries, key)
    return policies, [Problem(source, ".".join(filter(None, (item.source, item.key))), item.reason) for item in wrong]


def _policy_problems_of(data: Mapping[str, Any], source: str) -> Iterator[Problem]:
    """Problems of policies in data that is no valid config: they are reported in the same go."""
    routes = data.get("routes")
    for index, route in enumerate(routes if isinstance(routes, list) else ()):
        entries = route.get("policies") if isinstance(route, dict) else None
        if isinstance(entries, list) and all(isinstance(entry, str | dict) for entry in entries):
            yield from _resolve(entries, f"routes[{index}].policies", source)[1]


def _has_exporter() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # of a parent
        return False


def _missing_files(config: Config, folder: Path, source: str) -> Iterator[Problem]:
    for name, settings in config.upstreams.items():
        if settings.kind == "replay" and not (folder / settings.file).is_file():
            yield Problem(source, f"upstreams.{name}.file", f"there is no file {settings.file!r}")
        if settings.kind == "embedded" and settings.folder is not None and not (folder / settings.folder).is_dir():
            yield Problem(source, f"upstreams.{name}.folder", f"there is no folder {settings.folder!r}")


def _models(config: Config, folder: Path, source: str) -> tuple[ModelSet | None, list[Problem]]:
    own = config.detectors.models
    if own is None:
        return None, []
    # Loading onnxruntime takes a quarter of a second that no other configuration needs here.
    from detectors.modelset import ModelSetError, read_set

    try:
        return read_set(folder / own), []
    except ModelSetError as error:
        return None, [Problem(source, "detectors.models", reason) for reason in error.problems]
