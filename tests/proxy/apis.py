"""The guarded APIs beside chat completions, as tests ask and answer them: one value each, so that one suite holds for all.

One rule: bodies are written as the providers document them, with fields and events that this code need not know.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.proxy.fake_upstream import DONE, JSON, SSE, Answer

Doc = dict[str, Any]


@dataclass(frozen=True)
class Api:
    """One API. `ask(prompt)`: a request; `plain`, `stream`: an answer with this text.

    `read`: the text of a plain body; `said`: that of a stream's documents. `error`: the type an error names. `blocked`:
    whether a document says that the provider withheld the answer."""

    name: str
    path: str
    ask: Callable[..., Doc]
    plain: Callable[[str], bytes]
    stream: Callable[[str], Sequence[bytes]]
    read: Callable[[Doc], str]
    said: Callable[[Sequence[Doc]], str]
    error: Callable[[Doc], str]
    blocked: Callable[[Doc], bool]

    def answer(self, text: str, stream: bool) -> Answer:
        """An answer with this text."""
        if stream:
            return Answer(self.stream(text), headers=list(SSE))
        return Answer([self.plain(text)], headers=list(JSON), length=True)

    def body(self, prompt: Any, **fields: Any) -> bytes:
        """A request as bytes."""
        return json.dumps(self.ask(prompt, **fields)).encode()

    def text(self, body: bytes, stream: bool) -> str:
        """What a body says."""
        return self.said(docs_of(body)) if stream else self.read(json.loads(body))


def docs_of(body: bytes) -> list[Doc]:
    """The documents of a stream."""
    lines = [line[5:].strip() for line in body.splitlines() if line.startswith(b"data:")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def words(text: str) -> list[str]:
    """A text cut as servers cut it."""
    parts = text.split(" ")
    return [(" " if place else "") + part for place, part in enumerate(parts)]


def named(doc: Doc) -> bytes:
    """An event with the name of its document's type."""
    return f"event: {doc['type']}\ndata: {json.dumps(doc)}\n\n".encode()


# ---- legacy completions

_TEXT = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "x_new": {"a": [1, None]}}
_USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


def _text_chunk(text: str, finish: str | None = None, index: int = 0) -> bytes:
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": finish, "x_new": 1}
    return b"data: " + json.dumps({**_TEXT, "choices": [choice]}).encode() + b"\n\n"


def text_completion(*texts: str) -> bytes:
    """The body of a plain answer, one choice a text."""
    choices = [{"index": i, "text": t, "logprobs": {"tokens": []}, "finish_reason": "stop"} for i, t in enumerate(texts)]
    return json.dumps({**_TEXT, "choices": choices, "usage": _USAGE}).encode()


COMPLETIONS = Api(
    name="completions",
    path="/v1/completions",
    ask=lambda prompt, **fields: {"model": "m", "prompt": prompt, "max_tokens": 60, **fields},
    plain=text_completion,
    stream=lambda text: [
        *map(_text_chunk, words(text)),
        _text_chunk("", "stop"),
        b"data: " + json.dumps({**_TEXT, "choices": [], "usage": _USAGE}).encode() + b"\n\n",
        DONE,
    ],
    read=lambda doc: str(doc["choices"][0]["text"]),
    said=lambda docs: "".join(choice["text"] for doc in docs for choice in doc["choices"]),
    error=lambda doc: str(doc["error"]["type"]),
    blocked=lambda doc: any(choice.get("finish_reason") == "content_filter" for choice in doc.get("choices", ())),
)

# ---- Anthropic messages

