"""The only replies of POST /v1/responses that are not some upstream's bytes: a re-applied format, a block, the report, errors.

One rule: the attempt's envelope stays, and a stream's events keep their grammar: `sequence_number` rises by one, an item is
added, filled and done, the final response says what the events said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from core.types import Piece
from proxy.errors import GuardError, error_document
from proxy.wire.decoding import is_done
from proxy.wire.fields import FIELD, kind_of, list_of
from proxy.wire.jsonbytes import dump
from proxy.wire.render import Doc, add_field, documents, event, render, whole_body

__all__ = ["add_report", "block", "error_event", "is_done", "render", "render_event", "rewrite"]

#: What of a response a block keeps; all else could carry the withheld answer.
_ENVELOPE: Final = (
    "id", "object", "created_at", "background", "conversation", "instructions", "max_output_tokens", "max_tool_calls",
    "metadata", "model", "parallel_tool_calls", "previous_response_id", "prompt_cache_key", "safety_identifier", "service_tier",
    "store", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "usage", "user",
)  # fmt: skip
#: Fields that every client demands.
_DEMANDED: Final[Mapping[str, Any]] = {
    "id": "", "object": "response", "created_at": 0, "model": "", "parallel_tool_calls": True, "tool_choice": "auto",
    "tools": [],
}  # fmt: skip
_ENDS: Final = frozenset({"response.completed", "response.incomplete"})
#: A message where the attempt has none.
_MESSAGE: Final[Mapping[str, Any]] = {
    "type": "message",
    "id": "msg_0",
    "status": "completed",
    "role": "assistant",
    "content": [],
}


def rewrite(pieces: Sequence[Piece], contents: Sequence[str], streamed: bool) -> bytes:
    """The attempt's body with its text replaced: the first message says the new one, other messages go, with annotations and
    logprobs.

    Raises ValueError unless there is one content, or a plain body is no JSON."""
    (text,) = contents
    if streamed:
        docs = documents(pieces)
        return b"".join(map(_named, _numbered(_retold(docs, text), _number(docs, 0))))
    doc = whole_body(pieces)
    if not doc:
        raise ValueError("the body is no JSON object")
    return dump(_told(doc, text))


def _told(response: Doc, text: str) -> Doc:
    """A response whose only message says the text."""
    output: list[Any] = []
    told = False
    for item in list_of(response, "output"):
        if not _is_message(item):
            output.append(item)
        elif not told:
            output.append(_saying(item, text))
            told = True
    return {**response, "output": output if told else [*output, _saying(_MESSAGE, text)]}


def _retold(docs: Sequence[Doc], text: str) -> Iterator[Doc]:
    """The documents of a stream with the text told once: in place of its first message, or before the end."""
    places: dict[Any, int] = {}
    messages: set[Any] = set()
    for doc in docs:
        index = doc.get("output_index")
        if kind_of(doc) == "response.output_item.added" and _is_message(doc.get("item")):
            if not messages:
                places[index] = len(places)
                yield from _message_events(places[index], doc["item"], text)
            messages.add(index)
        elif index is not None:
            if index not in messages:
                yield {**doc, "output_index": places.setdefault(index, len(places))}
        elif kind_of(doc) in _ENDS and isinstance(doc.get("response"), dict):
            if not messages:
                yield from _message_events(len(places), _MESSAGE, text)
            yield {**doc, "response": _told(doc["response"], text)}
        else:
            yield doc


def _message_events(index: int, item: Mapping[str, Any], text: str) -> Iterator[Doc]:
    done = _saying(item, text)
    (part,) = done["content"]
    at = {"output_index": index, "sequence_number": 0}
    within = {"item_id": item.get("id", ""), "content_index": 0, **at}
    yield {"type": "response.output_item.added", "item": {**item, "status": "in_progress", "content": []}, **at}
    yield {"type": "response.content_part.added", "part": {**part, "text": ""}, **within}
    yield {"type": "response.output_text.delta", "delta": text, "logprobs": [], **within}
    yield {"type": "response.output_text.done", "text": text, "logprobs": [], **within}
    yield {"type": "response.content_part.done", "part": part, **within}
    yield {"type": "response.output_item.done", "item": done, **at}


def _saying(item: Mapping[str, Any], text: str) -> Doc:
    return {**item, "status": "completed", "content": [{"type": "output_text", "text": text, "annotations": []}]}


def block(pieces: Sequence[Piece], streamed: bool, n: int = 1) -> bytes:
    """The attempt's envelope with no output and `status: incomplete` for `content_filter`, and the usage if it is known. Of a
    stream whose beginning was sent only its end."""
    if not streamed:
        return dump(_withheld(whole_body(pieces)))
    docs = documents(pieces)
    responses = [doc["response"] for doc in docs if isinstance(doc.get("response"), dict)]
    last = responses[-1] if responses else {}
    events: list[Doc] = []
    for doc in docs:
        if kind_of(doc) == "response.created" and isinstance(doc.get("response"), dict):
            events.append({**doc, "response": {**_kept(doc["response"]), "status": "in_progress", "output": []}})
    events.append({"type": "response.incomplete", "response": _withheld(last), "sequence_number": 0})
    return b"".join(map(_named, _numbered(events, _number(docs, 0))))


def _withheld(response: Doc) -> Doc:
    return {**_kept(response), "status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": []}


def _kept(response: Doc) -> Doc:
    return {**_DEMANDED, **{key: response[key] for key in _ENVELOPE if key in response}}


def add_report(data: bytes, report: Mapping[str, Any], streamed: bool) -> bytes:
    """The opt-in `chunkguard` field: the last one of a plain body; of a stream one event more behind the last."""
    if not streamed:
        return add_field(data, report)
    return event({"type": FIELD, FIELD: report, "sequence_number": _next(data)}, FIELD)


def render_event(error: GuardError, after: bytes = b"") -> bytes:
    """An `error` event: with the fields that the API documents, and with the object on which official clients raise."""
    return error_event(error_document(error.message, type=error.shape.type, code=error.code, param=error.param), after)


def error_event(doc: Mapping[str, Any], after: bytes = b"") -> bytes:
    """An upstream's own error body as an `error` event."""
    inner = doc.get("error")
    known = {name: inner.get(name) for name in ("code", "message", "param")} if isinstance(inner, dict) else {}
    return event({"type": "error", **known, "error": inner, "sequence_number": _next(after)}, "error")


def _numbered(docs: Iterable[Doc], first: int) -> Iterator[Doc]:
    for place, doc in enumerate(docs):
        yield {**doc, "sequence_number": first + place}


def _number(docs: Sequence[Doc], place: int) -> int:
    number = docs[place].get("sequence_number") if docs else None
    return number if isinstance(number, int) else 0


def _next(after: bytes) -> int:
    docs = documents([Piece(after)])
    return _number(docs, -1) + 1 if docs else 0


def _named(doc: Doc) -> bytes:
    return event(doc, str(doc.get("type", "")))


def _is_message(item: Any) -> bool:
    return isinstance(item, dict) and kind_of(item) == "message"
