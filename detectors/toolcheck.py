"""Exact checks of tool calls: against the declared tools, against their JSON schemas, and calls written into the text.

One rule: only what the request declares counts as declared, and a schema that cannot be compiled or judged accuses nobody.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import orjson
import re2
from jsonschema.validators import validator_for

from core.types import Conversation, Tool, ToolCall
from detectors.lazy import Occurs

#: Compiled validators kept, by digest of the schema; the least recently used one goes first.
VALIDATORS = 512
#: Bounds of one check: longer arguments or schemas are not judged, so that no request can buy a slow validation.
ARGUMENT_CHARS, SCHEMA_CHARS = 64_000, 64_000
#: Calls written in a text that are looked at.
MAX_WRITTEN = 20

Problem = Literal["undeclared", "not_json", "schema", "written"]

_INTERPRETER = re2.compile(
    r"(?i)(?:^|[^a-z])(?:code[_ -]?interpreter|python|ipython|jupyter|execute|exec|"
    r"run[_ -]?(?:code|python|script|cell|command)?|sandbox|repl|code[_ -]?exec\w*|interpreter|sympy|"
    r"notebook|bash|shell|terminal|evaluate[_ -]?code)(?:$|[^a-z])"
)
_NAME = r'"name"\s*:\s*"([\w.-]+)"'
_WRITTEN = re2.compile(
    rf"<tool_call>\s*\{{[^{{}}]{{0,200}}{_NAME}"
    rf"|\[TOOL_CALLS?\]\s*\[?\s*\{{[^{{}}]{{0,200}}{_NAME}"
    r"|\[TOOL_CALLS?\]\s*(\w+)"
    r"|<function(?:_call)?[=: ]\s*\"?([\w.-]+)"
    r'|<invoke name="([\w.-]+)"'
    r"|<\|(?:python_tag|tool_call)\|>\s*([\w.]+)"
    r'|"(?:name|function|tool|tool_name|recipient_name)"\s*:\s*"([\w.-]+)"\s*,\s*'
    r'"(?:arguments|parameters|args|input|tool_input)"\s*:\s*[{"]'
    r"|(?:^|\n)(?:Action|Tool):\s*([\w.-]+)\s*\n+\s*(?:Action Input|Input|Tool Input):"
)
#: What every written call holds, read at once.
_MAY_WRITE = Occurs(
    r'<tool_call|\[TOOL_CALL|<function|<invoke|<\||"(?:arguments|parameters|args|input)"|Action|Tool:|tool_input'
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One bad call. `start`, `end`: where it stands in `Reply.text`; 0, 0 for a structured call."""

    problem: Problem
    name: str
    start: int = 0
    end: int = 0


class ToolChecker:
    """Checks calls; keeps compiled validators. Thread-safe."""

    def __init__(self, capacity: int = VALIDATORS) -> None:
        self._capacity = capacity
        self._validators: OrderedDict[bytes, Any] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, tools: tuple[Tool, ...], calls: tuple[ToolCall, ...]) -> tuple[Finding, ...]:
        """What is wrong with structured calls, at most one finding a call."""
        declared = {tool.name: tool for tool in tools}
        found = (self._check(declared, call) for call in calls)
        return tuple(finding for finding in found if finding is not None)

    def _check(self, declared: Mapping[str, Tool], call: ToolCall) -> Finding | None:
        tool = declared.get(call.name)
        if tool is None:
            return Finding("undeclared", call.name)
        if len(call.arguments) > ARGUMENT_CHARS:
            return None
        try:
            arguments = orjson.loads(call.arguments or "{}")
        except orjson.JSONDecodeError:
            return Finding("not_json", call.name)
        validator = self._validator(tool)
        if validator is None or _accepts(validator, arguments):
            return None
        return Finding("schema", call.name)

    def _validator(self, tool: Tool) -> Any:
        """The compiled validator of a tool, None where it has no schema or one that cannot be compiled."""
        if not tool.parameters:
            return None
        schema = json.dumps(tool.parameters, sort_keys=True, default=str)
        if len(schema) > SCHEMA_CHARS:
            return None
        digest = hashlib.blake2b(schema.encode(), digest_size=16).digest()
        with self._lock:
            if digest in self._validators:
                self._validators.move_to_end(digest)
                return self._validators[digest]
        validator = _compile(tool.parameters)
        with self._lock:
            self._validators[digest] = validator
            while len(self._validators) > self._capacity:
                self._validators.popitem(last=False)
        return validator


def _compile(schema: Mapping[str, Any]) -> Any:
    keywords: set[str] = set()
    bounded = _bounded(schema, keywords)
    if bounded is None or ("pattern" in keywords and keywords & {"not", "oneOf", "if"}):
        return None
    try:
        kind = validator_for(bounded)
        kind.check_schema(bounded)
        return kind(bounded)
    except Exception:  # any schema a client may send: what cannot be compiled is not judged
        return None


def _bounded(schema: Any, keywords: set[str], depth: int = 0) -> Any:
    """The schema without `pattern` (that engine is not linear), None where it refers elsewhere or nests beyond reason."""
    if depth > 40:
        return None
    if isinstance(schema, Mapping):
        reference = schema.get("$ref", "#/")
        if "patternProperties" in schema or (isinstance(reference, str) and not reference.startswith("#/")):
            return None
        keywords.update(key for key in schema if isinstance(key, str))
        kept = {key: value for key, value in schema.items() if not (key == "pattern" and isinstance(value, str))}
        bounded = {key: _bounded(value, keywords, depth + 1) for key, value in kept.items()}
        return None if any(bounded[key] is None and kept[key] is not None for key in kept) else bounded
    if isinstance(schema, list | tuple):
        items = [_bounded(item, keywords, depth + 1) for item in schema]
        return None if any(new is None and old is not None for new, old in zip(items, schema, strict=True)) else items
    return schema


def _accepts(validator: Any, arguments: Any) -> bool:
    try:
        return bool(validator.is_valid(arguments))
    except Exception:  # an endless reference, or a schema that lies about itself
        return True


def interpreter_declared(conversation: Conversation) -> bool:
    """Whether a declared tool runs code, or the provider does."""
    return conversation.hosted_tools or any(_INTERPRETER.search(tool.name) is not None for tool in conversation.tools)


def written_calls(text: str, tools: tuple[Tool, ...]) -> tuple[Finding, ...]:
    """Calls written into the text to names that are not declared. JSON counts only with a name and arguments together."""
    # Single characters first: most answers hold neither, and looking for all marks costs 4 us.
    if not ("<" in text or '"' in text or "[" in text or "Action" in text or "Tool:" in text or "tool_input" in text):
        return ()
    if not _MAY_WRITE(text.encode("utf-8", "replace")):
        return ()
    declared = {tool.name for tool in tools}
    found = []
    for match in islice(_WRITTEN.finditer(text), MAX_WRITTEN):
        name = next((group for group in match.groups() if group), "")
        if name not in declared:
            found.append(Finding("written", name, match.start(), match.end()))
    return tuple(found)
