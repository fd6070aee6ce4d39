"""The codec of the legacy POST /v1/completions, whole: prompts are texts, answers are texts.

One rule: what reads as one question is guarded; prompts of tokens, text that is filled in (`suffix`) and prompts that come back
in the answer (`echo`) are no question with an answer, and pass untouched.

There is no system turn: a boundary stands before the prompt, whatever its placement. Of several prompts each is a user turn of
its own, and choice i answers prompt i // (n / prompts) (https://platform.openai.com/docs/api-reference/completions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.types import Change, Conversation, Delta, Edit, Piece, Turn
from proxy.errors import InvalidRequest
from proxy.wire import chat_reply
from proxy.wire.change import applied
from proxy.wire.chat_reply import choice_index
from proxy.wire.chat_request import demands_form
from proxy.wire.codec import Request
from proxy.wire.decoding import is_done
from proxy.wire.fields import FIELD, model_of, n_of, read_object, report_of, stream_of, string, tokens_of
from proxy.wire.jsonbytes import clean, dump
from proxy.wire.parts import GAP, edited, own_edits
from proxy.wire.render import Doc, add_field, documents, error_event, event, render, render_event, whole_body

__all__ = [
    "ReplyDecoder",
    "add_report",
    "apply_change",
    "block",
    "error_event",
    "is_done",
    "parse_request",
    "render",
    "render_event",
    "rewrite",
]

#: What the API takes for a prompt where none is given.
_NO_PROMPT = "<|endoftext|>"
#: What of an envelope a block keeps; all else could carry the withheld answer.
_ENVELOPE = ("id", "object", "created", "model", "system_fingerprint", "provider")


def parse_request(body: bytes) -> Request:
    """Read a request body. Raises InvalidRequest, whose `param` names the field at fault."""
    doc = read_object(body)
    prompts = _prompts(doc)
    conversation = Conversation(
        turns=tuple([Turn("user", clean(prompt), index) for index, prompt in enumerate(prompts)]),
        model=model_of(doc),
        stream=stream_of(doc),
        n=n_of(doc) * max(1, len(prompts)),
        max_tokens=tokens_of(doc, "max_tokens"),
        structured=demands_form(doc),
        separate=len(prompts) > 1,
    )
    unread = not prompts or bool(doc.get("suffix")) or bool(doc.get("echo"))
    return Request(body, doc, conversation, report_of(doc), unread=unread)


def _prompts(doc: dict[str, Any]) -> list[str]:
    """The texts among the prompts; none where they are tokens. Raises InvalidRequest where they are neither."""
    prompt = doc.get("prompt", _NO_PROMPT)
    if isinstance(prompt, str):
        return [prompt]
    if not isinstance(prompt, list | None):
        raise InvalidRequest("'prompt' must be a string, or an array of strings or tokens.", param="prompt")
    prompts = [part for part in prompt or () if isinstance(part, str)]
    if prompts and len(prompts) != len(prompt or ()):
        raise InvalidRequest("'prompt' must hold strings or tokens, not both.", param="prompt")
    return prompts


def apply_change(request: Request, change: Change) -> bytes:
    """The body of an attempt. Edits come first, then the boundaries, in their order, before every prompt.

    Raises ValueError on edits outside the text or that overlap, InvalidRequest where the document cannot be written again."""
    return applied(request, change, _write)


def _write(doc: dict[str, Any], request: Request, change: Change) -> None:
    before = "".join([boundary.text + GAP for boundary in change.boundaries])
    prompt = doc.get("prompt", _NO_PROMPT)
    if isinstance(prompt, str):
        (doc["prompt"],) = _changed([prompt], change.edits, before)
    else:
        doc["prompt"] = _changed(prompt, change.edits, before)


def _changed(prompts: Sequence[str], edits: Sequence[Edit], before: str) -> list[str]:
    own = own_edits(edits, len(prompts))
    return [before + edited(prompt, own.get(index, ())) for index, prompt in enumerate(prompts)]


class ReplyDecoder(chat_reply.ReplyDecoder):
    """Decodes one reply body: choices as of chat, with a `text` for a message."""

    __slots__ = ()

    def _delta(self, choice: dict[str, Any], place: int) -> Delta:
        delta = super()._delta(choice, place)
        text, reasoning = choice.get("text"), choice.get("reasoning_content")
        self.malformed += text is not None and not isinstance(text, str)
        return Delta(delta.choice, string(text) or delta.text, string(reasoning), finish_reason=delta.finish_reason)


def rewrite(pieces: Sequence[Piece], contents: Sequence[str], streamed: bool) -> bytes:
    """The attempt's body with each choice's text replaced and its logprobs dropped. `contents`: one a choice, in the order of
    their indices. Raises ValueError where the number of contents is not that of the choices, or a plain body is no JSON."""
    order = sorted({delta.choice for piece in pieces for delta in piece.deltas})
    new = dict(zip(order, contents, strict=True))
    if streamed:
        return _rewrite_stream(documents(pieces), new)
    doc = whole_body(pieces)
    if not doc:
        raise ValueError("the body is no JSON object")
    choices = [
        {**choice, "text": new[choice_index(choice, place)], "logprobs": None} for place, choice in enumerate(_choices(doc))
    ]
    return dump({**doc, "choices": choices})


def _rewrite_stream(docs: Sequence[Doc], new: Mapping[int, str]) -> bytes:
    """A choice's new text stands where its first text stood, or with its finish."""
    waiting = dict(new)
    events = []
    for doc in docs:
        kept = []
        for place, choice in enumerate(_choices(doc)):
            index, finish = choice_index(choice, place), choice.get("finish_reason")
            text = waiting.pop(index, "") if choice.get("text") or finish else ""
            if text or finish:
                kept.append({**choice, "text": text, "logprobs": None})
        if kept or not _choices(doc) or doc.get("usage"):
            events.append(event({**doc, "choices": kept}))
    return b"".join([*events, b"data: [DONE]\n\n"])


def block(pieces: Sequence[Piece], streamed: bool, n: int = 1) -> bytes:
    """The attempt's envelope, `finish_reason: content_filter` and no text for every choice, and the usage if it is known."""
    docs = documents(pieces) if streamed else [whole_body(pieces)]
    head = next((doc for doc in docs if _choices(doc)), {})
    envelope: Doc = {"id": "", "object": "text_completion", "created": 0, "model": ""}
    envelope |= {key: head[key] for key in _ENVELOPE if key in head}
    reported = next(({"usage": doc["usage"]} for doc in reversed(docs) if doc.get("usage")), {})
    choices = [{"index": index, "text": "", "logprobs": None, "finish_reason": "content_filter"} for index in range(n)]
    if not streamed:
        return dump({**envelope, "choices": choices, **reported})
    events = [{**envelope, "choices": [choice]} for choice in choices]
    if reported:
        events.append({**envelope, "choices": [], **reported})
    return b"".join([*map(event, events), b"data: [DONE]\n\n"])


def add_report(data: bytes, report: Mapping[str, Any], streamed: bool) -> bytes:
    """The opt-in `chunkguard` field: the last one of a plain body; of a stream a chunk without choices before [DONE]."""
    if not streamed:
        return add_field(data, report)
    head = next(iter(documents([Piece(data)])), {})
    envelope = {key: head[key] for key in _ENVELOPE if key in head}
    return event({"object": "text_completion", **envelope, "choices": [], FIELD: report})


def _choices(doc: Doc) -> list[Doc]:
    choices = doc.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
