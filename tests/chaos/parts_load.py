"""Parts of the campaign about load itself: clients that misbehave, and whether anything grows over very many requests.

One rule: what is measured is measured at rest, before and after, so that only what stays behind counts.
"""

from __future__ import annotations

import asyncio
import statistics

from tests.chaos.bars import Bar, Scale, without_complaints
from tests.chaos.client import Ask, every_kind, mixed, storm
from tests.chaos.faults import EVERY
from tests.chaos.parts_upstream import QUICK
from tests.chaos.stage import ROUTES, Inside, Stage


async def at_rest(stage: Stage) -> Inside:
    """The inside once nothing is under way and idle upstream connections have gone."""
    inside = await stage.ask()
    for _ in range(100):
        await asyncio.sleep(0.1)
        inside = await stage.ask()
        if inside["under_way"] == 0:
            break
    await asyncio.sleep(float(stage.document["upstreams"]["main"].get("pool_idle_s", 1)) * 2 + 0.5)
    return await stage.ask()


#: What the upstream would do, and where the client leaves: within the head or the body, after the request, in the answer.
LEAVING = (("ok", "head"), ("ok", "body"), ("hang", "request"), ("hang_in_body", "request"), ("long_line", "answer"))


async def _leave(stage: Stage, ask: Ask, after: str) -> None:
    """Send a request, or a part of it, and leave."""
    api = EVERY[ask.api]
    body = api.body(ask.prompt, **({"stream": True} if ask.stream else {}))
    head = f"POST /{ask.route}{api.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n".encode()
    head += f"x-chaos: {ask.nonce} {ask.faults[0]}\r\n".encode()
    data = {"head": head, "body": head + b"\r\n" + body[:-5]}.get(after, head + b"\r\n" + body)
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    writer.write(data)
    await writer.drain()
    await asyncio.sleep(0.05)
    if after == "answer":
        await reader.read(10)
    writer.close()


async def leaving_clients(stage: Stage, scale: Scale) -> list[Bar]:
    """Clients that leave at every stage, some of them from an upstream that never ends; others are served meanwhile."""
    before = await at_rest(stage)
    leaving = [
        _leave(stage, Ask(ask.route, ask.api, ask.stream, (fault,)), after)
        for ask in every_kind(["ok"], ROUTES)
        for fault, after in LEAVING
    ]
    load = asyncio.create_task(storm(stage.origin, every_kind(["ok"], ROUTES), at_once=8))
    for start in range(0, len(leaving), 60):
        await asyncio.gather(*leaving[start : start + 60])
    tally = await load
    await asyncio.sleep(1)
    left = (await stage.ask())["under_way"]  # long before the upstream's timeouts
    after = await at_rest(stage)
    shown = f"files {before['files']} -> {after['files']}, tasks {before['tasks']} -> {after['tasks']}"
    return [
        without_complaints("clients that leave disturb no others", tally.sent, tally.complaints),
        Bar("their requests end with them", left == 0, f"{left} of {len(leaving)} under way after 1 s"),
        Bar("and leave nothing behind", _tidy(before, after), shown),
    ]


def _tidy(before: Inside, after: Inside) -> bool:
    return after["files"] <= before["files"] + 2 and after["tasks"] <= before["tasks"]


async def flat(stage: Stage, scale: Scale) -> list[Bar]:
    """Very many mixed requests in ten rounds: files, tasks and memory after the last are as after the third."""
    rounds: list[Inside] = []
    complaints: list[str] = []
    sent = 0
    for number in range(10):
        tally = await storm(stage.origin, mixed(scale.flat // 10, QUICK, ROUTES, seed=number), at_once=48)
        complaints += [*tally.complaints, *await stage.sums(tally)]
        sent += tally.sent
        rounds.append(await at_rest(stage))
    middle, last = rounds[3:6], rounds[7:]
    bars = [without_complaints("mixed load: every request ends well and is counted", sent, complaints)]
    for what, slack in (("files", 2.0), ("tasks", 0.0), ("rss_kb", 12_000.0), ("blocks", 3_000.0)):
        before = statistics.median(float(inside[what]) for inside in middle)  # type: ignore[literal-required]
        after = statistics.median(float(inside[what]) for inside in last)  # type: ignore[literal-required]
        bars.append(Bar(f"{what} stay flat", after <= before + slack, f"{before:.0f} -> {after:.0f} over {sent} requests"))
    return bars
