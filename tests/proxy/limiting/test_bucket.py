"""The arithmetic of limits, against what a limit means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.limiting.bucket import PERIOD_S, standing, taken, wait_for, windows_at


@given(limit=st.integers(1, 10_000), start=st.floats(0, 1e6))
def test_a_quiet_bucket_gives_exactly_its_limit_at_once(limit: int, start: float) -> None:
    full_at, given_out = 0.0, 0
    while not wait_for(full_at, start, 1, limit) and given_out <= limit:
        full_at = taken(full_at, start, 1, limit)
        given_out += 1
    assert given_out == limit
    assert standing(full_at, start, limit).remaining == 0


@given(limit=st.integers(1, 600), gaps=st.lists(st.floats(0, 5), min_size=1, max_size=300))
def test_no_minute_ever_gives_more_than_two_limits(limit: int, gaps: list[float]) -> None:
    """A full bucket and what flows in during the minute: the most that any minute can see."""
    now, full_at = 1000.0, 0.0
    admitted: list[float] = []
    for gap in gaps:
        now += gap
        if not wait_for(full_at, now, 1, limit):
            full_at = taken(full_at, now, 1, limit)
            admitted.append(now)
    for at in admitted:
        assert sum(at - PERIOD_S < other <= at for other in admitted) <= 2 * limit


@given(limit=st.integers(1, 1000), cost=st.integers(1, 5000))
def test_after_the_wait_it_is_admitted(limit: int, cost: int) -> None:
    now = 50.0
    full_at = taken(0.0, now, limit, limit)
    wait = wait_for(full_at, now, cost, limit)
    assert 0 < wait <= PERIOD_S + 1e-6
    assert wait_for(full_at, now + wait + 1e-5, cost, limit) == 0


def test_debt_is_paid_before_anything_is_admitted() -> None:
    full_at = taken(0.0, 0.0, 250, 100)
    assert wait_for(full_at, 0.0, 1, 100) == pytest.approx(90.6)
    assert standing(full_at, 0.0, 100).remaining == 0


def test_what_is_given_back_can_be_taken_again() -> None:
    full_at = taken(0.0, 0.0, 100, 100)
    full_at = taken(full_at, 0.0, -60, 100)
    assert wait_for(full_at, 0.0, 60, 100) == 0
    assert wait_for(full_at, 0.0, 61, 100) > 0


@pytest.mark.parametrize(
    ("moment", "day", "month", "day_left", "month_left"),
    [
        (datetime(2024, 2, 28, 23, 0, tzinfo=UTC), "20240228", "202402", 3600, 3600 + 86_400),
        (datetime(2024, 12, 31, 12, 0, tzinfo=UTC), "20241231", "202412", 43_200, 43_200),
    ],
)
def test_windows_are_those_of_the_calendar(moment: datetime, day: str, month: str, day_left: float, month_left: float) -> None:
    windows = windows_at(moment.timestamp())
    assert (windows.day, windows.month, windows.day_left_s, windows.month_left_s) == (day, month, day_left, month_left)
