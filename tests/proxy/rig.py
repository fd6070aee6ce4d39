"""A whole gateway on loopback between an official client, or bare bytes, and the scripted upstream.

One rule: everything between the two sockets is the real thing.
"""

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
from blockbuster import BlockBuster
from multidict import CIMultiDict
from openai import AsyncOpenAI
from yarl import URL

from proxy import config
from proxy.app import App
from proxy.records import DecisionRecord
from proxy.upstream.base import end_to_end
from tests.proxy.fake_upstream import Answer, FakeUpstream, Headers

#: Longest wait for anything; never reached by a test that passes.
PATIENCE_S = 20.0

PEACE = "Elucidate the concept of peace."
CODE = "```python\nclass Peace:\n    def __init__(self):\n        self.harmony = True\n\nprint(Peace().harmony)\n```"
PROSE = "Peace is more than the absence of war. It is a state in which people settle their quarrels without force."
SUM = "Is 5+8=13?"
DENIAL = "No, 5 + 8 = 13 is incorrect. The correct answer is 5 + 8 = 13."
ASSENT = "Yes, 5 + 8 = 13."
WEATHER = "Which river runs through Vienna?"
DANUBE = "The Danube runs through Vienna."
PHONE = "Tell me about the iPhone 13 specs."
REFUSAL = "I cannot answer that."
SPECS = "It has a 6.1-inch display and the A15 chip."

#: Policies with one plain ladder each, and nothing added to the first request.
CODE_POLICY: dict[str, Any] = {
    "extends": "code",
    "boundary": {"inject": "on_retry"},
    "ladder": [{"action": "retry", "change": ["boundary", "neutralise"]}, {"action": "flag"}],
}
REBUTTAL_POLICY: dict[str, Any] = {"extends": "rebuttal"}
REFUSAL_POLICY: dict[str, Any] = {"extends": "refusal", "enforcement": "enforce"}


@dataclass(frozen=True)
class Raw:
    """An answer as bytes. `headers`: in order, as sent. `broken`: the body ended before its end."""

    status: int
    reason: str
    headers: Headers
    body: bytes
    broken: bool = False

    @property
    def doc(self) -> Any:
        return json.loads(self.body)

    def value(self, name: str) -> str | None:
        return next((value for own, value in self.headers if own.lower() == name.lower()), None)

    @property
    def own(self) -> dict[str, str]:
        """What the guard says of itself."""
        prefix = "x-chunkguard-"
        return {name.lower().removeprefix(prefix): value for name, value in self.headers if name.lower().startswith(prefix)}

    @property
    def message(self) -> tuple[int, Headers, bytes, bool, str]:
        """What "identical" compares: status, end-to-end headers, body."""
        return self.status, [(n.lower(), v) for n, v in end_to_end(self.headers)], self.body, self.broken, self.reason

    def without(self, *names: str) -> tuple[int, Headers, bytes, bool, str]:
        """As `message`, without some headers."""
        status, headers, *rest = self.message
        return (status, [item for item in headers if item[0] not in names], *rest)  # type: ignore[return-value]


async def fetch(
    session: aiohttp.ClientSession,
    origin: str,
    method: str,
    target: str,
    headers: Sequence[tuple[str, str]] = (),
    body: Any = None,
) -> Raw:
    """Send a request as given, follow nothing, decode nothing."""
    data: list[bytes] = []
    broken = False
    url = URL(origin + target, encoded=True)
    async with session.request(method, url, headers=CIMultiDict(headers), data=body, allow_redirects=False) as response:
        try:
            async for chunk in response.content.iter_any():
                data.append(chunk)
        except aiohttp.ClientError:
            broken = True
        got = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers]
        return Raw(response.status, response.reason or "", got, b"".join(data), broken)


