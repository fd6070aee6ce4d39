"""What the codec of every API offers: the server, the guard and the driver hold one and never ask which.

One rule: everything that differs between APIs is behind these names; the loop knows conversations, pieces and bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from core.types import Change, Conversation, Piece
from core.values import frozen
from proxy.errors import GuardError


@frozen
class Request:
    """A parsed request. `body`: the client's exact bytes. `doc`: the same as a document, never changed in place.

    `report`: the client asked for the `chunkguard` field in its answer. `kept`: the provider keeps the answer of every attempt,
    so those of dropped ones are deleted. `unread`: it asks for something that cannot be judged, and passes untouched."""

    body: bytes
    doc: dict[str, Any]
    conversation: Conversation
    report: bool = False
    kept: bool = False
    unread: bool = False


class Decoder(Protocol):
    """Reads one reply body as it comes. The bytes of all its pieces, joined, are the body; nothing in a body raises.

    `error`: the error object that came in place of, or in the middle of, an answer. `id`: the envelope's, empty where none was
    seen. `malformed`: how many events, bodies or fields could not be read. `Piece.usage` is cumulative: the last one counts."""

    error: Any
    id: str
    malformed: int

    @property
    def complete(self) -> bool:
        """Whether the answer came to its end."""
        ...

    def feed(self, data: bytes) -> tuple[Piece, ...]:
        """Take bytes of the body; return the pieces they complete."""
        ...

    def flush(self) -> tuple[Piece, ...]:
        """The body is over: the piece that was still held, if any."""
        ...


class Codec(Protocol):
    """One API. Its module has these names, and they hold for plain and streamed bodies alike."""

    def parse_request(self, body: bytes) -> Request:
        """Read a request body. Raises InvalidRequest, whose `param` names the field at fault."""
        ...

    def apply_change(self, request: Request, change: Change) -> bytes:
        """The body of an attempt: the client's own bytes where nothing changes. Raises ValueError on edits outside the text,
        InvalidRequest where the document cannot be written again."""
        ...

    def ReplyDecoder(self, streamed: bool, n: int = 1) -> Decoder:
        """A decoder for one reply. `streamed`: its content type is text/event-stream. `n`: choices that were asked for."""
        ...

    def rewrite(self, pieces: Sequence[Piece], contents: Sequence[str], streamed: bool) -> bytes:
        """The attempt's body with each choice's text replaced. Raises ValueError where the contents do not fit the choices."""
        ...

    def block(self, pieces: Sequence[Piece], streamed: bool, n: int = 1) -> bytes:
        """The attempt's envelope with no content, ended as this API ends what its provider withholds."""
        ...

    def add_report(self, data: bytes, report: Mapping[str, Any], streamed: bool) -> bytes:
        """The opt-in `chunkguard` field: of a plain body the body with it, of a stream the one event that carries it, made
        from the last raw event (`data`)."""
        ...

    def is_done(self, event: bytes) -> bool:
        """Whether a raw event ends the stream, so that the report stands before it."""
        ...

    def render(self, error: GuardError) -> bytes:
        """The body of an error, in the API's shape."""
        ...

    def render_event(self, error: GuardError, after: bytes = b"") -> bytes:
        """An error as the last event of a stream whose head is out. `after`: what was sent last."""
        ...

    def error_event(self, doc: Mapping[str, Any], after: bytes = b"") -> bytes:
        """An upstream's own error body as the last event of a stream."""
        ...
