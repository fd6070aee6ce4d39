from dataclasses import replace

from core.types import Change, Scores, Span
from core.values import frozen


@frozen
class Point:
    x: int
    y: int = 2


def test_values_are_equal_by_their_fields_and_hashable() -> None:
    assert Point(1) == Point(1, 2) != Point(2)
    assert {Point(1): "a"}[Point(1, 2)] == "a"
    assert replace(Point(1), y=5) == Point(1, 5)
    assert repr(Point(1)) == "Point(x=1, y=2)"


def test_values_have_slots() -> None:
    assert not hasattr(Span("a", 0, 1, 2), "__dict__")


def test_hashes_follow_equality() -> None:
    assert hash(Change()) == hash(Change())
    assert Scores({"harm": 0.5}) == Scores({"harm": 0.5})
