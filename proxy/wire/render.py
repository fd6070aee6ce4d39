"""Replies that are composed here, as far as all APIs do it alike: held pieces read again, the report's field, errors.

One rule: no answer is composed; what is written comes from an upstream's envelope, from the caller or from an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from core.types import Piece
from proxy import errors
from proxy.errors import GuardError
from proxy.wire.fields import FIELD
from proxy.wire.jsonbytes import dump, load_exact
from proxy.wire.sse import data_lines

#: A document that is written again.
Doc = dict[str, Any]


def documents(pieces: Sequence[Piece]) -> list[Doc]:
    """The JSON objects of a stream's events, in order; all else is left out."""
    docs: list[Any] = []
    for piece in pieces:
        lines = data_lines(piece.data) or [piece.data]
        whole = _parsed(b"\n".join(lines))
        docs += [whole] if whole is not None else [_parsed(line) for line in lines]
    return [doc for doc in docs if isinstance(doc, dict)]


def whole_body(pieces: Sequence[Piece]) -> Doc:
    """The JSON object of a plain body; empty where it is none."""
    doc = _parsed(b"".join([piece.data for piece in pieces]))
    return doc if isinstance(doc, dict) else {}


def event(doc: Mapping[str, Any], name: str = "") -> bytes:
    """One event of a stream; `name`: its `event` field, where the API names its events."""
    head = b"event: " + name.encode() + b"\n" if name else b""
    return head + b"data: " + dump(doc) + b"\n\n"


def add_field(data: bytes, report: Mapping[str, Any]) -> bytes:
    """A whole plain body with the `chunkguard` field as its last one, all other bytes as they were; a body that is no JSON
    object is returned as it is."""
    try:
        doc = load_exact(data)
    except ValueError:
        return data
    if not isinstance(doc, dict):
        return data
    if FIELD in doc:  # of another proxy behind this one
        return dump({**doc, FIELD: report})
    end = data.rindex(b"}")
    return data[:end] + (b"," if doc else b"") + b'"' + FIELD.encode() + b'":' + orjson.dumps(report) + data[end:]


def render(error: GuardError) -> bytes:
    """The body of an error in the shape of OpenAI's APIs."""
    return errors.render(error)


def render_event(error: GuardError, after: bytes = b"") -> bytes:
    """The same as an unnamed event; official clients raise on it."""
    return errors.render_event(error)


def error_event(doc: Mapping[str, Any], after: bytes = b"") -> bytes:
    """An upstream's own error object as an unnamed event."""
    return event(doc)


def _parsed(data: bytes) -> Any:
    try:
        return load_exact(data)
    except ValueError:
        return None
