"""The reply of POST /v1/chat/completions, read into Pieces as it comes.

One rule: every choice is read, on the careful side: what a lenient client would show is taken for text too (`message` in place
of `delta`, lists of parts, transcripts of audio).
"""

from __future__ import annotations

from typing import Any

import orjson

from core.types import Delta, Piece, ToolDelta
from proxy.wire.decoding import BodyDecoder, Said, usage_of
from proxy.wire.fields import arguments_text, string


class ReplyDecoder(BodyDecoder):
    """Decodes one reply body; see `Decoder`. `n`: choices that were asked for."""

    __slots__ = ("_choices", "_finished", "_tools")

    def __init__(self, streamed: bool, n: int = 1):
        super().__init__(streamed, n)
        self._choices: set[int] = set()
        self._finished: set[int] = set()
        self._tools: dict[int, list[str]] = {}

    @property
    def complete(self) -> bool:
        """Whether the answer came to its end: every choice finished, or [DONE]; of a plain body, valid JSON with choices."""
        if self.error is not None:
            return False
        if not self._streamed:
            return bool(self._choices)
        return self.done or (len(self._finished) >= self._n and self._finished >= self._choices)

    def _event(self, event: bytes) -> Piece:
        if event.startswith(b"data: {"):  # nearly every event, and JSON in one line, or the slow way finds out
            try:
                doc = orjson.loads(event[6:])
            except ValueError:
                pass
            else:
                delta = _plain_delta(doc)
                if delta is not None:
                    self._choices.add(delta.choice)
                    return Piece(event, (delta,))
                return Piece(event, *self._read(doc))
        return super()._event(event)

    def _read(self, doc: dict[str, Any]) -> Said:
        if doc.get("error"):
            self.error = doc["error"]
        if not self.id:
            self.id = string(doc.get("id"))
        usage, choices = doc.get("usage"), doc.get("choices")
        return self._deltas(choices) if choices else (), usage_of(usage) if usage else None

    def _deltas(self, choices: Any) -> tuple[Delta, ...]:
        if not isinstance(choices, list):
            self.malformed += 1
            return ()
        objects = [choice for choice in choices if isinstance(choice, dict)]
        self.malformed += len(choices) - len(objects)
        return tuple([self._delta(choice, place) for place, choice in enumerate(objects)])

    def _delta(self, choice: dict[str, Any], place: int) -> Delta:
        index, finish = choice_index(choice, place), choice.get("finish_reason")
        self._choices.add(index)
        finish = finish if isinstance(finish, str) and finish else None
        if finish:
            self._finished.add(index)
        body = choice_body(choice)
        content = body.get("content")
        if isinstance(content, str):
            if len(body) == 2 and "role" in body:  # nearly every message: a role and a text
                return Delta(index, content, finish_reason=finish)
            text, thought = content, ""
        else:
            text, thought = content_text(content)
            self.malformed += content is not None and not isinstance(content, list)
        audio = body.get("audio")
        if isinstance(audio, dict):
            text += string(audio.get("transcript"))
        reasoning = string(body.get("reasoning_content")) or string(body.get("reasoning")) or thought
        return Delta(index, text, reasoning, string(body.get("refusal")), self._tool_deltas(index, body), finish)

    def _tool_deltas(self, choice: int, body: dict[str, Any]) -> tuple[ToolDelta, ...]:
        calls, legacy = body.get("tool_calls"), body.get("function_call")
        if not calls and not legacy:
            return ()
        found = []
        if isinstance(calls, list):
            found = [self._tool_delta(choice, place, call) for place, call in enumerate(calls) if isinstance(call, dict)]
        if isinstance(legacy, dict):
            found.append(ToolDelta(0, "", string(legacy.get("name")), arguments_text(legacy.get("arguments"))))
        self.malformed += not found
        return tuple(found)

    def _tool_delta(self, choice: int, place: int, call: dict[str, Any]) -> ToolDelta:
        inner = call.get("function") or call.get("custom")
        inner = inner if isinstance(inner, dict) else {}
        identity, name = string(call.get("id")), string(inner.get("name"))
        index = call.get("index")
        if not isinstance(index, int):
            index = self._tool_index(choice, identity, name) if self._streamed else place
        return ToolDelta(index, identity, name, arguments_text(inner.get("arguments", inner.get("input"))))

    def _tool_index(self, choice: int, identity: str, name: str) -> int:
        """For servers that stream tool calls without an index: an id or a name begins a call, all else goes on."""
        known = self._tools.setdefault(choice, [])
        if identity and identity in known:
            return known.index(identity)
        if identity or name or not known:
            known.append(identity)
        return len(known) - 1


def _plain_delta(doc: dict[str, Any]) -> Delta | None:
    """What nearly every chunk says: content of one choice and nothing else; None for all others. Halves the time of a
    stream."""
    try:
        (choice,) = doc["choices"]
        body, index = choice["delta"], choice["index"]
        content = body["content"]
        plain = len(body) == 1 and not choice.get("finish_reason")
    except (KeyError, TypeError, ValueError):
        return None
    if not plain or content.__class__ is not str or index.__class__ is not int or doc.get("usage") or doc.get("error"):
        return None
    return Delta(index, content)


def choice_index(choice: dict[str, Any], place: int) -> int:
    """The choice's index; its place in the list where it has none."""
    index = choice.get("index")
    return index if isinstance(index, int) else place


def choice_body(choice: dict[str, Any]) -> dict[str, Any]:
    """The `delta` of a streamed choice or the `message` of a plain one; empty where there is neither."""
    body = choice.get("delta") or choice.get("message")
    return body if isinstance(body, dict) else {}


def content_text(content: Any) -> tuple[str, str]:
    """(text, reasoning) of a string or a list of parts; parts that think come as `{"type": "thinking", "thinking": [...]}`."""
    if isinstance(content, str):
        return content, ""
    text, thought = "", ""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            text += part
        elif isinstance(part, dict):
            text += string(part.get("text"))
            thinking = part.get("thinking")
            thought += thinking if isinstance(thinking, str) else content_text(thinking)[0]
    return text, thought
