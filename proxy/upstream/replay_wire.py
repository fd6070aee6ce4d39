"""The bytes of a recorded answer: a chat completion, or the SSE events of one, as an OpenAI-compatible server writes them.

One rule: what is written depends on the recorded exchange and the request alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from proxy.upstream.replay_file import ReplayExchange, text_of

#: `created` of every answer: 1 January 2025, 00:00 UTC.
CREATED = 1_735_689_600
_CHARS_A_CHUNK = 20


def error_body(message: str, kind: str, code: str | None) -> bytes:
    """An OpenAI error object."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def body_of(exchange: ReplayExchange, doc: Mapping[str, Any]) -> bytes:
    """The JSON body of a plain answer."""
    if exchange.body is not None:
        return orjson.dumps(exchange.body)
    envelope = _envelope(exchange, doc, "chat.completion")
    choices = [{"index": index, "logprobs": None, **choice} for index, choice in enumerate(_choices(exchange, doc))]
    return orjson.dumps({**envelope, "choices": choices, "usage": _usage(exchange, doc)})


def events_of(exchange: ReplayExchange, doc: Mapping[str, Any]) -> list[bytes]:
    """The SSE events of a streamed answer, `[DONE]` included; a usage chunk where `include_usage` asks for it."""
    options = doc.get("stream_options")
    include_usage = isinstance(options, dict) and options.get("include_usage") is True
    envelope = _envelope(exchange, doc, "chat.completion.chunk")
    closing: dict[str, Any] = {"usage": None} if include_usage else {}
    documents = [
        {**envelope, "choices": [{"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}], **closing}
        for index, choice in enumerate(_choices(exchange, doc))
        for delta, logprobs, reason in _deltas(exchange, choice, first=index == 0)
    ]
    if include_usage:
        documents.append({**envelope, "choices": [], "usage": _usage(exchange, doc)})
    return [b"data: " + orjson.dumps(document) + b"\n\n" for document in documents] + [b"data: [DONE]\n\n"]


def _envelope(exchange: ReplayExchange, doc: Mapping[str, Any], kind: str) -> dict[str, Any]:
    seed = orjson.dumps([exchange.name, exchange.match.model_dump(), doc.get("messages")], default=str)
    answer_id = f"chatcmpl-replay-{hashlib.sha256(seed).hexdigest()[:16]}"
    return {"id": answer_id, "object": kind, "created": CREATED, "model": str(doc.get("model", "replay"))}


def _choices(exchange: ReplayExchange, doc: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The first `n` recorded choices; the last is repeated where fewer were recorded."""
    choices = exchange.reply.all_choices() if exchange.reply is not None else []
    n = doc.get("n")
    wanted = n if isinstance(n, int) and 1 <= n <= 128 else 1
    return [choices[min(index, len(choices) - 1)] for index in range(wanted)] if choices else []


def _usage(exchange: ReplayExchange, doc: Mapping[str, Any]) -> dict[str, Any]:
    if exchange.reply is not None and exchange.reply.usage is not None:
        return exchange.reply.usage
    # Four characters a token is what providers name as a rule of thumb; a recording needs no better.
    asked = sum(len(text_of(message)) for message in doc.get("messages") or () if isinstance(message, dict))
    answered = sum(len(choice["message"].get("content") or "") for choice in _choices(exchange, doc))
    prompt, completion = asked // 4 + 1, answered // 4 + 1
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _deltas(
    exchange: ReplayExchange, choice: dict[str, Any], *, first: bool
) -> Iterator[tuple[dict[str, Any], Any, str | None]]:
    """(delta, logprobs, finish_reason) of every chunk of a choice."""
    message = choice["message"]
    yield {"role": message.get("role", "assistant"), "content": "" if message.get("content") is not None else None}, None, None
    for field in ("reasoning_content", "content", "refusal"):
        text = message.get(field)
        if not isinstance(text, str):
            continue
        logprobs = choice.get("logprobs") if field == "content" else None
        for piece in _pieces(exchange, text, given=first and field == "content"):
            yield {field: piece}, logprobs, None
            logprobs = None
    for index, call in enumerate(message.get("tool_calls") or ()):
        yield from ((delta, None, None) for delta in _call_deltas(exchange, index, call))
    yield {}, None, choice["finish_reason"]


def _call_deltas(exchange: ReplayExchange, index: int, call: dict[str, Any]) -> Iterator[dict[str, Any]]:
    function = call.get("function") or {}
    head = {"name": function.get("name", ""), "arguments": ""}
    yield {"tool_calls": [{"index": index, "id": call.get("id", f"call_{index}"), "type": "function", "function": head}]}
    for piece in _pieces(exchange, function.get("arguments", ""), given=False):
        yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _pieces(exchange: ReplayExchange, text: str, *, given: bool) -> list[str]:
    if given and isinstance(exchange.chunks, list):
        return exchange.chunks
    size = _CHARS_A_CHUNK
    if isinstance(exchange.chunks, int):
        size = max(1, -(-len(text) // exchange.chunks))
    return [text[start : start + size] for start in range(0, len(text), size)]
