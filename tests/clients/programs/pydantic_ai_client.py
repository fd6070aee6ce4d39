"""pydantic-ai agents over OpenAI's chat completions and responses, and over Anthropic's messages."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from telling import BASE, KEY, Teller, headers, look, prompt_of


class Place(BaseModel):
    city: str
    river: str


def model(api: str, case: str) -> Any:
    retries = 0 if case in ("exhausted", "overloaded", "broken") else 1
    if api == "messages":
        client = anthropic.AsyncAnthropic(base_url=BASE, api_key=KEY, max_retries=retries, default_headers=headers())
        return AnthropicModel("claude-sonnet-4-5", provider=AnthropicProvider(anthropic_client=client))
    spoken = openai.AsyncOpenAI(base_url=f"{BASE}/v1", api_key=KEY, max_retries=retries, default_headers=headers())
    kind = OpenAIResponsesModel if api == "responses" else OpenAIChatModel
    return kind("gpt-4o", provider=OpenAIProvider(openai_client=spoken))


def agent(api: str, case: str, **fields: Any) -> Any:
    made = Agent(model(api, case), instructions="Be brief.", **fields)
    if case == "tools":
        made.tool_plain(name="get_weather")(look)
    return made


def settled(thing: Any) -> Any:
    """Messages without times and run ids."""
    if isinstance(thing, dict):
        return {key: settled(item) for key, item in thing.items() if key not in ("timestamp", "run_id", "conversation_id")}
    return [settled(item) for item in thing] if isinstance(thing, list) else thing


def seen(result: Any) -> Any:
    import json

    return [result.output, settled(json.loads(result.all_messages_json()))]


async def plain(api: str, case: str) -> Any:
    return seen(await agent(api, case).run(prompt_of(case)))


async def streamed(api: str, case: str) -> Any:
    deltas: list[Any] = []
    try:
        async with agent(api, case).run_stream(prompt_of(case)) as result:
            deltas += [delta async for delta in result.stream_text(delta=True, debounce_by=None)]
            deltas.append(repr(result.usage))
    except Exception as error:
        deltas.append({"broke": type(error).__name__, "said": str(getattr(error, "body", ""))})
    return deltas


async def structured(api: str, case: str) -> Any:
    result = await agent(api, case, output_type=NativeOutput(Place)).run(prompt_of(case))
    assert isinstance(result.output, Place)
    return seen(result)


def main() -> None:
    teller = Teller("pydantic-ai", "pydantic-ai-slim")
    for api in ("chat", "responses", "messages"):
        cases = (
            "plain",
            "reasoning",
            "tools",
            "misrouted",
            "corrected",
            "limited",
            "exhausted",
            "failing",
            "refused",
            "unauthorised",
        )
        for case in cases:
            teller.tell(api, case, False, lambda api=api, case=case: plain(api, case))
        for case in ("plain", "reasoning", "tools", "misrouted", "corrected", "broken", "complaint", "limited"):
            teller.tell(api, case, True, lambda api=api, case=case: streamed(api, case))
        teller.tell(api, "structured", False, lambda api=api: structured(api, "structured"))


main()
