"""Tokens of an answer to pieces of text, as they come: whole characters, nothing that a stop text could still take back.

One rule: the pieces joined are the answer's text up to the stop text that is complete first, however the tokens fall.
"""

from __future__ import annotations

from collections.abc import Sequence

from organism.tokens import Tokens


class Pieces:
    """The text of one answer. `feed` a token, then take what it returns; `flush` at the end. `stopped`: a stop text came."""

    def __init__(self, tokens: Tokens, stops: Sequence[str] = ()) -> None:
        self._tokens = tokens
        self._stops = [stop for stop in stops if stop]
        self._ids: list[int] = []
        self._given = 0
        self.stopped = False

    def feed(self, token: int) -> str:
        """The text that is certain now and was not given before; possibly empty."""
        if self.stopped:
            return ""
        self._ids.append(token)
        text = self._tokens.decode(self._ids)
        cut = self._stop(text)
        if cut is not None:
            self.stopped = True
            return self._give(text, cut)
        whole = len(text) - 1 if text.endswith("\ufffd") else len(text)  # a character of several bytes may be under way
        return self._give(text, whole - self._open(text[:whole]))

    def flush(self) -> str:
        """What was held back, when no token comes any more."""
        if self.stopped:
            return ""
        text = self._tokens.decode(self._ids)
        return self._give(text, len(text))

    def _give(self, text: str, end: int) -> str:
        piece = text[self._given : max(end, self._given)]
        self._given += len(piece)
        return piece

    def _stop(self, text: str) -> int | None:
        """Where the stop text that was the first to be complete begins; of those that end together, the longest."""
        found = [(place + len(stop), place) for stop in self._stops if (place := text.find(stop, self._given)) >= 0]
        return min(found)[1] if found else None

    def _open(self, text: str) -> int:
        """Characters at the end with which a stop text may begin."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for size in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self._stops):
                return size
        return 0
