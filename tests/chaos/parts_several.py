"""Parts of the campaign in which a gateway is not alone: one worker of two is killed, and the Redis it counts in goes away.

One rule: what breaks is one of several, so the others go on, and nobody but those that it was just serving may notice.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from proxy.limiting.bucket import windows_at
from tests.chaos.bars import Bar, Scale, without_complaints
from tests.chaos.client import Ask, Tally, every_kind, make_nonce, storm
from tests.chaos.faults import EVERY
from tests.chaos.stage import ROUTES, Stage, free_port

#: Requests at once while a worker is killed: so many can be lost with it at most.
AT_ONCE = 16
KEY = "cg-" + "k" * 43


async def killed_among(stage: Stage, scale: Scale) -> list[Bar]:
    """One worker of two is killed under load, again and again."""
    await stage.stop_worker()
    await stage.start_worker(workers=2)
    kills = 3 if scale.full else 1
    tally = Tally()
    for _ in range(kills):
        ends = frozenset({"same", "interrupted"})
        asks = [Ask(route, api, stream, ends=ends) for route in ROUTES for api in EVERY for stream in (False, True)]
        load = asyncio.create_task(storm(stage.origin, asks * 6, at_once=AT_ONCE))
        await asyncio.sleep(0.5)
        os.kill(await stage.a_worker(), signal.SIGKILL)
        tally.merge(await load)
        await stage.until_ready(workers=2)
    lost = sum(count for end, count in tally.ends.items() if end.endswith("interrupted"))
    restarts = await stage.metric("chunkguard_worker_restarts_total")
    stage.base = stage.base + await stage.counted()
    stage.forget_log()
    after = await storm(stage.origin, every_kind(["ok", "misrouted", "status_429"], ROUTES, times=scale.times))
    return [
        without_complaints(
            "a worker of two is killed: no connection is refused, no answer is wrong", tally.sent, tally.complaints
        ),
        Bar("only what it was serving is lost", lost <= kills * AT_ONCE, f"{lost} of {tally.sent} in {kills} kills"),
        Bar("it is started again each time", restarts == kills, f"{restarts:.0f} restarts"),
        without_complaints(
            "two workers again, everything is as before", after.sent, [*after.complaints, *await stage.sums(after)]
        ),
    ]


@dataclass
class RedisServer:
    """A Redis of our own that keeps on disk what it was told, so that a killed one forgets nothing."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is not installed: `make chaos` installs it"
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--appendonly", "yes"]
        self.process = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        async with asyncio.timeout(30):
            while not await self.answers():  # noqa: ASYNC110  (another process becomes ready)
                await asyncio.sleep(0.05)

    async def answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.write(b"PING\r\n")
        try:
            return await reader.readline() == b"+PONG\r\n"
        except OSError:
            return False
        finally:
            writer.close()

    async def value(self, key: str) -> int:
        """A number that it holds, 0 where it holds none."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {key}\r\n".encode())
        length = int((await reader.readline())[1:])
        found = int(float(await reader.readline())) if length >= 0 else 0
        writer.close()
        return found

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await asyncio.to_thread(self.process.wait, 10)


@asynccontextmanager
async def counting_in_redis(stage: Stage, failure_mode: str) -> AsyncIterator[RedisServer]:
    """The gateway anew, with a key whose use is counted in a Redis."""
    await stage.stop_worker()
    folder = stage.folder / failure_mode
    folder.mkdir()
    server = RedisServer(folder)
    await server.start()
    limits = {"requests_per_minute": 1_000_000, "tokens_per_day": 1_000_000_000}
    stage.document |= {
        "keys": {"app": {"key": KEY, "limits": limits}},
        "limit_store": {"kind": "redis", "url": server.url, "failure_mode": failure_mode, "timeout_ms": 2000},
    }
    stage.write()
    await stage.start_worker()
    try:
        yield server
    finally:
        await server.kill()


def keyed(scale: Scale, *ends: str) -> list[Ask]:
    found = frozenset(ends)
    asks = [Ask(route, api, stream, ends=found, key=KEY) for route in ROUTES for api in EVERY for stream in (False, True)]
    return asks * min(scale.times, 2)


async def redis_gone(stage: Stage, scale: Scale) -> list[Bar]:
    """Redis is killed under load and comes back, for a gateway that serves without it and for one that does not."""
    async with counting_in_redis(stage, "fail_open") as server:
        tally = await _killed_under_load(stage, server, keyed(scale, "same"))
        uncounted = await stage.result("uncounted")
        await server.start()
        await asyncio.sleep(1.5)  # it is asked again a second after it failed
        tally.merge(await storm(stage.origin, keyed(scale, "same")))
        late = await stage.result("uncounted") - uncounted
        used, charged = await settled(stage, server)
        bars = [
            without_complaints("Redis gone, fail_open: every request is served", tally.sent, tally.complaints),
            Bar(
                "uncounted while it is gone, counted before and after",
                uncounted > 0 and late == 0,
                f"{uncounted:.0f} uncounted",
            ),
            Bar("what was used meanwhile is charged later", used <= charged <= 1.05 * used, f"{charged} of {used:.0f} tokens"),
            without_complaints("counted over a Redis that goes", tally.sent, await stage.sums(tally, errors=True)),
        ]
    async with counting_in_redis(stage, "fail_closed") as server:
        tally = await _killed_under_load(stage, server, keyed(scale, "same", "limits_unavailable"))
        tally.merge(await storm(stage.origin, keyed(scale, "limits_unavailable")))
        await server.start()
        await asyncio.sleep(1.5)
        tally.merge(await storm(stage.origin, keyed(scale, "same")))
        return [
            *bars,
            without_complaints("Redis gone, fail_closed: 503 until it is back", tally.sent, tally.complaints),
            without_complaints("counted over that, too", tally.sent, await stage.sums(tally, errors=True)),
        ]


async def _killed_under_load(stage: Stage, server: RedisServer, asks: list[Ask]) -> Tally:
    again = [replace(ask, nonce=make_nonce()) for _ in range(4) for ask in asks]
    tally, _ = await asyncio.gather(storm(stage.origin, again, at_once=8), _killed_soon(server))
    return tally


async def _killed_soon(server: RedisServer) -> None:
    await asyncio.sleep(0.5)
    await server.kill()


async def settled(stage: Stage, server: RedisServer) -> tuple[float, int]:
    """Tokens that the gateway says were used, and those that Redis was told of, once all were told."""
    used, charged = 0.0, -1
    for _ in range(100):
        used = await stage.metric("chunkguard_key_tokens_total")
        charged = await server.value(f"chunkguard:{{app}}:day:{windows_at(time.time()).day}")
        if charged >= used:
            break
        await asyncio.sleep(0.05)
    return used, charged
