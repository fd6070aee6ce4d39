"""Parts of the campaign in which the upstream misbehaves, under load, on every API, plain and streamed.

One rule: each request names its fault, so each answer is judged by what that fault allows and by nothing looser.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

from tests.chaos.bars import Bar, Scale, without_complaints
from tests.chaos.client import Ask, every_kind, session, storm
from tests.chaos.faults import EVERY, FAULTS, SLOW, STRAY
from tests.chaos.stage import ROUTES, Stage

#: Faults that answer quickly and keep to their own request.
QUICK = tuple(name for name in FAULTS if name not in SLOW + STRAY)


def sample(faults: Sequence[str], routes: Sequence[str], scale: Scale) -> list[Ask]:
    """Every kind of request; on a small scale each fault meets each route once."""
    if scale.full:
        return every_kind(faults, routes, times=scale.times)
    chance = random.Random(5)
    kinds = [(api, stream) for api in EVERY for stream in (False, True)]
    asks = []
    for number, fault in enumerate(faults):
        for place, route in enumerate(routes):
            api, stream = kinds[(number + 3 * place) % len(kinds)]
            asks.append(Ask(route, api, stream, (fault,)))
    chance.shuffle(asks)
    return asks


async def quick_faults(stage: Stage, scale: Scale) -> list[Bar]:
    tally = await storm(stage.origin, sample(QUICK, ROUTES, scale), at_once=48)
    bars = []
    for fault in QUICK:
        own = [complaint for complaint in tally.complaints if complaint.split(":")[0].endswith(f" {fault}")]
        seen = {end: count for end, count in tally.ends.items() if end.startswith(f"{fault}: ")}
        bars.append(without_complaints(f"upstream: {fault}", sum(seen.values()) + len(own), own))
    strange = [complaint for complaint in tally.complaints if "somebody else" in complaint]
    bars.append(without_complaints("no answer is mixed with another's", tally.sent, strange))
    bars.append(without_complaints("counters and log add up to what clients saw", tally.sent, await stage.sums(tally)))
    return bars


async def slow_faults(stage: Stage, scale: Scale) -> list[Bar]:
    """All at once: they last until a timeout."""
    asks = sample(SLOW, [f"{route}-hasty" for route in ROUTES], scale)[: 400 if scale.full else None]
    tally = await storm(stage.origin, asks, at_once=len(asks))
    bar = without_complaints(f"upstream: {', '.join(SLOW)} end by a timeout", tally.sent, tally.complaints)
    return [bar, without_complaints("timeouts are counted", tally.sent, await stage.sums(tally))]


async def strays(stage: Stage, scale: Scale) -> list[Bar]:
    """One request at a time, so that what nobody asked for comes while nobody has asked."""
    complaints: list[str] = []
    count = 0
    async with session() as client:
        for ask in sample(STRAY, ROUTES, replace(scale, times=min(scale.times, 2))):
            tally = await storm(stage.origin, [ask], at_once=1, client=client)
            # What comes late must be there before somebody else asks on that connection: later than that nobody can tell.
            await asyncio.sleep(0.2 if scale.full else 0.04)
            # The next requests take the same connection to the upstream, if it was kept.
            for place in range(3):
                after = Ask(ROUTES[(count + place) % len(ROUTES)], ask.api, ask.stream)
                tally.merge(await storm(stage.origin, [after], at_once=1, client=client))
            complaints += [*tally.complaints, *await stage.sums(tally)]
            count += tally.sent
    return [without_complaints("what an upstream says unasked reaches nobody", count, complaints)]


async def failing_retries(stage: Stage, scale: Scale) -> list[Bar]:
    """A mis-routed first answer, then every fault in its retry: the first answer is given, or the good one."""
    second = ["ok", "status_500", *(name for name in QUICK if FAULTS[name].held.isdisjoint({"same"}))]
    asks = [
        # Only where the retry hangs may time run out: a good one may be late on a machine with too much to do.
        Ask(f"{route}-hasty" if fault == "hang_in_body" else route, api, stream, ("misrouted", fault))
        for fault in (*second, "hang_in_body")
        for route in ("shipped", "all")
        for api in EVERY
        for stream in (False, True)
    ]
    random.Random(3).shuffle(asks)
    asks = asks if scale.full else asks[::3]
    # No more at once than the share of retries holds for a burst (`QUIET_RETRIES`): one that it denies gives the first answer.
    tally = await storm(stage.origin, asks, at_once=16)
    retried = sum(count for end, count in tally.ends.items() if end.endswith("retried"))
    return [
        without_complaints(
            "a retry that fails gives the first answer, one that works the better one", tally.sent, tally.complaints
        ),
        Bar("retries did happen", retried > 0, f"{retried} answers were put right"),
        without_complaints("retried requests count once", tally.sent, await stage.sums(tally)),
    ]


async def refused(stage: Stage, scale: Scale) -> list[Bar]:
    """Nobody listens where the upstream should be; beside it another upstream goes on."""
    dead = [
        Ask(f"{route}-dead", api, stream, ends=frozenset({"upstream_unavailable"}))
        for route in ROUTES
        for api in EVERY
        for stream in (False, True)
    ] * (scale.times if scale.full else 1)
    alive = every_kind(["ok"], ROUTES)
    asks = [*dead, *alive]
    random.Random(4).shuffle(asks)
    tally = await storm(stage.origin, asks)
    return [
        without_complaints("a dead upstream is a 502, and others go on", tally.sent, tally.complaints),
        without_complaints("refused calls are counted", tally.sent, await stage.sums(tally)),
    ]


async def long_answers(stage: Stage, scale: Scale) -> list[Bar]:
    """Many answers of two megabytes at once."""
    tally = await storm(stage.origin, every_kind(["long_line"], ROUTES)[:: 1 if scale.full else 4], at_once=16)
    return [
        without_complaints("answers of two megabytes, sixteen at once", tally.sent, tally.complaints),
        without_complaints("long answers are counted", tally.sent, await stage.sums(tally)),
    ]
