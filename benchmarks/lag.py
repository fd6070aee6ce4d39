"""How late the event loop of a server is while 100 kB answers pass through it: bare, or chunkguard observing or enforcing.

    python benchmarks/lag.py bare|observe|enforce [--seconds 10]

The probe runs in the server's loop, sleeps a millisecond at a time and notes how much later it wakes. Prints percentiles in
milliseconds as one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from pathlib import Path
from time import perf_counter

import aiohttp
import orjson
import uvloop
from aiohttp import web

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from bars import Bar, figures_of  # noqa: E402  (a script beside this one)
from beside import loaded, open_upstream  # noqa: E402
from corpus import SENTENCES, TRIGGERS  # noqa: E402

ANSWER_CHARACTERS = 100_000
CONCURRENCY = 4
TICK_S = 0.001
#: Most milliseconds of lag (p99.9) beyond the bare pass-through's.
LAG_MS = 5.0


async def upstream_and_load(seconds: float) -> None:
    """The child."""
    chance = random.Random(3)
    answers = []
    for _ in range(20):
        text = " ".join(chance.choice(SENTENCES[chance.choice(list(SENTENCES))]) for _ in range(3000))[:ANSWER_CHARACTERS]
        message = {"role": "assistant", "content": text + "\n```python\nprint(1)\n```\n"}
        answers.append(orjson.dumps({"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))

    async def answer(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response(body=chance.choice(answers), content_type="application/json")

    url = await open_upstream(answer)
    end = perf_counter() + seconds

    async def client(session: aiohttp.ClientSession) -> int:
        done = 0
        while perf_counter() < end:
            prompt = chance.choice(TRIGGERS) if chance.random() < 0.2 else "Tell me more about the harbour."
            body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
            async with session.post(url, json=body) as reply:
                assert reply.status == 200, await reply.text()
                await reply.read()
            done += 1
        return done

    async with aiohttp.ClientSession() as session:
        counts = await asyncio.gather(*(client(session) for _ in range(CONCURRENCY)))
    print(sum(counts), flush=True)


async def serve(kind: str, seconds: float) -> dict[str, float]:
    """Run the server with the probe until the child is done."""
    lags: list[float] = []

    async def probe() -> None:
        while True:
            due = perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            lags.append((perf_counter() - due) * 1000)

    async with loaded(__file__, kind, "--seconds", str(seconds)) as last_line:
        task = asyncio.create_task(probe())
        requests = int(await last_line())
        task.cancel()
    lags.sort()
    shares = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
    found = {name: round(lags[min(len(lags) - 1, int(share * len(lags)))], 3) for name, share in shares.items()}
    return {**found, "requests": requests, "samples": len(lags)}


def measure_lags(seconds: float) -> tuple[dict[str, dict[str, float]], list[Bar]]:
    """Every kind, each in a process of its own; the percentiles, and the bars on them."""
    kinds = ("bare", "observe", "enforce")
    lags = {kind: figures_of("lag.py", kind, "--seconds", f"{seconds:g}") for kind in kinds}
    bars: list[Bar] = []
    for kind in kinds[1:]:
        beyond = lags[kind]["p999"] - lags["bare"]["p999"]
        shown = f"{lags[kind]['p999']:.2f} ms, bare {lags['bare']['p999']:.2f} ms"
        bars.append((f"{kind}: loop lag p99.9 <= {LAG_MS:g} ms beyond bare's, 100 kB answers", beyond <= LAG_MS, shown))
    return lags, bars


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("bare", "observe", "enforce"))
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--child", action="store_true")
    arguments = parser.parse_args()
    if arguments.child:
        asyncio.run(upstream_and_load(arguments.seconds))
    else:
        print(json.dumps(uvloop.run(serve(arguments.kind, arguments.seconds))))
