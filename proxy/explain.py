"""`chunkguard explain`: which policies match a request and why, span by span.

One rule: it shows what `serve` would do with this request, by doing it up to the call of the upstream.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from detectors.modelset import ModelSet
from detectors.suite import Suite
from policies.explain import explain
from policies.loader import load_library
from policies.plan import compile_route
from policies.schema import Policy
from proxy import config
from proxy.errors import ConfigError, InvalidRequest, Problem
from proxy.wire import chat


def run(request: str, file: Path | None, route: str | None, *, as_json: bool) -> int:
    """Explain a request: a JSON file, `-`, or the prompt itself. Raises ConfigError; 1 where the request cannot be read."""
    policies, models = _policies(file, route)
    try:
        parsed = chat.parse_request(_body(request))
    except InvalidRequest as error:
        print(f"chunkguard: {error.message}", file=sys.stderr)
        return 1
    compiled = compile_route(policies)
    prompt = Suite(needs=compiled.needs, triggers=compiled.triggers, models=models).score_prompt(parsed.conversation)
    document = explain(policies, parsed.conversation, prompt, stream=parsed.conversation.stream)
    if as_json:
        print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(document)
    return 0


def _policies(file: Path | None, route: str | None) -> tuple[Sequence[Policy], ModelSet | None]:
    """The policies of a route, and the models that its configuration names."""
    if file is None:
        return tuple(load_library().values()), None
    settings = config.load(file)
    name = route or settings.config.routes[0].name
    if name not in settings.policies:
        raise ConfigError([Problem(str(file), "routes", f"there is no route {name!r}")])
    return settings.policies[name], settings.models


def _body(request: str) -> bytes:
    if request == "-":
        return sys.stdin.buffer.read()
    file = Path(request)
    if file.suffix == ".json" and file.is_file():
        return file.read_bytes()
    return orjson.dumps({"messages": [{"role": "user", "content": request}]})


def _show(document: dict[str, Any]) -> None:
    console = Console()
    table = Table("policy", "enforcement", "why", "hits", "boundary", "hold")
    for entry in document["policies"]:
        hits = "\n".join(f"{hit['name']} [{hit['start']}:{hit['end']}] {hit['text']!r}" for hit in entry["hits"])
        table.add_row(entry["policy"], entry["enforcement"], entry["reason"], hits, entry["boundary"], entry["hold"])
    console.print(table)
    for boundary in document["request"]["boundaries"]:
        console.print(f"adds ({boundary['placement']}): {boundary['text']}", markup=False, highlight=False)
    scores = ", ".join(f"{name} {value:.2f}" for name, value in sorted(document["scores"].items()))
    missing = ", ".join(document["missing"])
    console.print(f"hold {document['hold']['kind']}; scores {scores}" + (f"; unknown: {missing}" if missing else ""))
