"""What a client saw through the proxy against what it saw of the upstream itself, case by case.

One rule: a difference is either named here, with the page that documents it, or it is a fault.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.proxy.fake_upstream import Seen

Line = Mapping[str, Any]
Key = tuple[str, str, bool]
#: Cases that end in an error of the client.
FAILING = frozenset({"exhausted", "failing", "refused", "unauthorised", "overloaded"})
#: Headers of a request that differ from run to run, or belong to one connection.
_OF_RUN = frozenset({
    "host", "idempotency-key", "x-stainless-read-timeout", "traceparent", "connection", "content-length",
    "x-pydantic-ai-run-id", "accept-encoding",
})  # fmt: skip
#: What clients number or date themselves.
_RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")


@dataclass
class Run:
    """One client program against one base URL. `lines`: what it told, by case; `asked`: what the upstream was asked."""

    client: str
    version: str
    lines: dict[Key, Line]
    asked: dict[Key, list[Seen]]


def key_of(line: Line) -> Key:
    return line["api"], line["case"], line["stream"]


def differences(direct: Run, through: Run, guarded: bool) -> dict[Key, str]:
    """Per case what differs, empty where nothing does. `guarded`: the route has policies that act."""
    found: dict[Key, str] = {}
    for key, line in direct.lines.items():
        other = through.lines.get(key)
        if other is None:
            found[key] = "told nothing"
            continue
        found[key] = (
            _useless(direct, line) or _difference(direct, key, line, other, guarded) or _requests(direct, through, key, guarded)
        )
    for key in through.lines.keys() - direct.lines.keys():
        found[key] = "told only through the proxy"
    return found


def _useless(direct: Run, line: Line) -> str:
    """Why a case would prove nothing: the client never came to the upstream, or failed where it should not."""
    if not direct.asked.get(key_of(line)):
        return f"asked nothing of the upstream itself: {_short(line)}"
    if ("error" in line) != (line["case"] in FAILING or (line["case"] == "broken" and not line["stream"])):
        return f"unexpected of the upstream itself: {_short(line)}"
    return ""


def _difference(direct: Run, key: Key, line: Line, other: Line, guarded: bool) -> str:
    api, case, stream = key
    if guarded and case == "misrouted":
        # docs/concepts.md, "Attempts": the client sees the better answer, as if the model had given it at once.
        line = direct.lines.get((api, "corrected", stream), {})
    if guarded and case == "broken" and not stream:
        # docs/concepts.md, "The reply": a held answer that cannot be read is answered 502.
        return (
            "" if "502" in json.dumps(other) or "upstream_protocol_error" in json.dumps(other) else f"no 502: {_short(other)}"
        )
    left, right = _settled(line), _settled(other)
    return "" if left == right else f"{_first(left, right)}"


def _settled(line: Line) -> str:
    told = {name: line.get(name) for name in ("seen", "error")}
    return _RANDOM.sub("#", json.dumps(told, sort_keys=True, ensure_ascii=False))


def _first(left: str, right: str) -> str:
    place = next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    start = max(0, place - 60)
    return f"upstream ...{left[start : place + 120]!r} proxy ...{right[start : place + 120]!r}"


def _short(line: Line) -> str:
    return json.dumps(line, ensure_ascii=False)[:300]


# ---- what the upstream was asked


def _requests(direct: Run, through: Run, key: Key, guarded: bool) -> str:
    """The upstream sees the same requests, retries included: none is added, dropped or changed by the proxy."""
    wanted, got = direct.asked.get(key, []), through.asked.get(key, [])
    if guarded and key[1] in ("misrouted", "misrouted, retried"):
        return "" if len(got) > len(wanted) else "was not asked again"
    if len(wanted) != len(got):
        return f"the upstream was asked {len(got)} times, not {len(wanted)}"
    for one, two in zip(wanted, got, strict=True):
        left, right = _asked(one), _asked(two)
        if left != right:
            return f"request: {_first(left, right)}"
    return ""


def _asked(seen: Seen) -> str:
    headers = sorted((name.lower(), value) for name, value in seen.headers if name.lower() not in _OF_RUN)
    _, _, target = seen.target.removeprefix("/").partition("/")
    return _RANDOM.sub("#", repr([seen.method, target, headers, seen.body]))


def order(lines: Sequence[Line]) -> dict[Key, Line]:
    """The lines of a program by case. Raises ValueError where a case is told twice."""
    found: dict[Key, Line] = {}
    for line in lines:
        if key_of(line) in found:
            raise ValueError(f"{key_of(line)} is told twice")
        found[key_of(line)] = line
    return found
