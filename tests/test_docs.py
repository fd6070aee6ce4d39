"""What a user can meet is documented: settings, policy fields, metrics, headers, error codes, endpoints, commands, modes.

One rule: names are read from the code that defines them, never from a list kept here: a new one fails until it is written down.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import shlex
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from core.types import MODES
from detectors.training import __main__ as training
from docs import generate
from policies.schema import TRIGGERS, Policy
from proxy import cli, config, errors
from proxy.config_model import Config
from proxy.metric_table import METRICS
from proxy.upstream.replay_file import ReplayExchange

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *DOCS]


@cache
def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def named(page_name: str) -> set[str]:
    """Every word that a page sets in code: `like_this`, `a.b`, x in a table or a block."""
    text = page(page_name)
    quoted = re.findall(r"`([^`\n]+)`", text) + re.findall(r"```.*?\n(.*?)```", text, re.DOTALL)
    return {word.strip(".") for code in quoted for word in re.findall(r"[A-Za-z0-9_./{}*-]+", code)}


def blocks(text: str, language: str = "") -> list[str]:
    """The fenced blocks of a page in one language; without one, those that name none."""
    return [block for tag, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if tag == language]


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The pydantic models that a field's annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_in(argument)


def fields_of(model: type[BaseModel], seen: set[type[BaseModel]] | None = None) -> Iterator[tuple[str, str, str]]:
    """(model, field, description) of a model and of every model it holds."""
    seen = set() if seen is None else seen
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        yield model.__name__, name, field.description or ""
        for metadata in (field.annotation, *field.metadata):
            for inner in models_in(metadata):
                yield from fields_of(inner, seen)


def texts_in(source: Path) -> Iterator[str]:
    """String constants of a file, docstrings left out."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.value


def texts_of_proxy(pattern: str) -> set[str]:
    """Full matches of a pattern among the string constants of the proxy."""
    return {text for source in (ROOT / "proxy").rglob("*.py") for text in texts_in(source) if re.fullmatch(pattern, text)}


