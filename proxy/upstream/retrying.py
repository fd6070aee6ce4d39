"""Sends a request to its upstream again where that is safe, with backoff, jitter and the upstream's own Retry-After.

One rule: only before the head of an answer is handed over, so no byte and no tool call was released; and where the upstream may
have begun to work, only a request of which its maker says that running it twice does no harm. A share of retries, as of the
guard's own, keeps a failing upstream from being asked a multiple.

| what happened | again? |
|---|---|
| no connection; 429, 503, 529 | yes: the upstream did not begin |
| the connection was lost; what came is no HTTP; 408, 500, 502, 504 | where running it twice does no harm |
| no byte in time; the breaker is open; any other status | no |
"""

from __future__ import annotations

import asyncio
import random
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from time import time
from typing import Final, Literal

from core.values import frozen
from proxy.admission import RetryShare
from proxy.config_upstream import Retries
from proxy.errors import CircuitOpen, Timeout, UpstreamError
from proxy.upstream.base import Upstream, UpstreamReply, UpstreamRequest, upgraded

#: The upstream says that it did not take the request.
REFUSED: Final = frozenset({429, 503, 529})
#: It may have begun, and failed.
BROKEN: Final = frozenset({408, 500, 502, 504})
#: Why a request was sent again, for metrics.
Reason = Literal["unconnected", "refused", "broken"]
REASONS: Final[tuple[Reason, ...]] = ("unconnected", "refused", "broken")
_HARMLESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@frozen
class _Failed:
    """One failure. `wait_s`: what the upstream asked for, None where it asked for nothing."""

    reason: Reason
    wait_s: float | None = None


class Retrying:
    """An upstream that is asked again. `total_s`: for all times together. `on_retry(upstream, reason)` is called for each."""

    def __init__(
        self,
        upstream: Upstream,
        settings: Retries,
        total_s: float,
        share: RetryShare,
        on_retry: Callable[[str, str], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = upstream.name
        self._upstream = upstream
        self._settings = settings
        self._total_s = total_s
        self._share = share
        self._on_retry = on_retry
        self._chance = chance

    async def open(self, request: UpstreamRequest) -> UpstreamReply:
        self._share.request()
        loop = asyncio.get_running_loop()
        until = loop.time() + (self._total_s if request.timeout_s is None else min(request.timeout_s, self._total_s))
        for number in range(1, self._settings.times + 1):
            reply = None
            try:
                reply = await self._upstream.open(request)
                failed = _of_status(reply, request)
                wait_s = self._wait(failed, number, until - loop.time())
                if failed is None or wait_s is None:
                    return reply
                reply.release()
            except UpstreamError as error:
                failed = _of_error(error, request)
                wait_s = self._wait(failed, number, until - loop.time())
                if failed is None or wait_s is None:
                    raise
            self._on_retry(self.name, failed.reason)
            await asyncio.sleep(wait_s)
            request = replace(request, timeout_s=max(until - loop.time(), 0.001))
        return await self._upstream.open(request)

    async def upgrade(self, request: UpstreamRequest) -> tuple[StreamReader, StreamWriter, bytes, int]:
        """A session is no request whose end tells anything: it is passed on as it is."""
        return await upgraded(self._upstream, request)

    async def close(self) -> None:
        await self._upstream.close()

    def _wait(self, failed: _Failed | None, number: int, left_s: float) -> float | None:
        """Seconds to wait before the next time, None where there is none."""
        if failed is None:
            return None
        longest = min(self._settings.longest_s, left_s)
        backoff = self._settings.backoff_s * 2.0 ** (number - 1) * (0.5 + 0.5 * self._chance())
        wait_s = min(backoff, self._settings.longest_s) if failed.wait_s is None else failed.wait_s
        # Nobody would hear an answer that comes after its time.
        return wait_s if wait_s <= longest and wait_s < left_s and self._share.take() else None


def _may_run_twice(request: UpstreamRequest) -> bool:
    return request.rerunnable or request.method in _HARMLESS


def _of_error(error: UpstreamError, request: UpstreamRequest) -> _Failed | None:
    """The failure as one that may be tried again, None where it may not."""
    if isinstance(error, CircuitOpen) or not _in_hand(request):
        return None
    if not error.began:
        return _Failed("unconnected")
    return _Failed("broken") if not isinstance(error, Timeout) and _may_run_twice(request) else None


def _of_status(reply: UpstreamReply, request: UpstreamRequest) -> _Failed | None:
    if reply.status not in REFUSED and reply.status not in BROKEN:
        return None
    headers = {name.lower(): value for name, value in reply.headers}
    if headers.get("x-should-retry") == "false" or not _in_hand(request):
        return None
    if reply.status in REFUSED:
        return _Failed("refused", retry_after(headers))
    return _Failed("broken", retry_after(headers)) if _may_run_twice(request) else None


def _in_hand(request: UpstreamRequest) -> bool:
    """A body that was streamed through is gone."""
    return request.body is None or isinstance(request.body, bytes)


def retry_after(headers: dict[str, str]) -> float | None:
    """Seconds that an upstream asks to wait, by `retry-after-ms` or Retry-After (seconds or a date); None where it does not."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time())
    except (ValueError, TypeError):
        return None
