"""Parts of the campaign in which the world around the gateway breaks: detectors, disk, clock, configuration, the process.

One rule: each thing is broken while requests run, and put right again; afterwards everything is as before.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import time
from collections.abc import Awaitable, Callable

from tests.chaos.bars import Bar, Scale, without_complaints
from tests.chaos.client import Ask, Tally, every_kind, storm
from tests.chaos.faults import EVERY
from tests.chaos.stage import ROUTES, Stage

#: Characters of prompts that detectors read in a thread, and over which the broken ones hang.
LONG = 20_000


async def reconfigure(stage: Stage, **limits: object) -> str:
    """Change limits as an operator does; the new revision."""
    stage.document["limits"] |= limits
    stage.write()
    status, text = await stage.admin("POST", "/-/reload")
    assert status == 200, text
    return str(json.loads(text)["policy_revision"])


async def crashing_detectors(stage: Stage, scale: Scale) -> list[Bar]:
    before = await stage.metric("chunkguard_unchecked_total")
    await stage.ask(detectors={"crash": True})
    failing = frozenset({"guard_unavailable"})
    closed = [Ask("closed", api, stream, ends=failing) for api in EVERY for stream in (False, True)]
    tally = await storm(stage.origin, [*every_kind(["ok"], ROUTES), *closed])
    unchecked = await stage.metric("chunkguard_unchecked_total") - before
    await stage.ask(detectors={"crash": False})
    tally.merge(await storm(stage.origin, every_kind(["ok", "misrouted"], ["closed", "all"])))
    return [
        without_complaints("detectors crash: fail_open answers, fail_closed 503, then as before", tally.sent, tally.complaints),
        Bar("answers that were not judged are counted", unchecked >= len(closed), f"{unchecked:.0f} unchecked"),
        without_complaints("counted while detectors crash", tally.sent, await stage.sums(tally, errors=True)),
    ]


async def hanging_detectors(stage: Stage, scale: Scale) -> list[Bar]:
    """Long texts hang in a detector; short ones, and routes that ask no detector, are answered meanwhile."""
    await reconfigure(stage, deadline_ms=300)
    await stage.ask(detectors={"sleep_s": 2.0, "over": LONG})
    late = frozenset({"guard_unavailable"})
    long = [
        Ask(route, api, True, padding=LONG, ends=late if route == "closed" else None)
        for route in ("all", "closed")
        for api in EVERY
    ]
    stuck = asyncio.create_task(storm(stage.origin, long, at_once=len(long)))
    await asyncio.sleep(0.1)
    tally = await storm(stage.origin, every_kind(["ok"], ("pass", "prefix", "all")), at_once=8)
    quick = tally.slowest_s
    tally.merge(await stuck)
    await stage.ask(detectors={"sleep_s": 0.0, "over": 0})
    await asyncio.sleep(2.5)  # what still sleeps wakes up
    after = [Ask("closed", api, True, padding=LONG) for api in EVERY]
    await reconfigure(stage, deadline_ms=20_000)
    tally.merge(await storm(stage.origin, after))
    return [
        without_complaints("detectors hang: late ones are missing, then as before", tally.sent, tally.complaints),
        Bar("short requests do not wait for hanging detectors", quick < 2.0, f"slowest {quick:.2f} s of a 2 s hang"),
        without_complaints("counted while detectors hang", tally.sent, await stage.sums(tally)),
    ]


async def slow_detectors(stage: Stage, scale: Scale) -> list[Bar]:
    await stage.ask(detectors={"sleep_s": 0.01, "over": 0})
    tally = await storm(stage.origin, every_kind(["ok", "misrouted"], ("shipped", "all"), times=1), at_once=16)
    await stage.ask(detectors={"sleep_s": 0.0})
    return [
        without_complaints("detectors are slow: answers come all the same", tally.sent, tally.complaints),
        without_complaints("counted while detectors are slow", tally.sent, await stage.sums(tally)),
    ]


async def full_disk(stage: Stage, scale: Scale) -> list[Bar]:
    """The log cannot grow, then it can again."""
    assert stage.worker is not None
    asks = lambda: every_kind(["ok"], ROUTES, times=scale.times)  # noqa: E731
    tally = await storm(stage.origin, asks())
    size = stage.log.stat().st_size
    _, hard = resource.prlimit(stage.worker.pid, resource.RLIMIT_FSIZE, (size + 1000, resource.RLIM_INFINITY))
    tally.merge(await storm(stage.origin, asks()))
    await asyncio.sleep(0.2)
    inside = await stage.ask()
    resource.prlimit(stage.worker.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    after = await storm(stage.origin, asks())
    tally.merge(after)
    broken, missing = await _log_of(stage, after)
    return [
        without_complaints("a full disk costs lines, no request", tally.sent, tally.complaints),
        Bar("lost lines are counted", inside["lost"] > 0, f"{inside['lost']} lost"),
        Bar("the log goes on in whole lines", len(broken) <= 2 and not missing, f"{len(broken)} torn, {len(missing)} missing"),
        without_complaints("counted while the disk is full", tally.sent, await stage.sums(tally, log=False)),
    ]


async def _log_of(stage: Stage, tally: Tally) -> tuple[list[bytes], list[str]]:
    """Torn lines, and decisions that are not logged: those of relayed answers come once they were scored."""
    broken: list[bytes] = []
    missing: list[str] = []
    for _ in range(100):
        lines = stage.log.read_bytes().splitlines()
        broken = [line for line in lines if line and not _is_json(line)]
        logged = {json.loads(line).get("decision_id") for line in lines if line and line not in broken}
        missing = [decision for decision in tally.decisions if decision not in logged]
        if not missing:
            break
        await asyncio.sleep(0.1)
    return broken, missing


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


async def jumping_clock(stage: Stage, scale: Scale) -> list[Bar]:
    """The wall clock jumps a day ahead, two back, and home again, while requests run."""
    began = time.monotonic()
    before = await stage.metric("chunkguard_request_seconds_sum")

    async def jump() -> None:
        for seconds in (86_400, -172_800, 86_400):
            await asyncio.sleep(0.3)
            await stage.ask(jump_s=seconds)

    tally = await _during(stage, jump, every_kind(["ok", "misrouted", "status_503"], ROUTES, times=scale.times), at_once=8)
    spent = await stage.metric("chunkguard_request_seconds_sum") - before
    most = 8 * (time.monotonic() - began)
    return [
        without_complaints("a clock that jumps changes no answer", tally.sent, tally.complaints),
        Bar("times are measured by another clock", 0 < spent < most, f"{spent:.1f} s in requests"),
        without_complaints("counted while the clock jumps", tally.sent, await stage.sums(tally)),
    ]


def bomb(levels: int = 9, width: int = 9) -> str:
    """A few lines of YAML that stand for `width ** levels` values."""
    lines = ["a0: &a0 [x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]" for level in range(1, levels + 1)]
    return "\n".join(lines) + "\n"


BROKEN = {
    "no YAML": "listen: [",
    "nothing": "",
    "unknown keys": '{"upstreams": {}, "routes": [], "no_such": 1}',
    "bomb": bomb(),
    "binary": "\x00\x01",
    "deep": "[" * 3000,
}


async def broken_reloads(stage: Stage, scale: Scale) -> list[Bar]:
    """Configurations that cannot be used come by request, signal and file, and between them some that can."""
    revision = (await stage.ask())["revision"]
    wrong: list[str] = []

    async def reload() -> None:
        nonlocal revision
        for name, text in list(BROKEN.items())[: None if scale.full else 4]:
            stage.write(text)
            status, answer = await stage.admin("POST", "/-/reload")
            stage.kill(signal.SIGHUP)
            inside = await stage.ask()
            if status != 422 or inside["revision"] != revision or "problems" not in answer:
                wrong.append(f"{name}: {status} {answer[:100]}, revision {inside['revision']} after {revision}")
        stage.config.unlink()
        status, _ = await stage.admin("POST", "/-/reload")
        wrong.extend([f"no file: {status}"] * (status != 422))
        for keepalive_s in (9.0, 10.0):
            new = await reconfigure(stage, keepalive_s=keepalive_s)
            wrong.extend(["a good configuration changed nothing"] * (new == revision))
            revision = new

    tally = await _during(stage, reload, every_kind(["ok", "misrouted", "status_503"], ROUTES, times=scale.times), at_once=8)
    return [
        without_complaints("reloads, broken and good, fail no request", tally.sent, tally.complaints),
        Bar(
            "a broken configuration changes nothing and the answer says why",
            not wrong,
            "; ".join(wrong) or f"{len(BROKEN)} kinds",
        ),
        without_complaints("counted over reloads", tally.sent, await stage.sums(tally, errors=True)),
    ]


async def _during(stage: Stage, work: Callable[[], Awaitable[None]], asks: list[Ask], *, at_once: int) -> Tally:
    """Send the requests again and again while something is done; what became of them."""
    done = asyncio.Event()
    tally = Tally()

    async def load() -> None:
        while not done.is_set():
            again = [Ask(ask.route, ask.api, ask.stream, ask.faults, ask.padding, ask.ends) for ask in asks]
            tally.merge(await storm(stage.origin, again[:200], at_once=at_once))

    task = asyncio.create_task(load())
    try:
        await work()
    finally:
        done.set()
        await task
    return tally


async def stopped(stage: Stage, scale: Scale) -> list[Bar]:
    """SIGTERM under load: whoever got a head gets the rest, others are turned away at the door."""
    asks = [
        Ask(route, api, stream, ("slow_drip",), ends=frozenset({"same", "nothing"}))
        for route in ROUTES
        for api in EVERY
        for stream in (False, True)
    ]
    load = asyncio.create_task(storm(stage.origin, asks * 3, at_once=32))
    await asyncio.sleep(0.4)
    began = time.monotonic()
    status = await stage.stop_worker()
    seconds = time.monotonic() - began
    tally = await load
    answered = sum(count for end, count in tally.ends.items() if end.endswith("same"))
    return [
        without_complaints("SIGTERM cuts no answer that has begun", tally.sent, tally.complaints),
        Bar(
            "it ends in time and well",
            status == 0 and seconds < 30 and answered > 0,
            f"status {status}, {seconds:.1f} s, {answered} answered",
        ),
    ]


async def killed(stage: Stage, scale: Scale) -> list[Bar]:
    """The process is killed under load and started again on the same ports."""
    if stage.worker is None or stage.worker.poll() is not None:
        await stage.start_worker()
    lost = frozenset({"same", "lost"})
    complaints: list[str] = []
    sent = 0
    for _ in range(3 if scale.full else 1):
        asks = [Ask(route, api, stream, ends=lost) for route in ROUTES for api in EVERY for stream in (False, True)]
        load = asyncio.create_task(storm(stage.origin, asks * 4, at_once=16))
        await asyncio.sleep(0.3)
        await stage.stop_worker(signal.SIGKILL)
        tally = await load
        await stage.start_worker()
        complaints += tally.complaints
        sent += tally.sent
    after = await storm(stage.origin, every_kind(["ok", *(name for name in ("misrouted", "status_429"))], ROUTES))
    return [
        without_complaints("a killed process: answers are whole or visibly cut", sent, complaints),
        without_complaints("started again, everything is as before", after.sent, [*after.complaints, *await stage.sums(after)]),
    ]
