"""How a client program of the matrix tells what it saw: one JSON line a case.

One rule: everything that an application could see goes into the line - objects, events, errors with status, body and headers -
and nothing that differs from run to run.

A program is started with CLIENT_BASE (`http://127.0.0.1:1234/off`, without `/v1`) and prints `{"client", "version"}` first.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import version
from typing import Any

BASE = os.environ["CLIENT_BASE"]
#: No client takes a key that looks real from here.
KEY = "sk-client"
RIVER = "Which river runs through Vienna?"
SUM = "Is 5+8=13?"
WEATHER = "How is the weather in Vienna?"
#: Cases whose answer is an error, by what becomes of them.
TROUBLES = ("limited", "exhausted", "failing", "refused", "unauthorised", "overloaded")
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
_HEADERS = ("retry-after", "x-request-id", "request-id", "x-ratelimit-remaining-requests")


def look(city: str) -> str:
    """The weather tool of every client."""
    assert city == "Vienna"
    return "21 degrees, sunny"


def prompt_of(case: str) -> str:
    """What is asked in a case."""
    return SUM if case in ("misrouted", "corrected") else WEATHER if case == "tools" else RIVER


async def value(given: Any) -> Any:
    """What a synchronous call returned, or an asynchronous one gives."""
    return await given if inspect.isawaitable(given) else given


async def each(stream: Any) -> AsyncIterator[Any]:
    """The items of a synchronous or an asynchronous stream."""
    if hasattr(stream, "__aiter__"):
        async for item in stream:
            yield item
    else:
        for item in stream:
            yield item


def plainly(thing: Any) -> Any:
    """An object of a client as JSON."""
    if hasattr(thing, "model_dump"):
        return thing.model_dump(mode="json")
    if isinstance(thing, dict):
        return {str(key): plainly(item) for key, item in thing.items()}
    if isinstance(thing, list | tuple):
        return [plainly(item) for item in thing]
    return thing if isinstance(thing, str | int | float | bool | None) else repr(thing)


def error_of(error: BaseException | None) -> Any:
    """An error with what an application can read from it, and from those behind it."""
    if error is None:
        return None
    told: dict[str, Any] = {"type": type(error).__name__, "said": str(error)}
    for name in ("status_code", "code", "param", "request_id", "body"):
        found = getattr(error, name, None)
        if found is not None:
            told[name] = plainly(found)
    headers = getattr(getattr(error, "response", None), "headers", None)
    if headers is not None:
        told["headers"] = {name: headers[name] for name in _HEADERS if name in headers}
    told["behind"] = error_of(error.__cause__)
    return told


_now = ""


def headers() -> dict[str, str]:
    """What every request of a case carries, so that the upstream knows what to answer."""
    return {"x-case": _now}


class Teller:
    """Runs cases and prints what each saw."""

    def __init__(self, client: str, package: str) -> None:
        self._loop = asyncio.new_event_loop()
        print(json.dumps({"client": client, "version": version(package)}), flush=True)

    def tell(self, api: str, case: str, stream: bool, act: Callable[[], Any | Awaitable[Any]]) -> None:
        """Run one case. What `act` returns or raises is what was seen."""
        global _now
        _now = f"{api}/{case}/{stream}"
        try:
            seen: Any = {"seen": plainly(self._loop.run_until_complete(value(act())))}
        except Exception as error:
            seen = {"error": error_of(error)}
        print(json.dumps({"api": api, "case": case, "stream": stream, **seen}, ensure_ascii=False), flush=True)
