"""Reply bodies cut into pieces, for all APIs: events of a stream as they come, or one whole JSON document.

One rule: the bytes of all pieces, joined, are the upstream's body, and nothing in a body raises: what cannot be read becomes
a piece without deltas and is counted in `malformed`.

Read on the careful side: what a lenient client would show is taken for text too (an event without its blank line, several JSON
lines in one event, a plain document where a stream was promised).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.types import Delta, Piece, Usage
from proxy.wire.jsonbytes import load_text
from proxy.wire.sse import Splitter, data_lines, data_of

DONE = b"[DONE]"
#: Of plain bodies, which have no events to split.
_NO_EVENTS = Splitter()

#: What one document says.
Said = tuple[tuple[Delta, ...], Usage | None]
NOTHING: Said = ((), None)


class BodyDecoder:
    """See `Decoder`. An API says what one document of it means in `_read`, and when its answer is `complete`.

    `done`: [DONE] was seen."""

    __slots__ = ("_body", "_n", "_splitter", "_streamed", "done", "error", "id", "malformed")

    def __init__(self, streamed: bool, n: int = 1):
        self._streamed = streamed
        self._n = n
        self._splitter = Splitter() if streamed else _NO_EVENTS
        self._body: list[bytes] = []
        self.done = False
        self.malformed = 0
        self.error: Any = None
        self.id = ""

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

    def _read(self, doc: dict[str, Any]) -> Said:
        """What one document says."""
        raise NotImplementedError

    def _event(self, event: bytes) -> Piece:
        data = data_of(event)
        if data is None:  # a comment; or a plain JSON body that came although a stream was asked for
            return Piece(event, *self._parse(event)) if event.lstrip().startswith(b"{") else Piece(event)
        if data.strip() == DONE:
            self.done = True
            return Piece(event)
        return Piece(event, *self._parse(data, data_lines(event) if b"\n" in data else ()))

    def _parse(self, data: bytes, lines: Sequence[bytes] = ()) -> Said:
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
        return NOTHING

    def _lines(self, lines: Sequence[bytes]) -> Said:
        deltas: tuple[Delta, ...] = ()
        usage = None
        for line in lines:
            if line.strip() == DONE:
                self.done = True
                continue
            more, last = self._parse(line)
            deltas, usage = deltas + more, last or usage
        return deltas, usage


def is_done(event: bytes) -> bool:
    """Whether a raw event is the `data: [DONE]` that ends a stream."""
    return DONE in event and (data_of(event) or b"").strip() == DONE


def usage_of(usage: Any) -> Usage | None:
    """Usage as the chat completions API counts it; None where it is none."""
    if not isinstance(usage, dict):
        return None
    return Usage(count(usage.get("prompt_tokens")), count(usage.get("completion_tokens")))


def count(value: Any) -> int:
    """A number of tokens, 0 where it is none."""
    return value if isinstance(value, int) else 0
