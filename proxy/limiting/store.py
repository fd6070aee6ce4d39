"""Where it is counted what keys have used: the seam, and the store of one process.

One rule: `take` decides and counts in one step that nothing can interleave with, so that two requests never share what is left
for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, time
from typing import Protocol

from proxy.config_keys import KeyLimits
from proxy.limiting.bucket import Admission, Refusal, Windows, standing, taken, wait_for, windows_at


class StoreError(Exception):
    """The store cannot be asked."""


class Store(Protocol):
    """Counts by name of a key."""

    async def take(self, name: str, limits: KeyLimits, tokens: int) -> Admission:
        """Admit a request and reserve its `tokens` of the minute, or take nothing and say why. Raises StoreError."""
        ...

    def settle(self, name: str, limits: KeyLimits, reserved: int, tokens: int) -> None:
        """The request has used `tokens`; those it reserved are given back."""
        ...

    async def run(self) -> None:
        """Do what is to be done in the background, until cancelled."""
        ...

    async def drain(self) -> None:
        """Wait until everything that was settled is counted."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class _Used:
    """What one key has used. Buckets are on the monotonic clock."""

    requests_full_at: float = 0.0
    tokens_full_at: float = 0.0
    day: str = ""
    month: str = ""
    day_tokens: int = 0
    month_tokens: int = 0

    def turn(self, windows: Windows) -> None:
        """Begin the windows that have begun."""
        if self.day != windows.day:
            self.day, self.day_tokens = windows.day, 0
        if self.month != windows.month:
            self.month, self.month_tokens = windows.month, 0


class MemoryStore:
    """Counts in this process, and forgets when it ends."""

    def __init__(self, clock: Callable[[], float] = monotonic, date: Callable[[], float] = time) -> None:
        self._clock = clock
        self._date = date
        self._used: dict[str, _Used] = {}

    async def take(self, name: str, limits: KeyLimits, tokens: int) -> Admission:
        used, now = self._of(name), self._clock()
        refused, wait_s = self._refusal(used, limits, tokens, now)
        if not refused:
            if limits.requests_per_minute:
                used.requests_full_at = taken(used.requests_full_at, now, 1, limits.requests_per_minute)
            if limits.tokens_per_minute:
                used.tokens_full_at = taken(used.tokens_full_at, now, tokens, limits.tokens_per_minute)
        return Admission(
            refused,
            wait_s,
            standing(used.requests_full_at, now, limits.requests_per_minute) if limits.requests_per_minute else None,
            standing(used.tokens_full_at, now, limits.tokens_per_minute) if limits.tokens_per_minute else None,
        )

    def settle(self, name: str, limits: KeyLimits, reserved: int, tokens: int) -> None:
        used = self._of(name)
        if limits.tokens_per_minute:
            used.tokens_full_at = taken(used.tokens_full_at, self._clock(), tokens - reserved, limits.tokens_per_minute)
        used.turn(windows_at(self._date()))
        used.day_tokens += tokens
        used.month_tokens += tokens

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def drain(self) -> None:
        """Everything is counted at once."""

    async def close(self) -> None:
        """There is nothing to close."""

    def _of(self, name: str) -> _Used:
        return self._used.setdefault(name, _Used())

    def _refusal(self, used: _Used, limits: KeyLimits, tokens: int, now: float) -> tuple[Refusal, float]:
        if limits.tokens_per_day or limits.tokens_per_month:
            windows = windows_at(self._date())
            used.turn(windows)
            if limits.tokens_per_month and used.month_tokens >= limits.tokens_per_month:
                return "month", windows.month_left_s
            if limits.tokens_per_day and used.day_tokens >= limits.tokens_per_day:
                return "day", windows.day_left_s
        if limits.requests_per_minute:
            wait_s = wait_for(used.requests_full_at, now, 1, limits.requests_per_minute)
            if wait_s:
                return "requests", wait_s
        if limits.tokens_per_minute:
            wait_s = wait_for(used.tokens_full_at, now, tokens, limits.tokens_per_minute)
            if wait_s:
                return "tokens", wait_s
        return "", 0.0
