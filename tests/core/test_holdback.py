"""Pieces leave in order, each once, and only after they were cleared."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.holdback import Holdback
from core.types import Piece


def filled(*data: bytes) -> Holdback:
    holdback = Holdback()
    for item in data:
        holdback.feed(Piece(item))
    return holdback


def test_nothing_leaves_uncleared() -> None:
    holdback = filled(b"a", b"b")
    assert (holdback.take(), holdback.count, holdback.sent) == (b"", 2, 0)
    assert [piece.data for piece in holdback.held] == [b"a", b"b"]


def test_cleared_pieces_leave_once() -> None:
    holdback = filled(b"a", b"b", b"c")
    holdback.clear(2)
    assert (holdback.take(), holdback.take(), holdback.sent) == (b"ab", b"", 2)
    assert [piece.data for piece in holdback.held] == [b"c"]


def test_a_permission_is_never_taken_back() -> None:
    holdback = filled(b"a", b"b")
    holdback.clear(2)
    holdback.clear(1)
    assert holdback.take() == b"ab"


def test_pieces_that_have_not_come_are_not_cleared_in_advance() -> None:
    holdback = filled(b"a")
    holdback.clear(9)
    holdback.feed(Piece(b"b"))
    assert (holdback.take(), holdback.sent) == (b"a", 1)


@given(st.lists(st.one_of(st.binary(max_size=3), st.integers(0, 9), st.none()), max_size=20))
def test_whatever_is_fed_cleared_and_taken_the_bytes_keep_their_order(steps: list[bytes | int | None]) -> None:
    holdback, fed, taken, allowed = Holdback(), list[bytes](), b"", 0
    for step in steps:
        if isinstance(step, bytes):
            holdback.feed(Piece(step))
            fed.append(step)
        elif step is None:
            taken += holdback.take()
            assert taken == b"".join(fed[:allowed])
        else:
            holdback.clear(step)
            allowed = max(allowed, min(step, len(fed)))
    assert taken + holdback.take() + b"".join(piece.data for piece in holdback.held) == b"".join(fed)
