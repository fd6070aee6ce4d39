"""LlamaIndex over OpenAI's chat completions and responses."""

from __future__ import annotations

from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI, OpenAIResponses
from pydantic import BaseModel
from telling import BASE, KEY, WEATHER, Teller, headers, look, plainly, prompt_of


class Place(BaseModel):
    """Where a river is."""

    city: str
    river: str


def get_weather(city: str) -> str:
    """The weather of a city."""
    return look(city)


def model(api: str, case: str) -> Any:
    kind = OpenAIResponses if api == "responses" else OpenAI
    retries = 0 if case in ("exhausted", "overloaded", "broken") else 1
    return kind(model="gpt-4o", api_base=f"{BASE}/v1", api_key=KEY, max_retries=retries, default_headers=headers())


def seen(response: Any) -> Any:
    return {"message": plainly(response.message), "delta": getattr(response, "delta", None), "raw": plainly(response.raw)}


def plain(api: str, case: str) -> Any:
    return seen(model(api, case).chat([ChatMessage(role="user", content=prompt_of(case))]))


async def streamed(api: str, case: str) -> Any:
    items: list[Any] = []
    try:
        async for item in await model(api, case).astream_chat([ChatMessage(role="user", content=prompt_of(case))]):
            items.append(seen(item))
    except Exception as error:
        items.append({"broke": type(error).__name__, "said": str(getattr(error, "body", ""))})
    return items


def tools(api: str, case: str) -> Any:
    llm = model(api, case)
    tool = FunctionTool.from_defaults(get_weather)
    messages = [ChatMessage(role="user", content=WEATHER)]
    first = llm.chat_with_tools([tool], chat_history=messages)
    (call,) = llm.get_tool_calls_from_response(first)
    result = ChatMessage(
        role="tool", content=tool(**call.tool_kwargs).content, additional_kwargs={"tool_call_id": call.tool_id}
    )
    return [seen(first), seen(llm.chat_with_tools([tool], chat_history=[*messages, first.message, result]))]


def structured(api: str, case: str) -> Any:
    found = model(api, case).as_structured_llm(Place).chat([ChatMessage(role="user", content=prompt_of(case))])
    assert isinstance(found.raw, Place)
    return found.raw


def main() -> None:
    teller = Teller("LlamaIndex", "llama-index-llms-openai")
    for api in ("chat", "responses"):
        for case in ("plain", "misrouted", "corrected", "limited", "exhausted", "failing", "refused", "unauthorised"):
            teller.tell(api, case, False, lambda api=api, case=case: plain(api, case))
        for case in ("plain", "reasoning", "misrouted", "corrected", "broken", "complaint", "limited"):
            teller.tell(api, case, True, lambda api=api, case=case: streamed(api, case))
        teller.tell(api, "tools", False, lambda api=api: tools(api, "tools"))
    teller.tell("chat", "structured", False, lambda: structured("chat", "structured"))


main()
