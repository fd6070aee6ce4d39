"""Asks a slow upstream a second time, and takes what answers first.

One rule: only a request of which its maker says that running it twice does no harm, within a share of all requests; and only
until the head of an answer is there. What comes second is broken off, so that its upstream stops working.
"""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable

from proxy.admission import RetryShare
from proxy.upstream.base import Upstream, UpstreamReply, UpstreamRequest, upgraded

_Task = asyncio.Task[UpstreamReply]


class Hedging:
    """An upstream that is asked twice where no head of an answer came in `after_s`. `on_hedge(upstream)` is called then.

    `share`: that of the retries around it, which count the requests."""

    def __init__(self, upstream: Upstream, after_s: float, share: RetryShare, on_hedge: Callable[[str], None]) -> None:
        self.name = upstream.name
        self._upstream = upstream
        self._after_s = after_s
        self._share = share
        self._on_hedge = on_hedge

    async def open(self, request: UpstreamRequest) -> UpstreamReply:
        if not request.rerunnable or not isinstance(request.body, bytes):
            return await self._upstream.open(request)
        first = asyncio.create_task(self._upstream.open(request))
        asked = [first]
        winner: _Task | None = None
        try:
            await asyncio.wait(asked, timeout=self._after_s)
            if not first.done() and self._share.take():
                self._on_hedge(self.name)
                asked.append(asyncio.create_task(self._upstream.open(request)))
            winner = await _first_good(asked)
            return winner.result()
        finally:
            for task in asked:
                if task is not winner:
                    _drop(task)

    async def upgrade(self, request: UpstreamRequest) -> tuple[StreamReader, StreamWriter, bytes, int]:
        """A session is opened once."""
        return await upgraded(self._upstream, request)

    async def close(self) -> None:
        await self._upstream.close()


async def _first_good(asked: list[_Task]) -> _Task:
    """The task that first has an answer which is no failure; where all fail, the first that was asked."""
    waiting = set(asked)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in asked:
            if task in done and task.exception() is None and _is_good(task.result()):
                return task
    return asked[0]


def _is_good(reply: UpstreamReply) -> bool:
    return reply.status != 429 and reply.status < 500


def _drop(task: _Task) -> None:
    """Break off what nobody waits for, whether it has answered or not."""

    def end(done: _Task) -> None:
        if not done.cancelled() and done.exception() is None:
            done.result().abort()

    task.cancel()
    task.add_done_callback(end)
