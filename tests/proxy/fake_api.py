"""A fake API on loopback and a whole gateway before it: what tests of the gateway's own calls are made with."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from proxy.app import App
from proxy.config import build
from proxy.records import DecisionRecord

REFUSAL = "I'm sorry, but I can't help with that."


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that has no event of its own, 5 s at most."""
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


@dataclass
class FakeApi:
    """Answers chat completions with `answers` in turn (the last again and again), and moderations and deletions as told.

    `delay_s`: before the answer to a moderation or deletion. `chunk_s`: before each word of a stream.

    `requests`: (method, path with query, headers, body) of everything that came."""

    answers: Sequence[str] = ()
    moderation: Any = None
    moderation_status: int = 200
    deletion_status: int = 200
    delay_s: float = 0.0
    chunk_s: float = 0.0
    requests: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    url: str = ""
    ids: str = "chatcmpl-{}"

    def paths(self, method: str) -> list[str]:
        return [path for own, path, _, _ in self.requests if own == method]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw else None
        self.requests.append((request.method, request.raw_path, {k.lower(): v for k, v in request.headers.items()}, body))
        if request.path.endswith("/moderations"):
            await asyncio.sleep(self.delay_s)
            headers = {"Location": "/elsewhere"} if self.moderation_status == 307 else {}
            return web.json_response(self.moderation, status=self.moderation_status, headers=headers)
        if request.method == "DELETE":
            await asyncio.sleep(self.delay_s)
            return web.json_response({"deleted": True}, status=self.deletion_status)
        number = sum(method == "POST" for method, *_ in self.requests)
        answer = self.answers[min(number, len(self.answers)) - 1]
        head = {"id": self.ids.format(number), "created": 1, "model": "m"}
        if not body.get("stream"):
            message = {"role": "assistant", "content": answer}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            return web.json_response({**head, "object": "chat.completion", "choices": choices})
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        deltas: list[tuple[dict[str, Any], str | None]] = [({"content": word}, None) for word in answer.split(" ")]
        for delta, finish in [*deltas, ({}, "stop")]:
            await asyncio.sleep(self.chunk_s)
            choice = {"index": 0, "delta": {k: f"{v} " for k, v in delta.items()}, "finish_reason": finish}
            chunk = {**head, "object": "chat.completion.chunk", "choices": [choice]}
            await stream.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        await stream.write(b"data: [DONE]\n\n")
        return stream

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeApi]:
        runner = web.ServerRunner(web.Server(self.handle), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield self
        finally:
            await runner.cleanup()


@dataclass
class Client:
    """Asks a running gateway. `records`: what it decided."""

    app: App
    records: list[DecisionRecord]
    session: aiohttp.ClientSession

    async def ask(self, prompt: Any, *, path: str = "/v1/chat/completions", **fields: Any) -> str:
        """The body of the answer."""
        host, port = self.app.address
        doc = {"model": "m", "messages": [{"role": "user", "content": prompt}], **fields}
        headers = {"Authorization": "Bearer client-key", "Cookie": "a=b", "Idempotency-Key": "k"}
        async with self.session.post(f"http://{host}:{port}{path}", json=doc, headers=headers) as response:
            return await response.text()

    def metric(self, name: str) -> list[str]:
        """The lines of a metric, without its name."""
        lines = self.app.metrics.exposition().decode().splitlines()
        return [line.removeprefix(name) for line in lines if line.startswith(f"{name}{{")]


@asynccontextmanager
async def gateway(
    *routes: dict[str, Any], upstreams: dict[str, Any], limits: dict[str, Any] | None = None
) -> AsyncIterator[Client]:
    """A whole gateway on loopback; without `name` and `upstream` a route is `r` over `main`."""
    data = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "upstreams": upstreams,
        "routes": [{"name": "r", "upstream": "main", **route} for route in routes],
        "limits": {"holdout": 0, "deadline_ms": 5000, **(limits or {})},
    }
    records: list[DecisionRecord] = []
    app = App(build(data, source="test", folder=Path()), on_record=records.append, log_to=io.BytesIO())
    await app.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(app, records, session)
    finally:
        await app.stop()
