"""The arithmetic of limits: a bucket that refills over a minute, and budgets of calendar windows.

One rule: it reads no clock and keeps nothing. The script that runs inside Redis does the same in its own language.

A bucket is one number, the time at which it will be full again (GCRA's theoretical arrival time): each unit taken moves it
`60 / limit` seconds on. A bucket may be in debt: what an answer cost is known only when it has ended.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import floor
from typing import Final, Literal

from core.values import frozen

PERIOD_S: Final = 60.0
#: Rounding may not refuse what the limit allows.
_EPSILON: Final = 1e-6

#: What refused a request.
Refusal = Literal["", "requests", "tokens", "day", "month"]


@frozen
class Standing:
    """A bucket after a request. `reset_s`: seconds until it is full."""

    limit: int
    remaining: int
    reset_s: float


@frozen
class Admission:
    """What a store says of a request. `wait_s`: seconds until the same request would be admitted, 0 where it is."""

    refused: Refusal = ""
    wait_s: float = 0.0
    requests: Standing | None = None
    tokens: Standing | None = None


def wait_for(full_at: float, now: float, cost: float, limit: int) -> float:
    """Seconds until `cost` units can be taken, 0 = now. More than the whole bucket waits for a full one."""
    wait = max(full_at, now) + min(cost, limit) * PERIOD_S / limit - now - PERIOD_S
    return wait if wait > _EPSILON else 0.0


def taken(full_at: float, now: float, cost: float, limit: int) -> float:
    """When the bucket will be full after `cost` units were taken, or given back where it is negative."""
    return max(full_at, now) + cost * PERIOD_S / limit


def standing(full_at: float, now: float, limit: int) -> Standing:
    """What clients are told of a bucket."""
    ahead = max(full_at - now, 0.0)
    return Standing(limit, max(0, floor((PERIOD_S - ahead) * limit / PERIOD_S + _EPSILON)), ahead)


@frozen
class Windows:
    """The calendar windows (UTC) of a moment, by name, and the seconds until each ends."""

    day: str
    month: str
    day_left_s: float
    month_left_s: float


def windows_at(seconds: float) -> Windows:
    """`seconds`: since 1970."""
    now = datetime.fromtimestamp(seconds, UTC)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    tomorrow = day + timedelta(days=1)
    return Windows(
        now.strftime("%Y%m%d"), now.strftime("%Y%m"), (tomorrow - now).total_seconds(), (month - now).total_seconds()
    )
