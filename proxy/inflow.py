"""One attempt's reply as it comes in: head, raw bytes, and the pieces they make.

One rule: raw bytes are kept as they came. A compressed body is decoded as a copy, for reading only; because its bytes cannot
be cut where its text can, it becomes a single piece.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from core.types import Piece
from proxy.errors import ProtocolError
from proxy.upstream.base import Headers, UpstreamReply
from proxy.wire.codec import Codec, Decoder
from proxy.wire.encoding import decode

#: Decoded bytes of a compressed body at most: it is read for scoring, so it may not be a bomb.
DECODED_BYTES = 64 << 20
#: Bytes of an answer that is held, where nothing else is configured.
ANSWER_BYTES = 64 << 20


class Inflow:
    """The reply of one attempt. `begin` gives it its head; until then `status` is 0."""

    __slots__ = (
        "_hold", "_max_bytes", "_reply", "_size", "codec", "encoding", "event_stream", "headers", "id", "length", "n", "plain",
        "reason", "status",
    )  # fmt: skip

    def __init__(
        self, codec: Codec, n: int = 1, *, max_bytes: int = ANSWER_BYTES, hold: Callable[[int], None] | None = None
    ) -> None:
        """`max_bytes`: of an answer that is held. `hold`: hears how many bytes of it are."""
        self._max_bytes = max_bytes
        self._hold = hold
        self._size = 0
        self._reply: UpstreamReply | None = None
        self.codec = codec
        self.n = n
        self.status = 0
        self.reason = ""
        self.headers: Headers = []
        self.encoding = ""
        #: The id of the envelope, once the whole body was read as pieces.
        self.id = ""
        #: Whether the body is text/event-stream; None before the head.
        self.event_stream: bool | None = None
        #: Content-Length, None where the upstream gave none.
        self.length: int | None = None
        #: The decoded pieces of a compressed body.
        self.plain: tuple[Piece, ...] | None = None

    def begin(self, reply: UpstreamReply) -> None:
        """Take the head over; from here on `close` must be called."""
        self._reply = reply
        self.status = reply.status
        self.reason = reply.reason
        self.headers = reply.headers
        self.event_stream = False
        for name, value in self.headers:
            match name.lower():
                case "content-type":
                    self.event_stream = value.lower().startswith("text/event-stream")
                case "content-encoding":
                    self.encoding = "" if value.strip().lower() == "identity" else value.strip().lower()
                case "content-length" if value.isdecimal():
                    self.length = int(value)

    def raw(self) -> AsyncIterator[bytes]:
        """The body's bytes as they come. Raises UpstreamError."""
        assert self._reply is not None
        return self._reply.chunks()

    async def read(self) -> bytes:
        """The body's bytes as a whole, in place of `raw`. Raises UpstreamError, ProtocolError where they are too many."""
        assert self._reply is not None
        if self.length is not None:
            self._take(self.length)
            return await self._reply.read()
        chunks: list[bytes] = []
        async for chunk in self._reply.chunks():
            self._take(len(chunk))
            chunks.append(chunk)
        return b"".join(chunks)

    def _take(self, size: int) -> None:
        self._size += size
        if self._size > self._max_bytes:
            raise ProtocolError(f"the upstream's answer is over {self._max_bytes} bytes")
        if self._hold is not None:
            self._hold(size)

    async def whole(self) -> tuple[Piece, ...]:
        """The body as pieces, all of them. Raises as `pieces`."""
        if self.event_stream and not self.encoding:
            return tuple([piece async for pieces in self.pieces() for piece in pieces])
        decoder = self.codec.ReplyDecoder(bool(self.event_stream), self.n)
        body = await self.read()
        if not self.encoding:
            pieces = decoder.feed(body) + decoder.flush()
        else:
            self.plain = decoder.feed(decode(body, self.encoding, max_bytes=DECODED_BYTES)) + decoder.flush()
            usage = next((piece.usage for piece in reversed(self.plain) if piece.usage), None)
            pieces = (Piece(body, tuple([delta for piece in self.plain for delta in piece.deltas]), usage),)
        self._end(decoder)
        return pieces

    async def pieces(self) -> AsyncIterator[tuple[Piece, ...]]:
        """The body as pieces, as they come. Raises UpstreamError, ProtocolError where the answer is not whole or no answer."""
        if self.encoding or not self.event_stream:
            pieces = await self.whole()
            if pieces:
                yield pieces
            return
        decoder = self.codec.ReplyDecoder(True, self.n)
        async for chunk in self.raw():
            self._take(len(chunk))
            pieces = decoder.feed(chunk)
            if pieces:
                yield pieces
        last = decoder.flush()
        if last:
            yield last
        self._end(decoder)

    def _end(self, decoder: Decoder) -> None:
        self.id = decoder.id
        if not decoder.complete and decoder.error is None and (self.event_stream or decoder.malformed):
            raise ProtocolError("the upstream's answer is incomplete or unreadable")

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else break it off. May be called again."""
        if self._reply is not None:
            self._reply.release()
            self._reply = None
