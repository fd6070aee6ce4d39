"""The only replies of POST /v1/chat/completions that are not some upstream's bytes: a re-applied format, a block, the report.

One rule: the attempt's envelope stays. No answer is composed here; text comes from the caller or goes away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.types import Piece
from proxy.wire.chat_reply import choice_body, choice_index
from proxy.wire.decoding import DONE, is_done
from proxy.wire.fields import FIELD
from proxy.wire.jsonbytes import dump
from proxy.wire.render import Doc, add_field, documents, event, whole_body

DONE_EVENT = b"data: " + DONE + b"\n\n"
#: What of an envelope a block keeps; all else could carry the withheld answer.
_ENVELOPE = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "provider")
#: What a replaced content replaces.
_CONTENT = ("content", "refusal", "audio")


def rewrite(pieces: Sequence[Piece], contents: Sequence[str], streamed: bool) -> bytes:
    """The attempt's body with each choice's content replaced and its logprobs dropped; reasoning, tool calls, usage and unknown
    fields stay. `contents`: one a choice, in the order of their indices. Streams end with [DONE]; their comments are dropped.

    Raises ValueError where the number of contents is not that of the choices, or a plain body is no JSON."""
    order = sorted({delta.choice for piece in pieces for delta in piece.deltas})
    new = dict(zip(order, contents, strict=True))
    if streamed:
        return _rewrite_stream(documents(pieces), new)
    doc = whole_body(pieces)
    if not doc:
        raise ValueError("the body is no JSON object")
    return dump({**doc, "choices": [_replaced(choice, place, new) for place, choice in enumerate(_choices(doc))]})


def block(pieces: Sequence[Piece], streamed: bool, n: int = 1) -> bytes:
    """The attempt's envelope with no content, `finish_reason: content_filter` for every choice, and the usage if it is known.

    `pieces`: what of the body is held; of a stream whose beginning was sent, the rest, which may hold nothing readable. `n`:
    choices that were asked for. The role is sent where it was not sent before."""
    if streamed:
        return _block_stream(documents(pieces), n)
    doc = whole_body(pieces)
    choices = _choices(doc) or [{"index": index} for index in range(n)]
    blocked = [
        {
            "index": choice_index(choice, place),
            "message": {"role": choice_body(choice).get("role") or "assistant", "content": None},
            "logprobs": None,
            "finish_reason": "content_filter",
        }
        for place, choice in enumerate(choices)
    ]
    return dump({**_envelope(doc, "chat.completion"), "choices": blocked, **_usage(doc)})


def add_report(data: bytes, report: Mapping[str, Any], streamed: bool) -> bytes:
    """The opt-in `chunkguard` field.

    Plain: `data` is a whole body; returned with the field as its last one, all other bytes as they were (a body that is no JSON
    object is returned as it is). Streamed: `data` is the raw event of any chunk of the answer, for its id and model; returned
    is one chunk more, without choices, for the caller to send just before [DONE] (see `split_done`) or at the end where none
    comes."""
    if streamed:
        docs = documents([Piece(data)])
        return event({**_envelope(docs[0] if docs else {}, "chat.completion.chunk"), "choices": [], FIELD: report})
    return add_field(data, report)


def split_done(pieces: Sequence[Piece]) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Pieces before [DONE], and [DONE] with what follows it; between them goes the report's chunk. While relaying, ask
    `is_done` of every piece instead."""
    for place, piece in enumerate(pieces):
        if is_done(piece.data):
            return tuple(pieces[:place]), tuple(pieces[place:])
    return tuple(pieces), ()


def _choices(doc: Doc) -> list[Doc]:
    choices = doc.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _usage(doc: Doc) -> Doc:
    return {"usage": doc["usage"]} if doc.get("usage") else {}


def _envelope(doc: Doc, kind: str) -> Doc:
    """What a block keeps of a document, with the fields every client demands."""
    return {"id": "", "object": kind, "created": 0, "model": "", **{key: doc[key] for key in _ENVELOPE if key in doc}}


def _without_logprobs(choice: Doc) -> Doc:
    return {**choice, "logprobs": None} if "logprobs" in choice else dict(choice)


def _replaced(choice: Doc, place: int, new: Mapping[int, str]) -> Doc:
    """A plain choice with its content replaced."""
    rest = {key: value for key, value in choice_body(choice).items() if key != "audio"}
    if "refusal" in rest:
        rest["refusal"] = None
    return {**_without_logprobs(choice), "message": {**rest, "content": new[choice_index(choice, place)]}}


def _rewrite_stream(docs: Sequence[Doc], new: Mapping[int, str]) -> bytes:
    """Chunk by chunk: a choice's new content stands where its first content stood, else in a chunk before its finish."""
    waiting = dict(new)
    events: list[bytes] = []
    for doc in docs:
        kept = []
        for place, choice in enumerate(_choices(doc)):
            index, finish = choice_index(choice, place), choice.get("finish_reason")
            body = choice_body(choice)
            rest = {key: value for key, value in body.items() if key not in _CONTENT}
            if any(body.get(key) for key in _CONTENT):
                if index in waiting:
                    rest["content"] = waiting.pop(index)
            elif finish and index in waiting:
                events.append(_content_event(doc, index, waiting.pop(index)))
            elif "content" in body:  # the empty content of a role chunk
                rest["content"] = body["content"]
            if rest or finish:
                kept.append({**_without_logprobs(choice), "message" if choice.get("message") else "delta": rest})
        if kept or not _choices(doc) or doc.get("usage"):
            events.append(event({**doc, "choices": kept}))
    events += [_content_event(docs[-1], index, text) for index, text in waiting.items()]
    return b"".join([*events, DONE_EVENT])


def _content_event(doc: Doc, index: int, text: str) -> bytes:
    choice = {"index": index, "delta": {"content": text}, "finish_reason": None}
    return event({**{key: value for key, value in doc.items() if key != "usage"}, "choices": [choice]})


def _block_stream(docs: Sequence[Doc], n: int) -> bytes:
    roles: dict[int, Any] = dict.fromkeys(range(n))
    for doc in docs:
        for place, choice in enumerate(_choices(doc)):
            index = choice_index(choice, place)
            roles[index] = roles.get(index) or choice_body(choice).get("role")
    envelope = _envelope(next((doc for doc in docs if _choices(doc)), {}), "chat.completion.chunk")
    reported = next((doc for doc in reversed(docs) if doc.get("usage")), {})
    events = [
        {**envelope, "choices": [{"index": index, "delta": {"role": role, "content": ""}, "finish_reason": None}]}
        for index, role in roles.items()
        if role
    ]
    events += [{**envelope, "choices": [{"index": index, "delta": {}, "finish_reason": "content_filter"}]} for index in roles]
    # Where usage came with a choice the client did not ask for a chunk without choices, and may not survive one.
    if not _choices(reported) and reported:
        events.append({**envelope, "choices": [], **_usage(reported)})
    else:
        events[-1].update(_usage(reported))
    return b"".join([*map(event, events), DONE_EVENT])
