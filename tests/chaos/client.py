"""Clients under load: requests that each carry a nonce, what came back, and whether that is one of the ends it may have.

One rule: nothing is taken on trust. An answer counts only if it is byte for byte one that this very request may get; anything
else is a complaint that says what was sent and what came.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from tests.chaos.faults import EVERY, FAULTS, NONCE, End
from tests.proxy.rig import PEACE, WEATHER

#: Status of each error code of the gateway that a fault of the upstream may lead to.
STATUS = {
    "upstream_unavailable": 502,
    "upstream_protocol_error": 502,
    "upstream_timeout": 504,
    "guard_unavailable": 503,
    "limits_unavailable": 503,
}
#: Routes that send the upstream's answer as it comes; all others judge it first.
RELAYED = ("pass", "observe")
#: Longest wait for one answer, far beyond every timeout of the gateway.
PATIENCE_S = 120.0


def make_nonce() -> str:
    """What tells one request from all others."""
    return f"nonce-{secrets.token_hex(6)}"


@dataclass(frozen=True)
class Ask:
    """One request. `faults`: what the upstream does with each attempt, the last again and again. `padding`: characters that
    make the prompt longer. `ends`: in place of those of the fault table. `key`: the client's."""

    route: str
    api: str
    stream: bool
    faults: tuple[str, ...] = ("ok",)
    padding: int = 0
    ends: frozenset[str] | None = None
    key: str = ""
    nonce: str = field(default_factory=make_nonce)

    @property
    def prompt(self) -> str:
        asked = PEACE if "misrouted" in self.faults else WEATHER
        return f"{asked} (Ref {self.nonce}.)" + " Tell it simply." * (self.padding // 16)

    def body(self, number: int) -> bytes:
        """What the upstream's answer to an attempt is, as a client without a gateway would read it."""
        return FAULTS[self.faults[number]].script(EVERY[self.api], self.stream, self.nonce).body

    def allowed(self) -> frozenset[str]:
        if self.ends is not None:
            return self.ends
        own = FAULTS[self.faults[0]]
        if self.route.partition("-")[0] in RELAYED:
            return frozenset(own.relayed)
        if len(self.faults) > 1 and self.faults[0] == "misrouted":
            return frozenset({"retried"} if self.faults[1] == "ok" else {"first"})
        return frozenset(own.held)

    def __str__(self) -> str:
        return f"{self.route} {self.api}{' stream' if self.stream else ''} {'+'.join(self.faults)}"


@dataclass
class Got:
    """What came back. `status` 0: not even a head. `broken`: the connection ended within the body. `refused`: none was had."""

    status: int = 0
    body: bytes = b""
    broken: bool = False
    refused: bool = False
    decision: str = ""
    retry_after: str | None = None

    @property
    def code(self) -> str:
        try:
            return str(json.loads(self.body)["error"]["code"])
        except (ValueError, KeyError, TypeError):
            return ""


def end_of(ask: Ask, got: Got, end: End | str) -> bool:
    """Whether a request ended in this way."""
    script = FAULTS[ask.faults[0]].script(EVERY[ask.api], ask.stream, ask.nonce)
    match end:
        case "same" | "first":
            return not got.broken and got.status == script.status and got.body == script.body
        case "retried":
            return not got.broken and got.status == 200 and got.body == ask.body(1)
        case "cut":
            part = len(got.body) < len(script.body) and script.body.startswith(got.body)
            return got.broken and got.status == script.status and part
        case "nothing":
            return got.status == 0 and not got.body
        case "interrupted":
            return got.broken and not got.refused and script.body.startswith(got.body)
        case "lost":
            return got.broken and script.body.startswith(got.body)
        case _:
            return not got.broken and got.status == STATUS[end] and got.code == end


def judged(ask: Ask, got: Got) -> tuple[str, str]:
    """(end, complaint): one of them is empty."""
    strange = {found.decode() for found in NONCE.findall(got.body)} - {ask.nonce}
    if strange:
        return "", f"{ask}: an answer of somebody else: {sorted(strange)}"
    for end in sorted(ask.allowed()):
        if end_of(ask, got, end):
            return end, ""
    what = f"status {got.status}{' broken' if got.broken else ''}, {len(got.body)} bytes {got.body[:120]!r}"
    return "", f"{ask}: {what}; may be {sorted(ask.allowed())}"


@dataclass
class Tally:
    """What became of many requests. `decisions`: decision id -> the status that the client saw."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    decisions: dict[str, int] = field(default_factory=dict)
    slowest_s: float = 0.0

    def add(self, ask: Ask, got: Got, seconds: float) -> None:
        end, complaint = judged(ask, got)
        self.sent += 1
        self.statuses[got.status] += 1
        if end:
            self.ends[f"{'+'.join(ask.faults)}: {end}"] += 1
        else:
            self.complaints.append(complaint)
        if got.decision:
            if got.decision in self.decisions:
                self.complaints.append(f"{ask}: decision {got.decision} was given twice")
            self.decisions[got.decision] = got.status
        self.slowest_s = max(self.slowest_s, seconds)

    def classes(self) -> Counter[str]:
        """Answers by class of status, as the metrics name them."""
        found: Counter[str] = Counter()
        for status, count in self.statuses.items():
            found[f"{status // 100}xx" if status else "none"] += count
        return found

    def merge(self, other: Tally) -> None:
        self.sent += other.sent
        self.statuses += other.statuses
        self.ends += other.ends
        self.complaints += other.complaints
        self.decisions.update(other.decisions)
        self.slowest_s = max(self.slowest_s, other.slowest_s)


def session(limit: int = 0) -> aiohttp.ClientSession:
    """A client session that follows, decodes and adds nothing. `limit`: connections at once, 0 = any."""
    return aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=limit))


async def send(client: aiohttp.ClientSession, origin: str, ask: Ask) -> Got:
    """Send one request and read whatever comes."""
    api = EVERY[ask.api]
    got = Got()
    fields = {"stream": True} if ask.stream else {}
    headers = {"Content-Type": "application/json", "x-chaos": f"{ask.nonce} {','.join(ask.faults)}"}
    headers |= {"Authorization": f"Bearer {ask.key}"} if ask.key else {}
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            url = URL(f"{origin}/{ask.route}{api.path}", encoded=True)
            body = api.body(ask.prompt, **fields)
            async with client.post(url, data=body, headers=headers, allow_redirects=False) as response:
                got.status = response.status
                got.decision = response.headers.get("x-chunkguard-decision-id", "")
                got.retry_after = response.headers.get("Retry-After")
                async for data in response.content.iter_any():
                    parts.append(data)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        got.broken = True
        got.refused = isinstance(error, aiohttp.ClientConnectorError)
    got.body = b"".join(parts)
    return got


async def storm(origin: str, asks: Iterable[Ask], *, at_once: int = 64, client: aiohttp.ClientSession | None = None) -> Tally:
    """Send many requests, some at once; all are waited for."""
    tally = Tally()
    left = iter(asks)
    own = client or session()

    async def one() -> None:
        loop = asyncio.get_running_loop()
        for ask in left:
            began = loop.time()
            tally.add(ask, await send(own, origin, ask), loop.time() - began)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(one())
    finally:
        if client is None:
            await own.close()
    return tally


def every_kind(faults: Iterable[str], routes: Sequence[str], *, times: int = 1, seed: int = 1) -> list[Ask]:
    """Each fault on each route and API, plain and streamed, in random order."""
    asks = [
        Ask(route, api, stream, (fault,))
        for _ in range(times)
        for fault in faults
        for route in routes
        for api in EVERY
        for stream in (False, True)
    ]
    random.Random(seed).shuffle(asks)
    return asks


def mixed(count: int, faults: Sequence[str], routes: Sequence[str], *, seed: int, share: float = 0.3) -> Iterator[Ask]:
    """Random requests; a share of them meets a fault."""
    chance = random.Random(seed)
    apis = list(EVERY)
    for _ in range(count):
        fault = chance.choice(faults) if chance.random() < share else "ok"
        yield Ask(chance.choice(routes), chance.choice(apis), chance.random() < 0.5, (fault,))