_HEAD = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "x_new": {"a": [1, None]}}
_STARTED = {"input_tokens": 2, "cache_creation_input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 1}
_THOUGHT = {"type": "thinking", "thinking": "Hm \u00e9.", "signature": "c2ln"}


def message_of(*blocks: Doc, stop: str = "end_turn") -> bytes:
    """The body of a plain answer."""
    usage = {**_STARTED, "output_tokens": 7, "service_tier": "standard"}
    doc = {**_HEAD, "content": list(blocks), "stop_reason": stop, "stop_sequence": None, "usage": usage}
    return json.dumps(doc).encode()


def block_events(index: int, block: Doc, *deltas: Doc) -> list[bytes]:
    """The events of one content block."""
    start = {"type": "content_block_start", "index": index, "content_block": block}
    middle = [named({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas]
    return [named(start), *middle, named({"type": "content_block_stop", "index": index})]


def message_events(*blocks: list[bytes], stop: str = "end_turn") -> list[bytes]:
    """The events of a streamed answer."""
    started = {**_HEAD, "content": [], "stop_reason": None, "stop_sequence": None, "usage": _STARTED}
    ended = {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 7}}
    return [
        named({"type": "message_start", "message": started}),
        named({"type": "ping"}),
        *(event for block in blocks for event in block),
        named({"type": "x_new_event", "a": 1}),
        named(ended),
        named({"type": "message_stop"}),
    ]


def _text_events(index: int, text: str) -> list[bytes]:
    return block_events(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": word} for word in words(text)))


_THOUGHT_EVENTS = block_events(
    0,
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "thinking_delta", "thinking": "Hm \u00e9."},
    {"type": "signature_delta", "signature": "c2ln"},
)

MESSAGES = Api(
    name="messages",
    path="/v1/messages",
    ask=lambda prompt, **fields: {
        "model": "m",
        "max_tokens": 60,
        "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": prompt}]}],
        **fields,
    },
    plain=lambda text: message_of(_THOUGHT, {"type": "text", "text": text, "citations": None}),
    stream=lambda text: message_events(_THOUGHT_EVENTS, _text_events(1, text)),
    read=lambda doc: "".join(block.get("text", "") for block in doc["content"]),
    said=lambda docs: "".join(doc["delta"].get("text", "") for doc in docs if doc["type"] == "content_block_delta"),
    error=lambda doc: str(doc["error"]["type"]) if doc["type"] == "error" else "",
    blocked=lambda doc: "refusal" in (doc.get("stop_reason"), doc.get("delta", {}).get("stop_reason")),
)

# ---- OpenAI responses

_RESPONSE: Doc = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "error": None,
    "incomplete_details": None, "instructions": None, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    "temperature": 1.0, "top_p": 1.0, "metadata": {}, "store": True, "x_new": {"a": [1, None]},
}  # fmt: skip
_SPENT = {
    "input_tokens": 5,
    "input_tokens_details": {"cached_tokens": 1},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 12,
}
_REASONING: Doc = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm \u00e9."}]}


def output_message(text: str, identity: str = "msg_1") -> Doc:
    """A message among the items of an answer."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": identity, "status": "completed", "role": "assistant", "content": [part]}


def response_of(*items: Doc, **fields: Any) -> Doc:
    """A whole response."""
    return {**_RESPONSE, "output": list(items), "usage": _SPENT, **fields}


def numbered(*docs: Doc) -> list[bytes]:
    """Events in their order."""
    return [named({**doc, "sequence_number": number}) for number, doc in enumerate(docs)]


def item_docs(index: int, item: Doc, *middle: Doc) -> list[Doc]:
    """The events of one item: added, what fills it, done."""
    at = {"output_index": index, "item_id": item["id"]}
    began = {**item, **({"content": [], "status": "in_progress"} if "content" in item else {})}
    began.update({"arguments": ""} if "arguments" in item else {})
    return [
        {"type": "response.output_item.added", "output_index": index, "item": began},
        *({**doc, **at} for doc in middle),
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def message_docs(index: int, text: str, identity: str = "msg_1") -> list[Doc]:
    """The events of a message."""
    item = output_message(text, identity)
    (part,) = item["content"]
    return item_docs(
        index,
        item,
        {"type": "response.content_part.added", "content_index": 0, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", "content_index": 0, "delta": w, "logprobs": []} for w in words(text)),
        {"type": "response.output_text.done", "content_index": 0, "text": text, "logprobs": []},
        {"type": "response.content_part.done", "content_index": 0, "part": part},
    )


def response_docs(*items: list[Doc], **fields: Any) -> list[Doc]:
    """The documents of a streamed answer."""
    began = {**_RESPONSE, "status": "in_progress", "output": [], "usage": None}
    done = [docs[-1]["item"] for docs in items]
    return [
        {"type": "response.created", "response": began},
        {"type": "response.in_progress", "response": began},
        *(doc for docs in items for doc in docs),
        {"type": "response.x_new", "a": 1},
        {"type": "response.completed", "response": response_of(*done, **fields)},
    ]


_REASONED = item_docs(
    0, _REASONING, {"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": "Hm \u00e9."}
)

RESPONSES = Api(
    name="responses",
    path="/v1/responses",
    ask=lambda prompt, **fields: {
        "model": "m",
        "instructions": "Be kind.",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": prompt}]}],
        **fields,
    },
    plain=lambda text: json.dumps(response_of(_REASONING, output_message(text))).encode(),
    stream=lambda text: numbered(*response_docs(_REASONED, message_docs(1, text))),
    read=lambda doc: "".join(p["text"] for item in doc["output"] for p in item.get("content", ())),
    said=lambda docs: "".join(doc["delta"] for doc in docs if doc["type"] == "response.output_text.delta"),
    error=lambda doc: str(doc["error"]["type"]),
    blocked=lambda doc: doc.get("response", doc).get("incomplete_details") == {"reason": "content_filter"},
)

APIS = [COMPLETIONS, MESSAGES, RESPONSES]
