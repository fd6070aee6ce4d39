"""Keeps the raw pieces of one attempt back until the text they carry is cleared.

One rule: bytes leave in the order they came, each exactly once, and never rewritten.
"""

from __future__ import annotations

from core.types import Piece


class Holdback:
    """The pieces of one attempt: `[0, sent)` have left, `[sent, cleared)` may leave, the rest is held."""

    __slots__ = ("_cleared", "_sent", "pieces")

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self._sent = 0
        self._cleared = 0

    def feed(self, piece: Piece) -> None:
        self.pieces.append(piece)

    @property
    def count(self) -> int:
        """Pieces received so far: what `clear` is called with once a verdict over all of them is in."""
        return len(self.pieces)

    @property
    def held(self) -> tuple[Piece, ...]:
        """Pieces that have not left."""
        return tuple(self.pieces[self._sent :])

    @property
    def sent(self) -> int:
        return self._sent

    def clear(self, count: int) -> None:
        """Allow the first `count` pieces to leave. Never takes an earlier permission back."""
        self._cleared = max(self._cleared, min(count, len(self.pieces)))

    def take(self) -> bytes:
        """The bytes that may leave now and have not; empty if there are none."""
        data = b"".join([piece.data for piece in self.pieces[self._sent : self._cleared]])
        self._sent = max(self._sent, self._cleared)
        return data
