"""One chat request by the official client, plain or streamed: the message that arrived, whichever way.

One rule: a stream is put together as any client would; one that breaks off or ends in an error brought no answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from openai import AsyncOpenAI, OpenAIError

from core.values import frozen


@frozen
class Arrived:
    """`message`: as of a plain answer, without what is null. `tokens`: as the answer counts them, 0 where it does not."""

    message: dict[str, Any]
    headers: Mapping[str, str]
    tokens: int


class NoAnswer(Exception):
    """`why`: a status or the kind of an error, without texts. `headers`: of the error, where there was a head."""

    def __init__(self, why: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.headers = headers or {}


async def ask(client: AsyncOpenAI, request: Mapping[str, Any], *, stream: bool) -> Arrived:
    """Raises NoAnswer."""
    try:
        return await (_streamed if stream else _plain)(client, request)
    except OpenAIError as error:
        response = getattr(error, "response", None)
        status = getattr(error, "status_code", None)
        why = f"status {status}" if status is not None else type(error).__name__
        raise NoAnswer(why, response.headers if response is not None else None) from error
    except httpx.HTTPError as error:  # a stream that breaks off
        raise NoAnswer(type(error).__name__) from error
    except (IndexError, AttributeError, TypeError, ValueError) as error:  # of a server that says 200 to anything
        raise NoAnswer("no answer") from error


async def _plain(client: AsyncOpenAI, request: Mapping[str, Any]) -> Arrived:
    raw = await client.chat.completions.with_raw_response.create(**request)
    reply = raw.parse()
    message = reply.choices[0].message.model_dump(exclude_none=True)
    return Arrived(message, raw.headers, reply.usage.total_tokens if reply.usage is not None else 0)


async def _streamed(client: AsyncOpenAI, request: Mapping[str, Any]) -> Arrived:
    raw = await client.chat.completions.with_raw_response.create(**request, stream=True, stream_options={"include_usage": True})
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    calls: dict[int, dict[str, Any]] = {}
    tokens, ended = 0, False
    async for event in raw.parse():
        tokens = event.usage.total_tokens if event.usage is not None else tokens
        for choice in event.choices:
            message["content"] += choice.delta.content or ""
            ended = ended or choice.finish_reason is not None
            for part in choice.delta.tool_calls or ():
                _add(calls, part)
    if not ended:
        raise NoAnswer("no answer", raw.headers)
    return Arrived({**message, "tool_calls": list(calls.values())} if calls else message, raw.headers, tokens)


def _add(calls: dict[int, dict[str, Any]], part: Any) -> None:
    """One piece of one call: its name comes once, its arguments bit by bit."""
    call = calls.setdefault(part.index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call["id"] = part.id or call["id"]
    call["function"]["name"] += part.function.name or ""
    call["function"]["arguments"] += part.function.arguments or ""
