"""LangChain over OpenAI's chat completions and responses, and over Anthropic's messages."""

from __future__ import annotations

from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel
from telling import BASE, KEY, WEATHER, Teller, headers, look, prompt_of


class Place(BaseModel):
    """Where a river is."""

    city: str
    river: str


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return look(city)


def model(api: str, case: str) -> Any:
    retries = 0 if case in ("exhausted", "overloaded", "broken") else 1
    if api == "messages":
        return ChatAnthropic(
            model_name="claude-sonnet-4-5",
            base_url=BASE,
            api_key=KEY,
            max_retries=retries,
            default_headers=headers(),
            max_tokens=100,
        )
    return ChatOpenAI(
        model="gpt-4o", base_url=f"{BASE}/v1", api_key=KEY, max_retries=retries, default_headers=headers(),
        use_responses_api=api == "responses", stream_usage=True,
    )  # fmt: skip


def seen(message: Any) -> Any:
    """A message without the id that LangChain makes itself."""
    told = message.model_dump(mode="json")
    if str(told.get("id", "")).startswith(("run-", "lc_")):
        told.pop("id")
    return told


def plain(api: str, case: str) -> Any:
    return seen(model(api, case).invoke(prompt_of(case)))


async def streamed(api: str, case: str) -> Any:
    items: list[Any] = []
    try:
        async for item in model(api, case).astream(prompt_of(case)):
            items.append(seen(item))
    except Exception as error:
        items.append({"broke": type(error).__name__, "said": str(getattr(error, "body", ""))})
    return items


def tools(api: str, case: str) -> Any:
    bound = model(api, case).bind_tools([get_weather])
    messages: list[Any] = [HumanMessage(WEATHER)]
    first = bound.invoke(messages)
    (call,) = first.tool_calls
    messages += [first, ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])]
    return [seen(first), seen(bound.invoke(messages))]


def structured(api: str, case: str) -> Any:
    found = model(api, case).with_structured_output(Place, method="json_schema").invoke(prompt_of(case))
    assert isinstance(found, Place)
    return found


def embedded() -> Any:
    return OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=f"{BASE}/v1",
        api_key=KEY,
        default_headers=headers(),
        check_embedding_ctx_length=False,
    ).embed_query("Vienna")


def main() -> None:
    teller = Teller("LangChain", "langchain-core")
    for api in ("chat", "responses", "messages"):
        for case in (
            "plain",
            "reasoning",
            "misrouted",
            "corrected",
            "limited",
            "exhausted",
            "failing",
            "refused",
            "unauthorised",
        ):
            teller.tell(api, case, False, lambda api=api, case=case: plain(api, case))
        for case in ("plain", "reasoning", "misrouted", "corrected", "broken", "complaint", "limited", "tools"):
            teller.tell(api, case, True, lambda api=api, case=case: streamed(api, case))
        teller.tell(api, "tools", False, lambda api=api: tools(api, "tools"))
        teller.tell(api, "structured", False, lambda api=api: structured(api, "structured"))
    teller.tell("passed", "embeddings", False, embedded)


main()
