"""Several upstreams in order: the next one answers where one before it cannot.

One rule: only a request that nothing ties to one upstream moves on (see `stateless`), and only before a byte of an answer was
handed over. The client's credentials go to the first one alone.
"""

from __future__ import annotations

import logging
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Sequence
from typing import Final

from proxy.errors import UpstreamError
from proxy.upstream.base import Upstream, UpstreamReply, UpstreamRequest, for_member, upgraded
from proxy.upstream.stateless import may_move

log = logging.getLogger("chunkguard")

#: Why the next upstream is asked, for metrics: kinds of `UpstreamError`, or a status that the group does not take.
MOVES: Final = ("unavailable", "timeout", "protocol", "status")


class FallbackUpstream:
    """Asks `members` in turn until one answers with a status that is not among `statuses`; the last answers as it does.

    `moved(member, why)`: told of each that could not, by its name and one of MOVES."""

    def __init__(
        self,
        name: str,
        members: Sequence[Upstream],
        statuses: Sequence[int],
        moved: Callable[[str, str], None] = lambda member, why: None,
    ) -> None:
        self.name = name
        self._members = tuple(members)
        self._statuses = frozenset(statuses)
        self._moved = moved

    async def open(self, request: UpstreamRequest) -> UpstreamReply:
        """The answer of the first member that can give one. Raises what the last one asked raises."""
        *others, last = self._members
        for place, member in enumerate(others):
            try:
                reply = await member.open(for_member(request, place))
            except UpstreamError as error:
                if not may_move(request):
                    raise
                self._moves(member, error.kind, type(error).__name__)
                continue
            if reply.status not in self._statuses or not may_move(request):
                return reply
            reply.abort()
            self._moves(member, "status", str(reply.status))
        return await last.open(for_member(request, len(others)))

    async def upgrade(self, request: UpstreamRequest) -> tuple[StreamReader, StreamWriter, bytes, int]:
        """A session is the first one's, as everything that is tied to one."""
        return await upgraded(self._members[0], request)

    async def close(self) -> None:
        """Its members are closed by who made them."""

    def _moves(self, member: Upstream, why: str, detail: str) -> None:
        log.warning("upstream %s of %s cannot answer (%s): the next one is asked", member.name, self.name, detail)
        self._moved(member.name, why)
