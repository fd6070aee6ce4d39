"""What a worker takes on: bytes that it holds, and retries.

One rule: neither grows with what clients, upstreams or policies ask for. Retries can never multiply the load on an upstream,
and what does not fit is refused before it is read.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

from proxy.errors import Overloaded

#: Seconds over which the share is counted.
WINDOW_S: Final = 60.0
#: Retries that a quiet proxy may always make in a window: a share of very few requests would forbid every one of them.
QUIET_RETRIES: Final = 20.0


class Room:
    """The bytes of requests and answers that a worker holds at once. `limit`: 0 = any number."""

    __slots__ = ("held", "limit")

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.held = 0

    def check(self, size: int) -> None:
        """Whether a new request of `size` bytes fits. Raises Overloaded. One that is larger than the whole room fits when it is
        alone."""
        if self.limit and self.held and self.held + size > self.limit:
            raise Overloaded("the proxy holds as much as it may")


class RetryShare:
    """A token bucket over 60 s: each guarded request adds `share` tokens, each retry takes one.

    It is never fuller than what a quiet proxy may do.

    `denied` counts retries that were refused."""

    def __init__(self, share: float = 0.1) -> None:
        self.share = share
        self.denied = 0
        self._tokens = QUIET_RETRIES if share > 0 else 0.0
        self._at = monotonic()

    def request(self) -> None:
        """Count a guarded request."""
        self._tokens = min(self._tokens + self.share, QUIET_RETRIES)

    def take(self) -> bool:
        """Take one retry; False when the share is used up."""
        now = monotonic()
        if self.share > 0:
            self._tokens = min(QUIET_RETRIES, self._tokens + (now - self._at) * QUIET_RETRIES / WINDOW_S)
        self._at = now
        if self.share <= 0 or self._tokens < 1.0:
            self.denied += 1
            return False
        self._tokens -= 1.0
        return True
