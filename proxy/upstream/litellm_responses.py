"""Chat completions as answers of OpenAI's responses API: whole ones, and streams with every event in its place.

One rule: one item is done before the next begins, and `sequence_number` counts without a gap, as OpenAI sends them. Nothing is
kept here, so every answer says `store: false`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import orjson

Doc = dict[str, Any]

#: Fields of a request that its answer repeats, with what OpenAI says where the request has none.
_REPEATED: Final[Mapping[str, Any]] = {
    "instructions": None, "max_output_tokens": None, "max_tool_calls": None, "metadata": {}, "parallel_tool_calls": True,
    "previous_response_id": None, "reasoning": {"effort": None, "summary": None}, "safety_identifier": None,
    "service_tier": "default", "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
    "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "user": None,
}  # fmt: skip
#: Why a chat completion ended -> why a response is incomplete.
_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseEvents:
    """The events of one answer: feed it chunks of a chat completion, then end it. Only the first choice is said."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._request = request
        self._number = 0
        self._head: Doc = {}
        self._items: list[Doc] = []
        self._open: Doc | None = None
        self._key: Any = None
        self._finish: str | None = None
        self._usage: Doc | None = None
        self._signed: list[Doc] = []

    def feed(self, chunk: Mapping[str, Any]) -> list[Doc]:
        """The events that a chunk brings."""
        events = [] if self._head else self._began(chunk)
        self._usage = _usage(chunk["usage"]) if chunk.get("usage") else self._usage
        choice = next((choice for choice in chunk.get("choices", ()) if choice.get("index", 0) == 0), None)
        if choice is None:
            return events
        self._finish = choice.get("finish_reason") or self._finish
        # A whole answer is a stream of one chunk.
        return events + self._said(choice.get("delta") or choice.get("message") or {})

    def end(self) -> list[Doc]:
        """The events after the last chunk."""
        events = self._close()
        reason = _INCOMPLETE.get(self._finish or "")
        kind = "response.incomplete" if reason else "response.completed"
        return [*events, self._event(kind, response=self.answer())]

    def answer(self) -> Doc:
        """The whole answer, as far as it is said."""
        reason = _INCOMPLETE.get(self._finish or "")
        return {
            **self._head,
            "status": "incomplete" if reason else "completed",
            "incomplete_details": {"reason": reason} if reason else None,
            "output": self._items,
            "usage": self._usage,
        }

    def _event(self, kind: str, **fields: Any) -> Doc:
        event = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return event

    def _began(self, chunk: Mapping[str, Any]) -> list[Doc]:
        repeated = {name: self._request.get(name, other) for name, other in _REPEATED.items()}
        self._head = {
            "id": f"resp_{str(chunk.get('id') or 0).removeprefix('chatcmpl-')}",
            "object": "response",
            "created_at": chunk.get("created"),
            "model": chunk.get("model"),
            "background": False,
            "error": None,
            "store": False,
            **repeated,
        }
        began = {**self._head, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
        return [self._event("response.created", response=began), self._event("response.in_progress", response=began)]

    def _said(self, delta: Mapping[str, Any]) -> list[Doc]:
        events: list[Doc] = []
        self._signed += [block for block in delta.get("thinking_blocks") or () if block.get("signature") or block.get("data")]
        if text := delta.get("reasoning_content"):
            events += self._to("reasoning", {"type": "reasoning", "summary": []}) + self._text(text)
        if text := delta.get("content"):
            events += self._to("message", {"type": "message", "role": "assistant", "content": []}) + self._text(text)
        if text := delta.get("refusal"):
            events += self._to("refusal", {"type": "message", "role": "assistant", "content": []}) + self._text(text)
        for call in delta.get("tool_calls") or ():
            events += self._call(call)
        return events

    def _call(self, call: Mapping[str, Any]) -> list[Doc]:
        function = call.get("function") or {}
        key = ("call", call.get("index", call.get("id")))
        own = {"type": "function_call", "call_id": call.get("id"), "name": function.get("name"), "arguments": ""}
        events = self._to(key, own)
        arguments = function.get("arguments") or ""
        if arguments and self._open is not None:
            self._open["arguments"] += arguments
            events.append(self._event("response.function_call_arguments.delta", **self._at(), delta=arguments))
        return events

    def _to(self, key: Any, own: Doc) -> list[Doc]:
        """The events that lead to the item of this key: nothing where it is open already."""
        if key == self._key:
            return []
        events = self._close()
        prefix = {"reasoning": "rs", "message": "msg", "function_call": "fc"}[own["type"]]
        self._key = key
        self._open = {"id": f"{prefix}_{self._head['id'][5:]}_{len(self._items)}", "status": "in_progress", **own}
        place = len(self._items)
        events.append(self._event("response.output_item.added", output_index=place, item=dict(self._open)))
        if own["type"] != "function_call":
            part = self._part("")
            kind = "response.reasoning_summary_part" if key == "reasoning" else "response.content_part"
            events.append(self._event(f"{kind}.added", **self._at(), **self._inside(), part=part))
            self._open[self._parts()] = [part]
        return events

    def _text(self, text: str) -> list[Doc]:
        assert self._open is not None
        part = self._open[self._parts()][0]
        field = "refusal" if self._key == "refusal" else "text"
        part = {**part, field: part[field] + text}
        self._open[self._parts()] = [part]
        return [self._event(f"{self._kind()}.delta", **self._at(), **self._inside(), delta=text, **self._logprobs())]

    def _close(self) -> list[Doc]:
        """The events that end the open item."""
        if self._open is None:
            return []
        own = self._open
        if own["type"] == "function_call":
            named = {"name": own["name"], "arguments": own["arguments"]}
            events = [self._event("response.function_call_arguments.done", **self._at(), **named)]
        else:
            (part,) = own[self._parts()]
            said = {"refusal": part["refusal"]} if self._key == "refusal" else {"text": part["text"]}
            kind = "response.reasoning_summary_part" if self._key == "reasoning" else "response.content_part"
            events = [
                self._event(f"{self._kind()}.done", **self._at(), **self._inside(), **said, **self._logprobs()),
                self._event(f"{kind}.done", **self._at(), **self._inside(), part=part),
            ]
        item = {**own, "status": "completed"}
        if own["type"] == "reasoning" and self._signed:
            item["encrypted_content"] = _sealed(own["summary"][0]["text"], self._signed)
        events.append(self._event("response.output_item.done", output_index=len(self._items), item=item))
        self._items.append(item)
        self._open = self._key = None
        return events

    def _at(self) -> Doc:
        assert self._open is not None
        return {"item_id": self._open["id"], "output_index": len(self._items)}

    def _inside(self) -> Doc:
        return {"summary_index" if self._key == "reasoning" else "content_index": 0}

    def _parts(self) -> str:
        return "summary" if self._key == "reasoning" else "content"

    def _kind(self) -> str:
        kinds = {"reasoning": "response.reasoning_summary_text", "refusal": "response.refusal"}
        return kinds.get(self._key, "response.output_text")

    def _logprobs(self) -> Doc:
        return {"logprobs": []} if self._key == "message" else {}

    def _part(self, text: str) -> Doc:
        if self._key == "reasoning":
            return {"type": "summary_text", "text": text}
        if self._key == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def whole(request: Mapping[str, Any], completion: Mapping[str, Any]) -> Doc:
    """A chat completion as an answer to `request`."""
    events = ResponseEvents(request)
    events.feed(completion)
    events.end()
    return events.answer()


async def streamed(request: Mapping[str, Any], chunks: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
    """The events of an answer to `request`, as bytes."""
    events = ResponseEvents(request)
    async for chunk in chunks:
        for event in events.feed(chunk):
            yield _line(event)
    for event in events.end():
        yield _line(event)


def _line(event: Doc) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"


def _usage(usage: Mapping[str, Any]) -> Doc:
    prompt, completion = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    read = usage.get("prompt_tokens_details") or {}
    return {
        "input_tokens": prompt,
        "input_tokens_details": {
            "cached_tokens": read.get("cached_tokens") or 0,
            "cache_write_tokens": read.get("cache_creation_tokens") or 0,
        },
        "output_tokens": completion,
        "output_tokens_details": {
            "reasoning_tokens": (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
        },
        "total_tokens": usage.get("total_tokens", prompt + completion),
    }


def _sealed(text: str, signed: list[Doc]) -> str:
    """Signed thinking in the form that litellm hands back to its provider, when a client sends the item again."""
    if len(signed) == 1 and signed[0].get("type") == "thinking":
        # Of a stream, it came without its text.
        signed = [{**signed[0], "thinking": text}]
    return orjson.dumps(signed).decode()
