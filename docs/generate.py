"""Rewrites what of the docs is read from the code: tables between `<!-- generated: ... -->` markers, JSON Schema and OpenAPI.

One rule: everything comes from the definitions that the program itself uses. `make schema` runs it; a test fails when it would
change something. Kinds of tables: `metrics`, `sizing`, `library` (the shipped policies), `transitions` (of the exchange, with
their diagram), `litellm` (the APIs of such an upstream), and `model package.module:Name` of a pydantic model.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import BaseModel

DOCS = Path(__file__).resolve().parent
SCHEMA = DOCS / "chunkguard.schema.json"
OPENAPI = DOCS / "chunkguard.openapi.json"
_MARKED = re.compile(r"(<!-- generated: ([^>]+?) -->\n)(.*?)(<!-- /generated -->)", re.DOTALL)


def outdated() -> dict[Path, str]:
    """Every file that would change, with its new text."""
    wanted = {page: renew(page.read_text(encoding="utf-8")) for page in sorted(DOCS.rglob("*.md"))}
    wanted[SCHEMA] = schema_text()
    wanted[OPENAPI] = importlib.import_module("proxy.openapi").openapi_text()
    return {file: text for file, text in wanted.items() if not file.is_file() or file.read_text(encoding="utf-8") != text}


def renew(page: str) -> str:
    """A page with its generated tables made anew."""
    return _MARKED.sub(lambda match: f"{match[1]}{table(match[2])}\n{match[4]}", page)


def table(kind: str) -> str:
    """The table that a marker asks for."""
    if kind == "metrics":
        return _metrics()
    if kind == "sizing":
        return _sizing()
    if kind == "library":
        return _library()
    if kind == "transitions":
        return _transitions()
    if kind == "litellm":
        return _litellm()
    word, _, where = kind.partition(" ")
    module, _, name = where.partition(":")
    if word != "model":
        raise ValueError(f"no such table: {kind}")
    return _fields(getattr(importlib.import_module(module), name))


def schema_text() -> str:
    """The committed JSON Schema of the configuration: what `chunkguard schema` prints."""
    module = importlib.import_module("proxy.config_schema")
    text: str = module.json_schema_text()
    return text.rstrip("\n") + "\n"


def _transitions() -> str:
    """The transition table of the exchange as it stands in its docstring, and the diagram that follows from it."""
    doc = importlib.import_module("core.exchange").__doc__ or ""
    lines = doc[doc.index("State  ") :].rstrip().splitlines()
    edges: dict[tuple[str, str], list[str]] = {}
    for line in lines[1:]:
        state, event, after = line.split()[:3]
        if state != "any" and state != after:
            events = edges.setdefault((state, after), [])
            if event not in events:
                events.append(event)
    drawn = [f"    {state} --> {after}: {' | '.join(events)}" for (state, after), events in edges.items()]
    diagram = ["```mermaid", "stateDiagram-v2", "    [*] --> START", *drawn, "    DONE --> [*]", "```"]
    return "\n".join(["```", *lines, "```", "", *diagram])


def _litellm() -> str:
    apis = importlib.import_module("proxy.upstream.litellm_apis").APIS
    rows = [(f"`POST {path}`", *map(_named, (api.parameters, api.ignored, api.tied))) for path, api in apis.items()]
    return _rows(("API", "told to the provider", "dropped and named", "refused"), rows)


def _named(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "-"


def _metrics() -> str:
    metrics = importlib.import_module("proxy.metric_table").METRICS
    rows = [(f"`{item.name}`", item.kind, " ".join(f"`{label}`" for label in item.labels), item.help) for item in metrics]
    return _rows(("metric", "kind", "labels", "what it counts or measures"), rows)


def _sizing() -> str:
    """What one CPU does, from the last benchmark that was kept: medians of its rounds."""
    measured = json.loads((DOCS.parent / "benchmarks" / "results" / "latest.json").read_text(encoding="utf-8"))
    names = {
        "bare": "bare aiohttp pass-through",
        "untouched": "untouched route",
        "observe": "all eight policies observing, every answer scored",
        "enforce": "all eight policies enforced",
    }
    speed = {name: median(measured["requests_per_second"][name]) for name in names}
    rows = [
        (
            text,
            f"{speed[name]:,.0f}",
            f"{median(measured['cpu_us_per_request'][name]) / 1000:.2f} ms",
            f"{100 * speed[name] / speed['bare']:.0f}%",
        )
        for name, text in names.items()
    ]
    told = f"`{measured['command']}` at commit `{measured['commit']}`, {measured['machine']['cpus']} CPUs, one for the worker:"
    return f"{told}\n\n" + _rows(("route", "requests a second", "CPU time of a request", "of the bare one"), rows)


def _library() -> str:
    rows = []
    for policy in importlib.import_module("policies.loader").load_library().values():
        ladder = " → ".join(" ".join((rung.action, "+".join(rung.change))).strip() for rung in policy.ladder) or "flag"
        hold = policy.hold.default.kind
        if policy.hold.triggered.kind != hold:
            hold = f"{policy.hold.triggered.kind} on trigger, else {hold}"
        rows.append((f"`{policy.name}`", policy.enforcement, hold, policy.boundary.inject, ladder, policy.description.strip()))
    return _rows(("policy", "enforcement", "hold", "boundary", "ladder", "against"), rows)


def _fields(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    required = set(schema.get("required", ()))
    rows = []
    for name, field in schema["properties"].items():
        default = "required" if name in required else _default(field.get("default"))
        rows.append((f"`{name}`", _type(field), default, model.model_fields[name].description or ""))
    return _rows(("field", "type", "default", "meaning"), rows)


def _default(value: Any) -> str:
    # A nested block whose parts have defaults of their own would repeat all of them here.
    return "" if value is None or value == "" or isinstance(value, dict) else f"`{json.dumps(value, ensure_ascii=False)}`"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_type(part) for part in schema[key] if part.get("type") != "null"))
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    return _container(schema)


def _container(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object":
        extra = schema.get("additionalProperties")
        return f"mapping to {_type(extra)}" if isinstance(extra, dict) else "mapping"
    return {"string": "text", "boolean": "true or false"}.get(kind, str(kind))


def _rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    cells = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells)


def main() -> None:
    for file, text in outdated().items():
        file.write_text(text, encoding="utf-8")
        print(f"renewed {file.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
