"""Several upstreams that share the requests by weight.

One rule: a request that is tied to one upstream (see `stateless`) goes to the first, always. So do the client's credentials.
"""

from __future__ import annotations

import random
from asyncio import StreamReader, StreamWriter
from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate

from proxy.upstream.base import Upstream, UpstreamReply, UpstreamRequest, for_member, upgraded
from proxy.upstream.stateless import may_move


class WeightedUpstream:
    """Asks one of `members`, each with the chance of its weight. `asked(member)`: told which, by its name."""

    def __init__(
        self,
        name: str,
        members: Sequence[Upstream],
        weights: Sequence[int],
        chance: Callable[[], float] = random.random,
        asked: Callable[[str], None] = lambda member: None,
    ) -> None:
        self.name = name
        self._members = tuple(members)
        self._bounds = list(accumulate(weights))
        self._chance = chance
        self._asked = asked

    async def open(self, request: UpstreamRequest) -> UpstreamReply:
        """The answer of the member that was drawn. Raises what it raises."""
        place = bisect(self._bounds, self._chance() * self._bounds[-1]) if may_move(request) else 0
        member = self._members[place]
        self._asked(member.name)
        return await member.open(for_member(request, place))

    async def upgrade(self, request: UpstreamRequest) -> tuple[StreamReader, StreamWriter, bytes, int]:
        """A session is the first one's, as everything that is tied to one."""
        return await upgraded(self._members[0], request)

    async def close(self) -> None:
        """Its members are closed by who made them."""
