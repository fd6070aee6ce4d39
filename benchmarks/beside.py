"""A server under test in this process on CPU 1; its upstream and its load in a child on CPU 0.

One rule: the two share nothing but two ports and one last line, so that the load costs the server's CPU nothing. The child
prints the port of its upstream, reads the port of the server, loads it, and prints what it measured.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from bare import make_app  # noqa: E402  (a script beside this one)

#: The address of a running server and how it is stopped.
Started = tuple[int, Callable[[], Awaitable[Any]]]


@asynccontextmanager
async def loaded(script: str, kind: str, *arguments: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """A server of a kind while the child `script --child KIND ...` loads it. Yields what waits for the child's last line."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, script, "--child", kind, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    upstream = f"http://127.0.0.1:{int(await child.stdout.readline())}/v1"
    os.sched_setaffinity(0, {min(1, (os.cpu_count() or 1) - 1)})
    port, stop = await (start_bare(upstream) if kind == "bare" else start_guard(upstream, kind))
    child.stdin.write(f"{port}\n".encode())
    await child.stdin.drain()
    output = child.stdout

    async def last_line() -> str:
        return (await output.readline()).decode()

    try:
        yield last_line
        if await child.wait():
            raise SystemExit(f"the load of {kind} ended with {child.returncode}")
    finally:
        await stop()


async def open_upstream(answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> str:
    """In the child: open the upstream, tell its port, and wait for the server's; the URL to ask."""
    os.sched_setaffinity(0, {0})
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    return f"http://127.0.0.1:{int(await asyncio.to_thread(sys.stdin.readline))}/v1/chat/completions"


async def start_bare(upstream: str) -> Started:
    """The bare pass-through."""
    runner = web.AppRunner(make_app(upstream), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner.addresses[0][1], runner.cleanup


async def start_guard(upstream: str, kind: str) -> Started:
    """Chunkguard with all policies of an enforcement; `prefix`: with the one that holds the beginning of an answer."""
    from core.types import MODES
    from proxy import config
    from proxy.app import App, tune_collector

    modes, enforcement = (("fiction",), "enforce") if kind == "prefix" else (MODES, kind)
    policies = [{"extends": mode, "enforcement": enforcement} for mode in modes]
    settings = config.from_upstream_url(upstream, listen="127.0.0.1:0", admin="127.0.0.1:0", policies=policies)
    with tempfile.TemporaryFile() as log:
        app = App(settings, log_to=log)
        await app.start()
    tune_collector()  # as `chunkguard serve` does
    return app.address[1], app.stop
