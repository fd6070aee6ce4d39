"""Deletes what an upstream stored of attempts that no client was given: only for a policy that re-runs stored requests.

One rule: no client waits for it. Deletions wait in a bounded queue; what does not fit is counted, as every other end is.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

from core.types import AttemptSummary, Change, Outcome
from proxy.attempts import AttemptCalls
from proxy.errors import UpstreamError

#: How a deletion ended. `shed`: the queue was full, nothing was sent. `failed`: no usable id, no answer, or not 2xx.
Result = Literal["deleted", "failed", "shed"]
RESULTS: Final[tuple[Result, ...]] = ("deleted", "failed", "shed")
#: Deletions that may wait.
QUEUE: Final = 256
#: Seconds that one may take.
DELETE_S: Final = 10.0
#: Ids are an upstream's to choose: none may lead to another path.
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")


@dataclass(frozen=True, slots=True)
class Deletion:
    """A stored response. `calls`, `change`: how the attempt was made that it belongs to. `id`: from its envelope."""

    route: str
    calls: AttemptCalls
    change: Change
    id: str


def dropped(outcome: Outcome) -> Iterable[AttemptSummary]:
    """The complete attempts that were not sent. The first one is the client's own: it is dropped only for another."""
    for attempt in outcome.attempts:
        if attempt.complete and attempt.number != outcome.chosen and (attempt.number > 1 or outcome.chosen):
            yield attempt


class Deleter:
    """The queue of deletions and the one consumer that makes them. `on_end(route, result)` is called for each."""

    def __init__(self, on_end: Callable[[str, Result], None], size: int = QUEUE) -> None:
        self._queue: asyncio.Queue[Deletion] = asyncio.Queue(size)
        self._on_end = on_end

    def offer(self, deletion: Deletion) -> None:
        """Queue a deletion."""
        if self._queue.full():
            self._on_end(deletion.route, "shed")
        else:
            self._queue.put_nowait(deletion)

    async def run(self) -> None:
        """Delete until cancelled."""
        while True:
            deletion = await self._queue.get()
            try:
                self._on_end(deletion.route, await delete(deletion))
            finally:
                self._queue.task_done()

    async def drain(self) -> None:
        """Wait until everything queued was tried."""
        await self._queue.join()


async def delete(deletion: Deletion) -> Result:
    """Make one deletion."""
    calls = deletion.calls
    if not _ID.fullmatch(deletion.id):
        return "failed"
    path, mark, query = calls.path.partition("?")
    try:
        async with asyncio.timeout(DELETE_S):
            status = await calls.delete(f"{path}/{quote(deletion.id)}{mark}{query}", deletion.change)
    except (UpstreamError, TimeoutError, RuntimeError):  # RuntimeError: its snapshot was closed meanwhile
        return "failed"
    return "deleted" if 200 <= status < 300 else "failed"
