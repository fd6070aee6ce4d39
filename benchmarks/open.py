"""Memory and stalls of one worker with very many connections: idle keep-alive clients, and open streams.

    python benchmarks/open.py [--idle 10000] [--streams 1000]

The worker and a slow upstream are processes of their own. Memory is the worker's resident set, all of it; a stall is how
much later a request on the side is answered than without the crowd. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from aiohttp import web

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from bars import Bar, figures_of  # noqa: E402  (a script beside this one)

IDLE, STREAMS = 10_000, 1_000
MEMORY_MB = 300
STALL_MS = 20.0
CHUNK = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
LAST = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


async def upstream() -> None:
    """A stream of a chunk a second for as long as it is asked for (`max_tokens` chunks), or a short plain answer."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked = json.loads(await request.read())
        if not asked.get("stream"):
            message = {"role": "assistant", "content": "ok"}
            return web.json_response({"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        for _ in range(asked["max_tokens"]):
            await reply.write(CHUNK)
            await asyncio.sleep(1)
        await reply.write(LAST)
        return reply

    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def body(stream: int = 0) -> bytes:
    asked = {"model": "m", "messages": [{"role": "user", "content": "Which river runs through Vienna?"}]}
    return json.dumps({**asked, **({"stream": True, "max_tokens": stream} if stream else {})}).encode()


async def latency_ms(url: str, seconds: float) -> list[float]:
    """How long a small request takes, again and again."""
    found = []
    async with aiohttp.ClientSession() as client:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.perf_counter()
            async with client.post(url, data=body(), headers={"Content-Type": "application/json"}) as reply:
                await reply.read()
                assert reply.status == 200
            found.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.01)
    return sorted(found)


async def idle_clients(port: int, count: int) -> list[asyncio.StreamWriter]:
    """Connections that have each asked once and are kept."""
    writers = []
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body())}\r\n\r\n".encode()
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + body())
        await reader.readuntil(b"}")
        writers.append(writer)
    return writers


async def open_streams(url: str, count: int, seconds: int) -> int:
    """Streams that all run at once; how many came whole."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def one() -> bool:
            async with client.post(url, data=body(seconds), headers={"Content-Type": "application/json"}) as reply:
                return (await reply.read()).endswith(b"[DONE]\n\n")

        return sum(await asyncio.gather(*(one() for _ in range(count))))


async def measure(idle: int, streams: int, port: int, pid: int) -> dict[str, Any]:
    """Milliseconds of a request on the side, and megabytes, without and with each crowd; how many streams came whole."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    await latency_ms(url, 2)
    alone = await seen(url, pid)
    writers = await idle_clients(port, idle)
    of_idle = {"count": idle, **await seen(url, pid)}
    for writer in writers:
        writer.close()
    running = asyncio.create_task(open_streams(url, streams, 20))
    await asyncio.sleep(8)
    of_streams = {"count": streams, **await seen(url, pid)}
    return {"alone": alone, "idle": of_idle, "streams": {**of_streams, "whole": await running}}


async def seen(url: str, pid: int) -> dict[str, float]:
    """How long a request takes just now, and the worker's memory."""
    found = await latency_ms(url, 5)
    p99 = found[int(len(found) * 0.99)]
    return {"p99_ms": round(p99, 2), "max_ms": round(found[-1], 2), "resident_mb": round(resident_mb(pid), 1)}


def measure_open(idle: int = IDLE, streams: int = STREAMS) -> tuple[dict[str, Any], list[Bar]]:
    """The figures, and the bars on them."""
    found = figures_of("open.py", "--idle", str(idle), "--streams", str(streams))
    bars: list[Bar] = []
    for name, what in (("idle", f"{idle:,} idle clients"), ("streams", f"{streams:,} open streams")):
        crowd, alone = found[name], found["alone"]
        shown = f"{crowd['resident_mb']:.0f} MB, {alone['resident_mb']:.0f} MB alone"
        bars.append((f"{what}: < {MEMORY_MB} MB a worker", crowd["resident_mb"] < MEMORY_MB, shown))
        shown = (
            f"{crowd['p99_ms']:.1f} ms (longest {crowd['max_ms']:.1f}), alone {alone['p99_ms']:.1f} ms ({alone['max_ms']:.1f})"
        )
        holds = crowd["p99_ms"] <= alone["p99_ms"] + STALL_MS
        bars.append((f"{what}: no stall over {STALL_MS:g} ms (p99)", holds, shown))
    whole = found["streams"]["whole"]
    return found, [*bars, ("every stream comes whole", whole == streams, f"{whole:,} of {streams:,}")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=IDLE)
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--upstream", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.upstream:
        uvloop.run(upstream())
        return 0
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the processes below inherit it
    with tempfile.TemporaryDirectory() as folder:
        slow = subprocess.Popen(
            [sys.executable, __file__, "--upstream"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        assert slow.stdout is not None
        settings = {
            "listen": "127.0.0.1:0",
            "admin": f"unix:{folder}/admin",
            "log_level": "error",
            "upstreams": {"slow": {"kind": "openai", "url": f"http://127.0.0.1:{int(slow.stdout.readline())}/v1"}},
            "routes": [{"name": "r", "upstream": "slow", "policies": ["code", "rebuttal"]}],
        }
        (Path(folder) / "c.yaml").write_text(json.dumps(settings))
        command = [sys.executable, "-m", "proxy.cli", "serve", "--config", f"{folder}/c.yaml"]
        worker = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT)
        assert worker.stderr is not None
        try:
            port = int(worker.stderr.readline().split(b"/v1")[0].rpartition(b":")[2])
            found = uvloop.run(measure(arguments.idle, arguments.streams, port, worker.pid))
        finally:
            for process in (worker, slow):
                process.kill()
                process.wait()
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
