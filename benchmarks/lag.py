"""How late the event loop of a server is while 100 kB answers pass through it: bare, or chunkguard observing or enforcing.

    python benchmarks/lag.py bare|observe|enforce [--seconds 10]

The server, with the probe in its loop, runs in this process on CPU 1; upstream and load run in a child on CPU 0. The probe
sleeps a millisecond at a time and notes how much later it wakes. Prints percentiles in milliseconds as one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import aiohttp
import orjson
import uvloop
from aiohttp import web

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from bare import make_app  # noqa: E402  (a script beside this one)
from corpus import SENTENCES, TRIGGERS  # noqa: E402

ANSWER_CHARACTERS = 100_000
CONCURRENCY = 4
TICK_S = 0.001


async def upstream_and_load(seconds: float) -> None:
    """The child: prints its upstream port, reads the server's port, loads it, ends."""
    chance = random.Random(3)
    answers = []
    for _ in range(20):
        text = " ".join(chance.choice(SENTENCES[chance.choice(list(SENTENCES))]) for _ in range(3000))[:ANSWER_CHARACTERS]
        message = {"role": "assistant", "content": text + "\n```python\nprint(1)\n```\n"}
        answers.append(orjson.dumps({"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))

    async def answer(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response(body=chance.choice(answers), content_type="application/json")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    port = int(await asyncio.to_thread(sys.stdin.readline))
    end = perf_counter() + seconds

    async def client(session: aiohttp.ClientSession) -> int:
        done = 0
        while perf_counter() < end:
            prompt = chance.choice(TRIGGERS) if chance.random() < 0.2 else "Tell me more about the harbour."
            body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
            async with session.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body) as reply:
                assert reply.status == 200, await reply.text()
                await reply.read()
            done += 1
        return done

    async with aiohttp.ClientSession() as session:
        counts = await asyncio.gather(*(client(session) for _ in range(CONCURRENCY)))
    print(sum(counts), flush=True)


async def serve(kind: str, seconds: float) -> dict[str, float]:
    """Run the server with the probe until the child is done."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--child", "--seconds", str(seconds), kind, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    upstream = f"http://127.0.0.1:{int(await child.stdout.readline())}/v1"
    os.sched_setaffinity(0, {min(1, (os.cpu_count() or 1) - 1)})
    port, stop = await (start_bare(upstream) if kind == "bare" else start_guard(upstream, kind))
    child.stdin.write(f"{port}\n".encode())
    await child.stdin.drain()
    lags: list[float] = []

    async def probe() -> None:
        while True:
            due = perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            lags.append((perf_counter() - due) * 1000)

    task = asyncio.create_task(probe())
    requests = int(await child.stdout.readline())
    task.cancel()
    await child.wait()
    await stop()
    lags.sort()
    shares = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
    found = {name: round(lags[min(len(lags) - 1, int(share * len(lags)))], 3) for name, share in shares.items()}
    return {**found, "requests": requests, "samples": len(lags)}


async def start_bare(upstream: str):  # type: ignore[no-untyped-def]
    runner = web.AppRunner(make_app(upstream), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner.addresses[0][1], runner.cleanup


async def start_guard(upstream: str, kind: str):  # type: ignore[no-untyped-def]
    from core.types import MODES
    from proxy import config
    from proxy.app import App

    # `prefix`: one mode that holds the beginning of an answer; the others hold nothing or the whole
    modes, enforcement = (("fiction",), "enforce") if kind == "prefix" else (MODES, kind)
    policies = [{"extends": mode, "enforcement": enforcement} for mode in modes]
    settings = config.from_upstream_url(upstream, listen="127.0.0.1:0", admin="127.0.0.1:0", policies=policies)
    with tempfile.TemporaryFile() as log:
        app = App(settings, log_to=log)
        await app.start()
    return app.address[1], app.stop


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("bare", "observe", "enforce"))
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--child", action="store_true")
    arguments = parser.parse_args()
    if arguments.child:
        os.sched_setaffinity(0, {0})
        asyncio.run(upstream_and_load(arguments.seconds))
    else:
        print(json.dumps(uvloop.run(serve(arguments.kind, arguments.seconds))))
