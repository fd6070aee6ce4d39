"""The litellm SDK as a client: OpenAI's chat completions and responses, Anthropic's messages."""

from __future__ import annotations

import logging
from typing import Any

import litellm
from telling import BASE, KEY, PARAMETERS, WEATHER, Teller, each, headers, look, plainly, prompt_of

litellm.suppress_debug_info = True
logging.disable(logging.CRITICAL)
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}


def options(api: str, case: str) -> dict[str, Any]:
    # Where litellm itself asks again is `num_retries`; the client below it does where this is 0.
    fixed: dict[str, Any] = {
        "api_key": KEY,
        "extra_headers": headers(),
        "max_retries": 1 if case in ("limited", "failing") else 0,
    }
    if api == "messages":
        return {**fixed, "model": "anthropic/claude-sonnet-4-5", "api_base": BASE, "max_tokens": 100}
    return {**fixed, "model": "openai/gpt-4o", "api_base": f"{BASE}/v1"}


def settled(thing: Any) -> Any:
    """Without what litellm makes itself: ids and times of chunks, where the provider gave none."""
    told = plainly(thing)
    if isinstance(told, dict):
        told.pop("created", None)
        if str(told.get("id", "")).startswith("chatcmpl-") and told["id"] != "chatcmpl-1":
            told.pop("id")
    return told


async def plain(api: str, case: str) -> Any:
    asked = [{"role": "user", "content": prompt_of(case)}]
    return settled(await litellm.acompletion(messages=asked, **options(api, case)))


async def streamed(api: str, case: str) -> Any:
    items: list[Any] = []
    try:
        asked = [{"role": "user", "content": prompt_of(case)}]
        extra = {"tools": [TOOL]} if case == "tools" else {}
        stream = await litellm.acompletion(
            messages=asked, stream=True, stream_options={"include_usage": True}, **extra, **options(api, case)
        )
        async for item in each(stream):
            items.append(settled(item))
    except Exception as error:
        items.append({"broke": type(error).__name__, "status": getattr(error, "status_code", None)})
    return items


async def tools(api: str, case: str) -> Any:
    messages: list[Any] = [{"role": "user", "content": WEATHER}]
    first = await litellm.acompletion(messages=messages, tools=[TOOL], **options(api, case))
    (call,) = first.choices[0].message.tool_calls
    messages += [
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": look("Vienna")},
    ]
    return [settled(first), settled(await litellm.acompletion(messages=messages, tools=[TOOL], **options(api, case)))]


async def responses(case: str, stream: bool) -> Any:
    made = options("responses", case)
    del made["max_retries"]
    answer = await litellm.aresponses(input=prompt_of(case), stream=stream, **made)
    return [plainly(event) async for event in answer] if stream else plainly(answer)


def main() -> None:
    teller = Teller("litellm", "litellm")
    for api in ("chat", "messages"):
        for case in ("plain", "reasoning", "misrouted", "corrected", "exhausted", "refused", "unauthorised", "overloaded"):
            teller.tell(api, case, False, lambda api=api, case=case: plain(api, case))
        for case in ("plain", "reasoning", "tools", "misrouted", "corrected", "broken", "complaint"):
            teller.tell(api, case, True, lambda api=api, case=case: streamed(api, case))
        teller.tell(api, "tools", False, lambda api=api: tools(api, "tools"))
    for case in ("plain", "misrouted", "corrected", "refused"):
        teller.tell("responses", case, False, lambda case=case: responses(case, False))
    for case in ("plain", "misrouted", "corrected"):
        teller.tell("responses", case, True, lambda case=case: responses(case, True))


main()
