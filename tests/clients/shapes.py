"""The bodies of four APIs as their providers document them: plain answers, streams with every event, errors.

One rule: no field or event is here that the providers' references do not have, so that strict clients can read all of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.proxy.fake_upstream import Seen

Doc = dict[str, Any]


@dataclass(frozen=True)
class Content:
    """What an answer says: a text, a call (name, arguments as JSON), reasoning before it."""

    text: str = ""
    call: tuple[str, str] | None = None
    reasoning: str = ""


@dataclass(frozen=True)
class Shape:
    """One API. `plain`: a body; `stream`: its events; `error`: an error body; `complaint`: an error event of a stream."""

    plain: Callable[[Content], Doc]
    stream: Callable[[Content], Sequence[bytes]]
    error: Callable[[str, str], Doc]
    complaint: Callable[[str], bytes]


def words(text: str) -> list[str]:
    """A text cut as servers cut it."""
    return [(" " if place else "") + part for place, part in enumerate(text.split(" "))]


def _data(doc: Doc) -> bytes:
    return b"data: " + json.dumps(doc).encode() + b"\n\n"


def _named(doc: Doc) -> bytes:
    return b"event: " + str(doc["type"]).encode() + b"\n" + _data(doc)


def _openai_error(kind: str, message: str) -> Doc:
    return {"error": {"message": message, "type": kind, "param": "messages", "code": kind}}


def _openai_complaint(message: str) -> bytes:
    return _data({"error": {"message": message, "type": "server_error", "param": None, "code": None}})


def other(path: str, seen: Seen) -> Doc:
    """Answers of what is only passed through."""
    if path == "/v1/models":
        return {"object": "list", "data": [{"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "openai"}]}
    if path == "/v1/messages/count_tokens":
        return {"input_tokens": 11}
    if path == "/v1/embeddings":
        # Base64 of [1.0, -2.0] as little-endian floats, where the client asked for it.
        vector: Any = "AACAPwAAAMA=" if seen.doc.get("encoding_format") == "base64" else [1.0, -2.0]
        item = {"object": "embedding", "index": 0, "embedding": vector}
        return {"object": "list", "data": [item], "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    return {"id": path.rpartition("/")[2], "object": "response.deleted", "deleted": True}


# ---- chat completions

_CHAT_USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
_CHAT = {
    "id": "chatcmpl-1",
    "created": 1_700_000_000,
    "model": "gpt-4o-2024-08-06",
    "service_tier": "default",
    "system_fingerprint": "fp_1",
}


def _token(text: str) -> Doc:
    token = {"token": text, "logprob": -0.25, "bytes": list(text.encode())}
    return {**token, "top_logprobs": [token]}


def _chat(content: Content) -> Doc:
    message: Doc = {"role": "assistant", "content": content.text or None, "refusal": None, "annotations": []}
    if content.reasoning:
        message["reasoning_content"] = content.reasoning
    finish = "stop"
    if content.call:
        name, arguments = content.call
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}]
        finish = "tool_calls"
    logprobs = {"content": [_token(word) for word in words(content.text)], "refusal": None} if content.text else None
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}
    return {**_CHAT, "object": "chat.completion", "choices": [choice], "usage": _CHAT_USAGE}


def _chat_stream(content: Content) -> list[bytes]:
    def chunk(delta: Doc, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data({**_CHAT, "object": "chat.completion.chunk", "choices": [choice], "usage": None})

    events = [chunk({"role": "assistant", "content": "", "refusal": None})]
    events += [chunk({"reasoning_content": word}) for word in words(content.reasoning) if content.reasoning]
    if content.call:
        name, arguments = content.call
        events.append(
            chunk(
                {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}]}
            )
        )
        parts = [arguments[start : start + 6] for start in range(0, len(arguments), 6)]
        events += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]}) for part in parts]
    events += [chunk({"content": word}) for word in words(content.text) if content.text]
    events.append(chunk({}, "tool_calls" if content.call else "stop"))
    usage = {**_CHAT, "object": "chat.completion.chunk", "choices": [], "usage": _CHAT_USAGE}
    return [*events, _data(usage), b"data: [DONE]\n\n"]


CHAT = Shape(_chat, _chat_stream, _openai_error, _openai_complaint)

# ---- legacy completions

_TEXT = {"id": "cmpl-1", "object": "text_completion", "created": 1_700_000_000, "model": "gpt-3.5-turbo-instruct"}


def _text(content: Content) -> Doc:
    choice = {"text": content.text, "index": 0, "logprobs": None, "finish_reason": "stop"}
    return {**_TEXT, "choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}}


def _text_stream(content: Content) -> list[bytes]:
    def chunk(text: str, finish: str | None = None) -> bytes:
        return _data({**_TEXT, "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": finish}]})

    return [*map(chunk, words(content.text)), chunk("", "stop"), b"data: [DONE]\n\n"]


TEXT = Shape(_text, _text_stream, _openai_error, _openai_complaint)

# ---- responses

_RESPONSE: Doc = {
    "id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": "completed", "background": False,
    "error": None, "incomplete_details": None, "instructions": None, "max_output_tokens": None, "max_tool_calls": None,
    "model": "gpt-4o-2024-08-06", "parallel_tool_calls": True, "previous_response_id": None, "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None}, "safety_identifier": None, "service_tier": "default", "store": True,
    "temperature": 1.0, "text": {"format": {"type": "text"}, "verbosity": "medium"}, "tool_choice": "auto", "tools": [],
    "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "user": None, "metadata": {},
}  # fmt: skip
_RESPONSE_USAGE = {
    "input_tokens": 5,
    "input_tokens_details": {"cached_tokens": 1},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 12,
}


def _items(content: Content) -> list[Doc]:
    items: list[Doc] = []
    if content.reasoning:
        items.append({"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": content.reasoning}]})
    if content.call:
        name, arguments = content.call
        call = {
            "id": "fc_1",
            "type": "function_call",
            "status": "completed",
            "call_id": "call_1",
            "name": name,
            "arguments": arguments,
        }
        items.append(call)
    if content.text:
        part = {"type": "output_text", "text": content.text, "annotations": [], "logprobs": []}
        items.append({"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]})
    return items


def _response(content: Content) -> Doc:
    return {**_RESPONSE, "output": _items(content), "usage": _RESPONSE_USAGE}


def _item_events(index: int, item: Doc) -> list[Doc]:
    at = {"item_id": item["id"], "output_index": index}
    hollow = {**item, "status": "in_progress"}
    middle: list[Doc] = []
    if item["type"] == "message":
        (part,) = item["content"]
        hollow["content"] = []
        where = {**at, "content_index": 0}
        middle = [
            {"type": "response.content_part.added", **where, "part": {**part, "text": ""}},
            *({"type": "response.output_text.delta", **where, "delta": w, "logprobs": []} for w in words(part["text"])),
            {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []},
            {"type": "response.content_part.done", **where, "part": part},
        ]
    elif item["type"] == "function_call":
        hollow["arguments"] = ""
        text = item["arguments"]
        middle = [
            *(
                {"type": "response.function_call_arguments.delta", **at, "delta": text[s : s + 6]}
                for s in range(0, len(text), 6)
            ),
            {"type": "response.function_call_arguments.done", **at, "name": item["name"], "arguments": text},
        ]
    else:
        hollow = {**item, "summary": []}
        (summary,) = item["summary"]
        where = {**at, "summary_index": 0}
        middle = [
            {"type": "response.reasoning_summary_part.added", **where, "part": {**summary, "text": ""}},
            *({"type": "response.reasoning_summary_text.delta", **where, "delta": w} for w in words(summary["text"])),
            {"type": "response.reasoning_summary_text.done", **where, "text": summary["text"]},
            {"type": "response.reasoning_summary_part.done", **where, "part": summary},
        ]
    return [
        {"type": "response.output_item.added", "output_index": index, "item": hollow},
        *middle,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _response_stream(content: Content) -> list[bytes]:
    began = {**_RESPONSE, "status": "in_progress", "output": [], "usage": None}
    docs: list[Doc] = [{"type": "response.created", "response": began}, {"type": "response.in_progress", "response": began}]
    for index, item in enumerate(_items(content)):
        docs += _item_events(index, item)
    docs.append({"type": "response.completed", "response": _response(content)})
    return [_named({**doc, "sequence_number": number}) for number, doc in enumerate(docs)]


def _response_complaint(message: str) -> bytes:
    return _named({"type": "error", "code": "server_error", "message": message, "param": None, "sequence_number": 9})


RESPONSES = Shape(_response, _response_stream, _openai_error, _response_complaint)

# ---- Anthropic messages

_MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
_MESSAGE_USAGE = {
    "input_tokens": 9,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 4,
    "output_tokens": 7,
    "service_tier": "standard",
}


def _blocks(content: Content) -> list[tuple[Doc, Doc, list[Doc]]]:
    """(block, block as it begins, deltas) of each."""
    blocks: list[tuple[Doc, Doc, list[Doc]]] = []
    if content.reasoning:
        thought = {"type": "thinking", "thinking": content.reasoning, "signature": "c2lnbmF0dXJl"}
        deltas: list[Doc] = [{"type": "thinking_delta", "thinking": word} for word in words(content.reasoning)]
        deltas.append({"type": "signature_delta", "signature": "c2lnbmF0dXJl"})
        blocks.append((thought, {"type": "thinking", "thinking": "", "signature": ""}, deltas))
    if content.call:
        name, arguments = content.call
        use = {"type": "tool_use", "id": "toolu_1", "name": name, "input": json.loads(arguments)}
        parts = [{"type": "input_json_delta", "partial_json": arguments[s : s + 6]} for s in range(0, len(arguments), 6)]
        blocks.append((use, {**use, "input": {}}, parts))
    if content.text:
        spoken: list[Doc] = [{"type": "text_delta", "text": word} for word in words(content.text)]
        blocks.append(({"type": "text", "text": content.text}, {"type": "text", "text": ""}, spoken))
    return blocks


def _stop(content: Content) -> Doc:
    return {"stop_reason": "tool_use" if content.call else "end_turn", "stop_sequence": None}


def _message(content: Content) -> Doc:
    return {**_MESSAGE, "content": [block for block, _, _ in _blocks(content)], **_stop(content), "usage": _MESSAGE_USAGE}


def _message_stream(content: Content) -> list[bytes]:
    began = {
        **_MESSAGE,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**_MESSAGE_USAGE, "output_tokens": 1},
    }
    docs: list[Doc] = [{"type": "message_start", "message": began}, {"type": "ping"}]
    for index, (_, hollow, deltas) in enumerate(_blocks(content)):
        docs.append({"type": "content_block_start", "index": index, "content_block": hollow})
        docs += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        docs.append({"type": "content_block_stop", "index": index})
    docs += [{"type": "message_delta", "delta": _stop(content), "usage": {"output_tokens": 7}}, {"type": "message_stop"}]
    return [_named(doc) for doc in docs]


def _message_error(kind: str, message: str) -> Doc:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_matrix_1"}


def _message_complaint(message: str) -> bytes:
    return _named({"type": "error", "error": {"type": "overloaded_error", "message": message}})


MESSAGES = Shape(_message, _message_stream, _message_error, _message_complaint)
