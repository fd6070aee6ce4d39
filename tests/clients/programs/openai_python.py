"""The official openai Python client, synchronous (`sync`) and asynchronous (`async`), over every API that it speaks."""

from __future__ import annotations

import json
import sys
from typing import Any

import openai
from pydantic import BaseModel
from telling import BASE, KEY, PARAMETERS, TROUBLES, WEATHER, Teller, each, headers, look, prompt_of, value

MAKE: Any = openai.AsyncOpenAI if sys.argv[1] == "async" else openai.OpenAI
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS, "strict": True}}
FLAT = {"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": True}


class Place(BaseModel):
    city: str
    river: str


def client(case: str) -> Any:
    retries = 0 if case in ("exhausted", "overloaded", "broken") else 1
    return MAKE(base_url=f"{BASE}/v1", api_key=KEY, max_retries=retries, default_headers=headers())


# ---- chat completions


async def chat(case: str) -> Any:
    asked = [{"role": "user", "content": prompt_of(case)}]
    raw = await value(client(case).chat.completions.with_raw_response.create(model="gpt-4o", messages=asked, logprobs=True))
    return [(await value(raw.parse())), raw.headers.get("x-request-id"), raw.retries_taken]


async def chat_stream(case: str) -> Any:
    asked = [{"role": "user", "content": prompt_of(case)}]
    stream = await value(
        client(case).chat.completions.create(
            model="gpt-4o", messages=asked, stream=True, stream_options={"include_usage": True}
        )
    )
    return await collected(stream)


async def collected(stream: Any) -> Any:
    """Every item; an error in the middle is one of them."""
    items: list[Any] = []
    try:
        async for item in each(stream):
            items.append(item)
    except Exception as error:
        items.append({"broke": type(error).__name__, "said": str(getattr(error, "body", ""))})
    return items


async def chat_tools(case: str) -> Any:
    messages: list[Any] = [{"role": "user", "content": WEATHER}]
    api = client(case).chat.completions
    first = await value(api.create(model="gpt-4o", messages=messages, tools=[TOOL]))
    call = first.choices[0].message.tool_calls[0]
    messages += [
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": look(**json.loads(call.function.arguments))},
    ]
    return [first, await value(api.create(model="gpt-4o", messages=messages, tools=[TOOL]))]


async def chat_parse(case: str) -> Any:
    asked = [{"role": "user", "content": prompt_of(case)}]
    parsed = await value(client(case).chat.completions.parse(model="gpt-4o", messages=asked, response_format=Place))
    assert isinstance(parsed.choices[0].message.parsed, Place)
    return parsed


async def chat_helper(case: str) -> Any:
    """The streaming helper, whose events carry snapshots."""
    asked = [{"role": "user", "content": prompt_of(case)}]
    manager = client(case).chat.completions.stream(
        model="gpt-4o", messages=asked, **({"tools": [TOOL]} if case == "tools" else {})
    )
    if MAKE is openai.AsyncOpenAI:
        async with manager as stream:
            return [await collected(stream), await stream.get_final_completion()]
    with manager as stream:
        return [await collected(stream), stream.get_final_completion()]


# ---- responses


async def responses(case: str) -> Any:
    raw = await value(client(case).responses.with_raw_response.create(model="gpt-4o", input=prompt_of(case)))
    return [(await value(raw.parse())), raw.headers.get("x-request-id"), raw.retries_taken]


async def responses_stream(case: str) -> Any:
    return await collected(await value(client(case).responses.create(model="gpt-4o", input=prompt_of(case), stream=True)))


async def responses_tools(case: str) -> Any:
    items: list[Any] = [{"role": "user", "content": WEATHER}]
    api = client(case).responses
    first = await value(api.create(model="gpt-4o", input=items, tools=[FLAT], store=False))
    call = first.output[0]
    items += [
        call.model_dump(exclude_none=True),
        {"type": "function_call_output", "call_id": call.call_id, "output": look("Vienna")},
    ]
    return [first, await value(api.create(model="gpt-4o", input=items, tools=[FLAT], store=False))]


async def responses_parse(case: str) -> Any:
    parsed = await value(client(case).responses.parse(model="gpt-4o", input=prompt_of(case), text_format=Place))
    assert isinstance(parsed.output_parsed, Place)
    return parsed


async def responses_deleted(case: str) -> Any:
    return await value(client(case).responses.delete("resp_1"))


# ---- the others


async def text(case: str) -> Any:
    return await value(client(case).completions.create(model="gpt-3.5-turbo-instruct", prompt=prompt_of(case)))


async def text_stream(case: str) -> Any:
    stream = client(case).completions.create(model="gpt-3.5-turbo-instruct", prompt=prompt_of(case), stream=True)
    return await collected(await value(stream))


async def embeddings(case: str) -> Any:
    return await value(client(case).embeddings.create(model="text-embedding-3-small", input="Vienna"))


async def models(case: str) -> Any:
    page = client(case).models.list()
    return [model async for model in each(page)]


def main() -> None:
    teller = Teller(f"openai Python, {sys.argv[1]}", "openai")
    for name, plain, streamed in (
        ("chat", chat, chat_stream),
        ("responses", responses, responses_stream),
        ("completions", text, text_stream),
    ):
        for case in ("plain", "reasoning", "misrouted", "corrected", *TROUBLES, "broken"):
            teller.tell(name, case, False, lambda ask=plain, case=case: ask(case))
        for case in ("plain", "reasoning", "misrouted", "corrected", "broken", "complaint", "limited", "exhausted", "refused"):
            teller.tell(name, case, True, lambda ask=streamed, case=case: ask(case))
    teller.tell("chat", "tools", False, lambda: chat_tools("tools"))
    teller.tell("chat", "structured", False, lambda: chat_parse("structured"))
    teller.tell("chat", "tools", True, lambda: chat_helper("tools"))
    teller.tell("chat", "plain, helper", True, lambda: chat_helper("plain"))
    teller.tell("responses", "tools", False, lambda: responses_tools("tools"))
    teller.tell("responses", "structured", False, lambda: responses_parse("structured"))
    teller.tell("responses", "tools", True, lambda: responses_stream("tools"))
    teller.tell("passed", "delete response", False, lambda: responses_deleted("plain"))
    teller.tell("passed", "embeddings", False, lambda: embeddings("plain"))
    teller.tell("passed", "models", False, lambda: models("plain"))


main()