def subclasses(kind: type[errors.GuardError]) -> Iterator[type[errors.GuardError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


@pytest.mark.parametrize(
    ("root", "name"), [(Config, "docs/configuration.md"), (Policy, "docs/policies.md"), (ReplayExchange, "docs/replay.md")]
)
def test_every_setting_is_described_and_documented(root: type[BaseModel], name: str) -> None:
    fields = list(fields_of(root))
    assert len(fields) > 20
    assert [f"{model}.{field}" for model, field, description in fields if not description] == []
    known = {part for word in named(name) for part in re.split(r"[.\[\]]+", word)}
    assert [f"{model}.{field}" for model, field, _ in fields if field not in known] == []


def test_every_metric_is_documented() -> None:
    names = {metric.name for metric in METRICS}
    assert len(names) >= 12
    assert names - named("docs/operations.md") == set()
    assert {label for metric in METRICS for label in metric.labels} - named("docs/operations.md") == set()


def test_no_metric_is_documented_that_does_not_exist() -> None:
    suffixes = ("", "_bucket", "_sum", "_count")
    known = {f"{metric.name}{suffix}" for metric in METRICS for suffix in suffixes if not suffix or metric.kind == "histogram"}
    files = [ROOT / "README.md", *DOCS, *(ROOT / "deploy").rglob("*.yml")]
    stray = {(file.name, word) for file in files for word in re.findall(r"\bchunkguard_[a-z0-9_]+", file.read_text("utf-8"))}
    stray = {(file, word) for file, word in stray if word not in known and word != "chunkguard_admin_key"}
    assert stray == set()


def test_every_header_is_documented() -> None:
    headers = texts_of_proxy(r"(?i)x-chunkguard-[a-z-]*[a-z]")
    assert len(headers) >= 5
    assert {header.lower() for header in headers} - named("docs/operations.md") == set()


@pytest.mark.parametrize("kind", list(subclasses(errors.GuardError)), ids=lambda kind: kind.__name__)
def test_every_error_code_is_documented_with_its_status(kind: type[errors.GuardError]) -> None:
    rows = [line for line in page("docs/operations.md").splitlines() if f"`{kind.shape.code}`" in line]
    assert rows, kind.shape.code
    if kind not in (errors.GuardError, errors.ConfigError, errors.Rejected, errors.UpstreamError):
        assert any(str(kind.shape.status) in row for row in rows)


def test_every_endpoint_is_documented() -> None:
    endpoints = texts_of_proxy(r"/(?:-/[a-z]+|metrics|v1/[a-z]+(?:/[a-z]+)*)")
    assert {"/metrics", "/-/healthy", "/-/ready", "/-/reload", "/v1/chat/completions", "/v1/guard/check"} <= endpoints
    assert endpoints - named("docs/operations.md") - named("docs/compatibility.md") == set()


def commands() -> dict[str, argparse.ArgumentParser]:
    for action in cli.parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def test_every_command_and_option_is_documented() -> None:
    known = commands()
    assert {"serve", "demo", "validate", "explain", "scan", "eval", "experiment", "attribute", "key", "schema"} <= known.keys()
    for command, parser in known.items():
        (row,) = [line for line in page("docs/operations.md").splitlines() if line.startswith(f"| `chunkguard {command}")]
        options = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
        assert {option for option in options - {"--help"} if not re.search(rf"{option}\b", row)} == set(), command


def test_every_option_of_the_training_is_documented() -> None:
    rows = page("docs/training.md")
    options = {option for action in training.parser()._actions for option in action.option_strings if option.startswith("--")}
    assert {option for option in options - {"--help"} if not re.search(rf"^\| `{option}\b", rows, re.MULTILINE)} == set()
    lines = [line for block in blocks(rows) for line in re.findall(r"python -m detectors\.training (.+)$", block, re.MULTILINE)]
    assert lines
    for line in lines:
        training.parser().parse_args(shlex.split(line))


def typed_commands() -> Iterator[str]:
    for path in PAGES:
        for block in blocks(path.read_text(encoding="utf-8")):
            yield from re.findall(r"^chunkguard (.+)$", block, re.MULTILINE)
    yield from re.findall(r"^Exec\w+=/opt/chunkguard/bin/chunkguard (.+)$", page("deploy/chunkguard.service"), re.MULTILINE)


def test_commands_in_the_pages_can_be_typed() -> None:
    lines = list(typed_commands())
    assert len(lines) >= 8
    for line in lines:
        cli.parser().parse_args(shlex.split(line, comments=True))


def test_modes_and_triggers_stand_in_the_concepts() -> None:
    words = named("docs/concepts.md")
    assert set(MODES) - words == set()
    assert set(TRIGGERS) - words == set()
    for trigger, mode in TRIGGERS.items():
        (row,) = [line for line in page("docs/concepts.md").splitlines() if f"`{trigger}`" in line]
        assert row.startswith(f"| `{mode}`")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), f"{path.name} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{path.name} links to {target}#{anchor}"


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_decision_records_are_short_and_numbered() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [record.name[:4] for record in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    assert {record.name: len(record.read_text("utf-8").splitlines()) for record in records if lines_of(record) > 40} == {}
    assert all(record.read_text("utf-8").startswith(f"# {record.name[:4]} ") for record in records)


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_speak_to_users(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"(?i)\b(?:TODO|FIXME|TBD|issue #?\d+)\b|\(#\d+\)", text) == []
    for target in re.findall(r"\bmake ([a-z-]+)", " ".join(re.findall(r"`[^`]*`|```.*?```", text, re.DOTALL))):
        assert re.search(rf"^{target}:", page("Makefile"), re.MULTILINE), f"make {target}"


def test_the_changelog_has_a_place_for_the_next_line() -> None:
    assert "\n## Unreleased\n" in page("CHANGELOG.md")


def example_configs() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "deploy" / "examples").glob("*.yaml")):
        yield path.name, path.read_text(encoding="utf-8")
    for path in PAGES:
        for number, block in enumerate(blocks(path.read_text(encoding="utf-8"), "yaml")):
            if "upstreams:" in block:
                yield f"{path.name}-{number}", block


@pytest.mark.parametrize(("name", "text"), [pytest.param(name, text, id=name) for name, text in example_configs()])
def test_example_configurations_can_be_used(name: str, text: str, tmp_path: Path) -> None:
    env = {variable: f"a-key-{variable.lower()}" for variable in re.findall(r"\$\{([A-Z_]+)\}", text)}
    for file in re.findall(r"file: (\S+\.jsonl)", text):
        (tmp_path / file).touch()
    settings = config.parse(text, source=name, folder=tmp_path, env=env)
    assert settings.config.routes


def test_python_in_the_pages_is_python() -> None:
    found = [block for path in PAGES for block in blocks(path.read_text("utf-8"), "python")]
    assert found
    for block in found:
        compile(block, "README", "exec")


def test_deployment_files_parse() -> None:
    for path in [*(ROOT / "deploy").rglob("*.yml"), *(ROOT / "deploy").rglob("*.yaml")]:
        if path.parent.name == "templates":
            continue  # of Helm, which the system tests render
        assert yaml.safe_load(path.read_text(encoding="utf-8")), path


def test_what_is_generated_is_up_to_date() -> None:
    """`make schema` renews it: the JSON Schema, and the tables of settings, policy fields, replay files and metrics."""
    assert [file.name for file in generate.outdated()] == []


def test_the_committed_schema_takes_the_examples() -> None:
    schema = json.loads(page("docs/chunkguard.schema.json"))
    for path in sorted((ROOT / "deploy" / "examples").glob("*.yaml")):
        jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"upstreams": {}, "routes": [], "no_such_setting": 1}, schema)