@dataclass
class Rig:
    """A running gateway with what it is asked with and what it wrote."""

    app: App
    upstream: FakeUpstream
    session: aiohttp.ClientSession
    records: list[DecisionRecord]
    log: io.BytesIO
    spares: list[FakeUpstream] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://{self.app.address[0]}:{self.app.address[1]}"

    @property
    def admin(self) -> str:
        host, port = self.app.admin_address
        return f"http://{host}:{port}"

    def client(self, prefix: str = "", **fields: Any) -> AsyncOpenAI:
        """The official client; close it with `async with`."""
        return AsyncOpenAI(base_url=f"{self.origin}{prefix}/v1", max_retries=0, **{"api_key": "sk-client", **fields})

    async def fetch(self, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: Any = None) -> Raw:
        return await asyncio.wait_for(fetch(self.session, self.origin, method, target, headers, body), PATIENCE_S)

    async def direct(self, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: Any = None) -> Raw:
        """The same, past the gateway."""
        origin = f"http://127.0.0.1:{self.upstream.port}"
        return await asyncio.wait_for(fetch(self.session, origin, method, target, headers, body), PATIENCE_S)

    async def chat(self, prompt: Any, *, prefix: str = "", headers: Sequence[tuple[str, str]] = (), **fields: Any) -> Raw:
        """One prompt, the answer as bytes."""
        doc = {"model": "m", "messages": [{"role": "user", "content": prompt}], **fields}
        sent = [("Content-Type", "application/json"), *headers]
        return await self.fetch("POST", f"{prefix}/v1/chat/completions", sent, json.dumps(doc).encode())

    async def ask_admin(self, method: str, target: str, headers: Sequence[tuple[str, str]] = ()) -> Raw:
        return await fetch(self.session, self.admin, method, target, headers)

    async def recorded(self, count: int = 1) -> DecisionRecord:
        """The latest record, once there are `count`."""
        await until(lambda: len(self.records) >= count)
        assert len(self.records) == count
        return self.records[-1]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over the series that have these labels."""
        total = 0.0
        for line in self.app.metrics.exposition().decode().splitlines():
            if line.split("{")[0].split(" ")[0] == name and all(f'{key}="{value}"' in line for key, value in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
        return total


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that has no event of its own."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


def settings_of(serving: FakeUpstream, /, *routes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A configuration; a route without `name` is `r`, one without `upstream` uses `main`."""
    own = {"kind": "openai", "url": serving.url, **fields.pop("main", {})}
    upstreams = {"main": own, **fields.pop("upstreams", {})}
    limits = {"holdout": 0, "deadline_ms": 10_000, **fields.pop("limits", {})}
    named = [{"name": "r", "upstream": "main", **route} for route in routes or ({},)]
    return {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "upstreams": upstreams,
        "routes": named,
        "limits": limits,
        **fields,
    }


def write_config(file: Path, data: dict[str, Any]) -> Path:
    """JSON is YAML."""
    file.write_text(json.dumps(data), encoding="utf-8")
    return file


@asynccontextmanager
async def rig(
    *routes: dict[str, Any],
    answers: Sequence[Answer] = (),
    spares: Sequence[Sequence[Answer]] = (),
    file: Path | None = None,
    blocking: bool = True,
    **fields: Any,
) -> AsyncIterator[Rig]:
    """A gateway over a scripted upstream. `spares`: the answers of other upstreams, configured as `spare0`, ... with a key of
    their own. `file`: where the configuration is written and watched. `blocking`: a blocked event loop fails the test. Other
    fields are the configuration's."""
    upstream = FakeUpstream(answers)
    others = [FakeUpstream(given) for given in spares]
    records: list[DecisionRecord] = []
    log = io.BytesIO()
    async with upstream.serving():
        contexts = [other.serving() for other in others]
        for context in contexts:
            await context.__aenter__()
        for number, other in enumerate(others):
            own = {"kind": "openai", "url": other.url, "api_key": f"sk-spare{number}"}
            fields.setdefault("upstreams", {}).setdefault(f"spare{number}", own)
        data = settings_of(upstream, *routes, **fields)
        if file is not None:
            built = config.load(write_config(file, data))
        else:
            built = config.build(data, source="test", folder=Path(), env={})
        app = App(built, file=file, on_record=records.append, log_to=log)
        await app.start()
        watch = BlockBuster(scanned_modules=["proxy", "core", "detectors", "policies"])
        if blocking:
            watch.activate()
        skipped = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
        try:
            async with aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=skipped) as session:
                yield Rig(app, upstream, session, records, log, others)
        finally:
            if blocking:
                watch.deactivate()
            await app.stop()
            for context in contexts:
                await context.__aexit__(None, None, None)


async def texts_of(stream: Any) -> str:
    """What an official client reads from a stream."""
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
