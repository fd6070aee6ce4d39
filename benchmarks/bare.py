"""The bare aiohttp + uvloop pass-through: the floor for a Python gateway, and what all ratios are against.

    python benchmarks/bare.py --port 9300 --upstream http://127.0.0.1:9100/v1 [--workers 2]

Parses the request body, forwards it over a pooled session, sends the reply back. Nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal

import aiohttp
import orjson
import uvloop
from aiohttp import web


def make_app(upstream: str) -> web.Application:
    """The pass-through to an OpenAI-compatible base URL."""
    url = f"{upstream}/chat/completions"

    async def session(app: web.Application):  # type: ignore[no-untyped-def]
        app["session"] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )
        yield
        await app["session"].close()

    async def chat(request: web.Request) -> web.StreamResponse:
        document = orjson.loads(await request.read())
        headers = {"Content-Type": "application/json", "Authorization": request.headers.get("Authorization", "")}
        async with request.app["session"].post(url, data=orjson.dumps(document), headers=headers) as reply:
            if not document.get("stream"):
                return web.Response(status=reply.status, body=await reply.read(), content_type="application/json")
            response = web.StreamResponse(status=reply.status, headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            async for chunk in reply.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    app = web.Application(client_max_size=10 << 20)
    app.cleanup_ctx.append(session)
    app.router.add_post("/v1/chat/completions", chat)
    return app


async def _main(port: int, upstream: str, shared: bool) -> None:
    runner = web.AppRunner(make_app(upstream), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024, reuse_port=shared or None).start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--workers", type=int, default=1, help="processes that share the port")
    arguments = parser.parse_args()
    others = []
    for _ in range(arguments.workers - 1):
        if not (other := os.fork()):
            others = []
            break
        others.append(other)
    uvloop.run(_main(arguments.port, arguments.upstream, arguments.workers > 1))
    for other in others:
        os.kill(other, signal.SIGTERM)
        os.waitpid(other, 0)
