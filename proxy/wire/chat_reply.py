"""The reply of POST /v1/chat/completions, read into Pieces as it comes.

One rule: the bytes of all pieces, joined, are the upstream's body, and nothing in a body raises: what cannot be read becomes
a piece without deltas and is counted in `malformed`.

Read on the careful side: what a lenient client would show is taken for text too (an event without its blank line, `message` in
place of `delta`, several JSON lines in one event, lists of parts, transcripts of audio).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from core.types import Delta, Piece, ToolDelta, Usage
from proxy.wire.chat_request import arguments_text
from proxy.wire.jsonbytes import load_text
from proxy.wire.sse import Splitter, data_lines, data_of

DONE = b"[DONE]"
#: Of plain bodies, which have no events to split.
_NO_EVENTS = Splitter()

_Said = tuple[tuple[Delta, ...], Usage | None]


class ReplyDecoder:
    """Decodes one reply body. `streamed`: its content type is text/event-stream. `n`: choices that were asked for.

    `done`: [DONE] was seen. `malformed`: how many events, bodies or fields could not be read. `error`: the error object that
    came in place of, or in the middle of, an answer. `id`: the envelope's, empty where none was seen. `Piece.usage` is
    cumulative: the last one counts."""

    __slots__ = ("_body", "_choices", "_finished", "_n", "_splitter", "_streamed", "_tools", "done", "error", "id", "malformed")

    def __init__(self, streamed: bool, n: int = 1):
        self._streamed = streamed
        self._n = n
        self._splitter = Splitter() if streamed else _NO_EVENTS
        self._body: list[bytes] = []
        self._choices: set[int] = set()
        self._finished: set[int] = set()
        self._tools: dict[int, list[str]] = {}
        self.done = False
        self.malformed = 0
        self.error: Any = None
        self.id = ""

    @property
    def complete(self) -> bool:
        """Whether the answer came to its end: every choice finished, or [DONE]; of a plain body, valid JSON with choices."""
        if self.error is not None:
            return False
        if not self._streamed:
            return bool(self._choices)
        return self.done or (len(self._finished) >= self._n and self._finished >= self._choices)

    def feed(self, data: bytes) -> tuple[Piece, ...]:
        """Take bytes of the body; return the pieces they complete (none before `flush` of a plain body)."""
        if not self._streamed:
            self._body.append(data)
            return ()
        events = self._splitter.feed(data)
        if len(events) == 1:
            return (self._event(events[0]),)
        return tuple([self._event(event) for event in events])

    def flush(self) -> tuple[Piece, ...]:
        """The body is over: the piece that was still held, if any."""
        if self._streamed:
            rest = self._splitter.flush()
            return (self._event(rest),) if rest else ()
        body = b"".join(self._body)
        self._body.clear()
        return (Piece(body, *self._parse(body)),) if body else ()

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
        return self._odd_event(event)

    def _odd_event(self, event: bytes) -> Piece:
        data = data_of(event)
        if data is None:  # a comment; or a plain JSON body that came although a stream was asked for
            return Piece(event, *self._parse(event)) if event.lstrip().startswith(b"{") else Piece(event)
        if data.strip() == DONE:
            self.done = True
            return Piece(event)
        return Piece(event, *self._parse(data, data_lines(event) if b"\n" in data else ()))

    def _parse(self, data: bytes, lines: Sequence[bytes] = ()) -> _Said:
        """What a JSON document says; where it is none but its lines are, what they say together."""
        try:
            doc = load_text(data)
        except ValueError:
            if lines:
                return self._lines(lines)
            doc = None
        if isinstance(doc, dict):
            return self._read(doc)
        self.malformed += bool(data.strip())
        return (), None

    def _lines(self, lines: Sequence[bytes]) -> _Said:
        deltas: tuple[Delta, ...] = ()
        usage = None
        for line in lines:
            if line.strip() == DONE:
                self.done = True
                continue
            more, last = self._parse(line)
            deltas, usage = deltas + more, last or usage
        return deltas, usage

    def _read(self, doc: dict[str, Any]) -> _Said:
        if doc.get("error"):
            self.error = doc["error"]
        if not self.id:
            self.id = _string(doc.get("id"))
        usage, choices = doc.get("usage"), doc.get("choices")
        return self._deltas(choices) if choices else (), _usage(usage) if usage else None

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
            text += _string(audio.get("transcript"))
        reasoning = _string(body.get("reasoning_content")) or _string(body.get("reasoning")) or thought
        return Delta(index, text, reasoning, _string(body.get("refusal")), self._tool_deltas(index, body), finish)

    def _tool_deltas(self, choice: int, body: dict[str, Any]) -> tuple[ToolDelta, ...]:
        calls, legacy = body.get("tool_calls"), body.get("function_call")
        if not calls and not legacy:
            return ()
        found = []
        if isinstance(calls, list):
            found = [self._tool_delta(choice, place, call) for place, call in enumerate(calls) if isinstance(call, dict)]
        if isinstance(legacy, dict):
            found.append(ToolDelta(0, "", _string(legacy.get("name")), arguments_text(legacy.get("arguments"))))
        self.malformed += not found
        return tuple(found)

    def _tool_delta(self, choice: int, place: int, call: dict[str, Any]) -> ToolDelta:
        inner = call.get("function") or call.get("custom")
        inner = inner if isinstance(inner, dict) else {}
        identity, name = _string(call.get("id")), _string(inner.get("name"))
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


def is_done(event: bytes) -> bool:
    """Whether a raw event is the `data: [DONE]` that ends a stream."""
    return DONE in event and (data_of(event) or b"").strip() == DONE


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
            text += _string(part.get("text"))
            thinking = part.get("thinking")
            thought += thinking if isinstance(thinking, str) else content_text(thinking)[0]
    return text, thought


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return Usage(prompt if isinstance(prompt, int) else 0, completion if isinstance(completion, int) else 0)
