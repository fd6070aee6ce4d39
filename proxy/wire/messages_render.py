"""The only replies of POST /v1/messages that are not some upstream's bytes: a re-applied format, a block, the report, errors.

One rule: the attempt's envelope stays, and a stream's events keep their grammar: blocks are numbered without a gap, each is
started and stopped once, `message_delta` and `message_stop` come last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from core.types import Piece
from proxy.errors import GuardError
from proxy.wire.fields import FIELD, kind_of
from proxy.wire.jsonbytes import dump
from proxy.wire.render import Doc, add_field, documents, event, whole_body
from proxy.wire.sse import data_of

#: What of an envelope a block keeps; all else could carry the withheld answer.
_ENVELOPE: Final = ("id", "type", "role", "model", "usage", "container", "service_tier")
#: How this API ends what its provider withholds.
_WITHHELD: Final = {"stop_reason": "refusal", "stop_sequence": None}
_KINDS: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def rewrite(pieces: Sequence[Piece], contents: Sequence[str], streamed: bool) -> bytes:
    """The attempt's body with its text replaced: the first text block says the new one, the others go, and so do citations.

    Raises ValueError unless there is one content, or a plain body is no JSON."""
    (text,) = contents
    if streamed:
        return b"".join([_named(doc) for doc in _retold(documents(pieces), text)])
    doc = whole_body(pieces)
    if not doc:
        raise ValueError("the body is no JSON object")
    blocks: list[Any] = []
    told = False
    for block in doc.get("content") or ():
        if not _is_text(block):
            blocks.append(block)
        elif not told:
            blocks.append({**_bare(block), "text": text})
            told = True
    return dump({**doc, "content": blocks if told else [*blocks, {"type": "text", "text": text}]})


def _retold(docs: Sequence[Doc], text: str) -> Iterator[Doc]:
    """The documents of a stream with the text told once, in the first text block or in one before the end."""
    places: dict[Any, int] = {}
    told = False
    texts: set[Any] = set()
    for doc in docs:
        kind, index = doc.get("type"), doc.get("index")
        if kind == "content_block_start" and _is_text(doc.get("content_block")):
            texts.add(index)
            if told:
                continue
            told = True
            places[index] = len(places)
            yield from _text_block(places[index], text, _bare(doc["content_block"]))
        elif "index" in doc:
            if index in texts:
                continue
            yield {**doc, "index": places.setdefault(index, len(places))}
        else:
            if kind == "message_delta" and not told:
                told = True
                yield from _text_block(len(places), text, {"type": "text"})
            yield doc


def _text_block(index: int, text: str, block: Doc) -> Iterator[Doc]:
    yield {"type": "content_block_start", "index": index, "content_block": {**block, "text": ""}}
    yield {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}
    yield {"type": "content_block_stop", "index": index}


def block(pieces: Sequence[Piece], streamed: bool, n: int = 1) -> bytes:
    """The attempt's envelope with no content and `stop_reason: refusal`, and the usage if it is known. Of a stream whose
    beginning was sent only its end: an open block is stopped first."""
    if streamed:
        return b"".join([_named(doc) for doc in _ended(documents(pieces))])
    doc = whole_body(pieces)
    envelope = {"id": "", "type": "message", "role": "assistant", "model": "", **_kept(doc)}
    return dump({"usage": {"input_tokens": 0, "output_tokens": 0}, **envelope, "content": [], **_WITHHELD})


def _ended(docs: Sequence[Doc]) -> Iterator[Doc]:
    for doc in docs:
        if doc.get("type") == "message_start" and isinstance(doc.get("message"), dict):
            yield {**doc, "message": {**_kept(doc["message"]), "content": [], "stop_reason": None, "stop_sequence": None}}
    first = next((doc for doc in docs if "index" in doc), {})
    if first.get("type") in ("content_block_delta", "content_block_stop"):
        yield {"type": "content_block_stop", "index": first["index"]}
    usage = next((doc["usage"] for doc in reversed(docs) if doc.get("usage")), {"output_tokens": 0})
    yield {"type": "message_delta", "delta": dict(_WITHHELD), "usage": usage}
    yield {"type": "message_stop"}


def add_report(data: bytes, report: Mapping[str, Any], streamed: bool) -> bytes:
    """The opt-in `chunkguard` field: the last one of a plain body; of a stream an event of that name before `message_stop`."""
    if not streamed:
        return add_field(data, report)
    return event({"type": FIELD, FIELD: report}, FIELD)


def is_done(event: bytes) -> bool:
    """Whether a raw event is the `message_stop` that ends a stream."""
    if b"message_stop" not in event:
        return False
    try:
        doc = orjson.loads(data_of(event) or b"")
    except ValueError:
        return False
    return isinstance(doc, dict) and doc.get("type") == "message_stop"


def render(error: GuardError) -> bytes:
    """The body of an error in the shape of Anthropic's API, with our code beside its type."""
    return orjson.dumps(_document(error))


def render_event(error: GuardError, after: bytes = b"") -> bytes:
    """The same as an `error` event; the official clients raise on it."""
    return event(_document(error), "error")


def error_event(doc: Mapping[str, Any], after: bytes = b"") -> bytes:
    """An upstream's own error body as an `error` event."""
    return event(doc, "error")


def error_document(status: int, message: str, code: str | None, param: str | None = None) -> Doc:
    """The error object of Anthropic's API."""
    inner = {"type": _KINDS.get(status, "api_error"), "message": message, "code": code}
    if param is not None:
        inner["param"] = param
    return {"type": "error", "error": inner}


def _document(error: GuardError) -> Doc:
    return error_document(error.status, error.message, error.code, error.param)


def _named(doc: Doc) -> bytes:
    return event(doc, str(doc.get("type", "")))


def _is_text(block: Any) -> bool:
    return isinstance(block, dict) and kind_of(block) == "text"


def _bare(block: Doc) -> Doc:
    return {key: value for key, value in block.items() if key != "citations"}


def _kept(doc: Doc) -> Doc:
    return {key: doc[key] for key in _ENVELOPE if key in doc}
