"""The official anthropic Python client, synchronous (`sync`) and asynchronous (`async`)."""

from __future__ import annotations

import sys
from typing import Any

import anthropic
from telling import BASE, KEY, PARAMETERS, TROUBLES, WEATHER, Teller, each, headers, look, prompt_of, value

MAKE: Any = anthropic.AsyncAnthropic if sys.argv[1] == "async" else anthropic.Anthropic
TOOL = {"name": "get_weather", "input_schema": PARAMETERS}
SYSTEM = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
MODEL = "claude-sonnet-4-5"


def client(case: str) -> Any:
    retries = 0 if case in ("exhausted", "overloaded", "broken") else 1
    return MAKE(base_url=BASE, api_key=KEY, max_retries=retries, default_headers=headers())


def asking(case: str) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 100, "system": SYSTEM, "messages": [{"role": "user", "content": prompt_of(case)}]}


async def message(case: str) -> Any:
    raw = await value(client(case).messages.with_raw_response.create(**asking(case)))
    return [(await value(raw.parse())), raw.headers.get("request-id"), raw.retries_taken]


async def collected(stream: Any) -> Any:
    """Every item; an error in the middle is one of them."""
    items: list[Any] = []
    try:
        async for item in each(stream):
            items.append(item)
    except Exception as error:
        items.append({"broke": type(error).__name__, "said": str(getattr(error, "body", ""))})
    return items


async def events(case: str) -> Any:
    return await collected(await value(client(case).messages.create(**asking(case), stream=True)))


async def helper(case: str) -> Any:
    """The streaming helper, whose events carry snapshots."""
    manager = client(case).messages.stream(**asking(case), **({"tools": [TOOL]} if case == "tools" else {}))
    if MAKE is anthropic.AsyncAnthropic:
        async with manager as stream:
            return [await collected(stream), await stream.get_final_message()]
    with manager as stream:
        return [await collected(stream), stream.get_final_message()]


async def tools(case: str) -> Any:
    messages: list[Any] = [{"role": "user", "content": WEATHER}]
    api = client(case).messages
    first = await value(api.create(model=MODEL, max_tokens=100, messages=messages, tools=[TOOL]))
    use = first.content[0]
    result = {"type": "tool_result", "tool_use_id": use.id, "content": look(**use.input)}
    messages += [{"role": "assistant", "content": [use.model_dump(exclude_none=True)]}, {"role": "user", "content": [result]}]
    return [first, await value(api.create(model=MODEL, max_tokens=100, messages=messages, tools=[TOOL]))]


async def counted(case: str) -> Any:
    asked = asking(case)
    del asked["max_tokens"]
    return await value(client(case).messages.count_tokens(**asked))


def main() -> None:
    teller = Teller(f"anthropic Python, {sys.argv[1]}", "anthropic")
    for case in ("plain", "reasoning", "misrouted", "corrected", *TROUBLES, "broken"):
        teller.tell("messages", case, False, lambda case=case: message(case))
    for case in ("plain", "reasoning", "misrouted", "corrected", "broken", "complaint", "limited", "exhausted", "refused"):
        teller.tell("messages", case, True, lambda case=case: events(case))
    teller.tell("messages", "tools", False, lambda: tools("tools"))
    teller.tell("messages", "tools", True, lambda: helper("tools"))
    teller.tell("messages", "plain, helper", True, lambda: helper("plain"))
    teller.tell("passed", "count tokens", False, lambda: counted("plain"))


main()
