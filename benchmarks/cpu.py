"""CPU microseconds a request of one worker: bare, untouched, observing, enforcing; and of single steps of a request.

    python benchmarks/cpu.py [--kinds bare,observe] [--rounds 5] [--requests 1800] [--free] [--profile FOLDER]
    python benchmarks/cpu.py --stages

Each server runs in a process of its own and is asked for its `time.process_time` before and after a round; upstream and load
run in the parent, as bare protocols. One rule: CPU, not time passed, so that other work on the machine disturbs it little;
still only ratios within one run say anything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import uvloop

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from beside import start_bare  # noqa: E402  (a script beside this one)
from corpus import exchanges  # noqa: E402

KINDS = ("bare", "untouched", "observe", "enforce")
CONNECTIONS = 16
#: Bodies of requests and of their replies.
Pairs = list[tuple[dict[str, Any], dict[str, Any]]]


class Upstream(asyncio.Protocol):
    """Answers each request with the reply that its Authorization header numbers."""

    def __init__(self, replies: list[bytes]) -> None:
        self._replies = replies
        self._held = b""

    def connection_made(self, transport) -> None:  # type: ignore[no-untyped-def,override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, mark, body = self._held.partition(b"\r\n\r\n")
        lowered = head.lower()
        if not mark or len(body) < int(lowered.partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return
        self._held = b""
        number = int(lowered.partition(b"bearer sk-bench-")[2].split(b"\r\n", 1)[0])
        self._transport.write(self._replies[number])


class Client(asyncio.Protocol):
    """One connection of the load: sends the next request as soon as an answer is whole."""

    def __init__(self, take: Callable[[], bytes | None], done: asyncio.Future[None]) -> None:
        self._take = take
        self._done = done
        self._held = b""

    def connection_made(self, transport) -> None:  # type: ignore[no-untyped-def,override]
        self._transport = transport
        self._next()

    def _next(self) -> None:
        request = self._take()
        if request is None:
            self._transport.close()
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, mark, body = self._held.partition(b"\r\n\r\n")
        if not mark or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return
        self._held = b""
        if not head.startswith(b"HTTP/1.1 200"):
            self._done.set_exception(SystemExit(f"not 200: {head!r} {body!r}"))
            return
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


async def load(port: int, requests: list[bytes], count: int) -> None:
    """Send `count` requests over CONNECTIONS connections."""
    sent = 0

    def take() -> bytes | None:
        nonlocal sent
        sent += 1
        return requests[sent % len(requests)] if sent <= count else None

    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(CONNECTIONS)]
    for future in futures:
        await loop.create_connection(lambda future=future: Client(take, future), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*futures)


class Server:
    """A server in a process of its own."""

    def __init__(self, kind: str, upstream: str, extra: list[str]) -> None:
        command = [sys.executable, __file__, "--serve", kind, "--upstream", upstream, *extra]
        self.kind = kind
        self.costs: list[float] = []
        self._watch: subprocess.Popen[bytes] | None = None
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self._read())

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode()

    async def cpu(self) -> float:
        """Seconds of CPU so far."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return float(await asyncio.to_thread(self._read))

    def profile(self, folder: Path) -> None:
        """Let py-spy watch until the server stops: threads that hold the interpreter, so that waiting counts for nothing."""
        file = folder / f"{self.kind}.txt"
        command = [str(Path(sys.executable).with_name("py-spy")), "record", "--gil", "--function", "-f", "raw", "-r", "199"]
        self._watch = subprocess.Popen(
            [*command, "-o", str(file), "-p", str(self._process.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def stop(self) -> None:
        if self._watch is not None:
            self._watch.send_signal(signal.SIGINT)
            self._watch.wait(60)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def framed(pairs: Pairs) -> tuple[list[bytes], list[bytes]]:
    """Whole HTTP requests and replies of some exchanges; each request numbers its reply."""
    bodies = [json.dumps(request, ensure_ascii=False).encode() for request, _ in pairs]
    requests = [
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer sk-bench-%d\r\nContent-Length: %d\r\n\r\n%s" % (number, len(body), body)
        for number, body in enumerate(bodies)
    ]
    answers = [json.dumps(reply, ensure_ascii=False).encode() for _, reply in pairs]
    replies = [
        b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: application/json\r\n"
        b"Connection: keep-alive\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer)
        for answer in answers
    ]
    return requests, replies


@asynccontextmanager
async def running(kinds: list[str], replies: list[bytes], extra: list[str]) -> AsyncIterator[list[Server]]:
    """Servers of these kinds before an upstream with these replies."""
    upstream = await asyncio.get_running_loop().create_server(lambda: Upstream(replies), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}/v1"
    servers = [await asyncio.to_thread(Server, kind, url, extra) for kind in kinds]
    try:
        yield servers
    finally:
        for server in servers:
            await asyncio.to_thread(server.stop)
        upstream.close()


async def cost_of(server: Server, requests: list[bytes], count: int) -> float:
    """Microseconds of CPU of one request."""
    before = await server.cpu()
    await load(server.port, requests, count)
    await asyncio.sleep(0.05)  # what observing still has in its queue
    return (await server.cpu() - before) / count * 1e6


async def measure(
    kinds: list[str], rounds: int, count: int, extra: list[str], profile: Path | None = None
) -> dict[str, list[float]]:
    """Microseconds a request, one figure a round. `profile`: a folder for profiles."""
    requests, replies = framed(exchanges())
    async with running(kinds, replies, extra) as servers:
        for server in servers:
            await load(server.port, requests, 1200)
            if profile is not None:
                server.profile(profile)
        for _ in range(rounds):
            for server in random.sample(servers, len(servers)):
                server.costs.append(await cost_of(server, requests, count))
    return {server.kind: server.costs for server in servers}


async def serve(kind: str, upstream: str, free: bool) -> None:
    """The child: prints its port, then its CPU seconds for every line it reads; ends with its input."""
    os.sched_setaffinity(0, {min(1, (os.cpu_count() or 1) - 1)})
    port, stop = await (start_bare(upstream) if kind == "bare" else start_proxy(upstream, kind, free))
    print(port, flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(time.process_time(), flush=True)
    await stop()


async def start_proxy(upstream: str, kind: str, free: bool):  # type: ignore[no-untyped-def]
    from core.types import MODES, Scores
    from detectors.suite import Suite
    from proxy import config
    from proxy.app import App, tune_collector

    policies = [] if kind == "untouched" else [{"extends": mode, "enforcement": kind} for mode in MODES]
    document = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "log_level": "error",
        "upstreams": {"bench": {"kind": "openai", "url": upstream}},
        "routes": [{"name": "bench", "upstream": "bench", "policies": policies}],
        "limits": {"holdout": 0},
    }
    if free:
        Suite.score_prompt = lambda self, conversation: Scores()  # type: ignore[method-assign]
        nothing = Scores(dict.fromkeys(MODES, 0.0), scanned=1)
        Suite.score_reply = Suite.score_quickly = lambda self, *_, **__: nothing  # type: ignore[method-assign]
    app = App(config.build(document, source="benchmark", folder=Path(), env={}))
    await app.start()
    tune_collector()
    return app.address[1], app.stop


def stages() -> dict[str, float]:
    """Microseconds of each step of a guarded plain request, outside the server, over the whole corpus: medians of rounds.

    Caches are warmer here than in the server, so the steps add up to less than a request costs."""
    from detectors.suite import Suite
    from policies.loader import load_library
    from policies.plan import compile_route
    from proxy.metrics import Metrics

    policies = [policy.model_copy(update={"enforcement": "enforce"}) for policy in load_library().values()]
    compiled = compile_route(policies)
    suite = Suite(needs=compiled.needs, triggers=compiled.triggers)
    suite.warm()
    metrics = Metrics()
    pairs = [(orjson.dumps(request), orjson.dumps(reply)) for request, reply in exchanges()]
    spent: dict[str, list[float]] = {}
    for _ in range(9):
        round_of_stages(compiled, suite, metrics, pairs, spent)
    return {name: statistics.median(found[1:]) / len(pairs) * 1e6 for name, found in spent.items()}


def round_of_stages(compiled, suite, metrics, pairs, spent: dict[str, list[float]]) -> None:  # type: ignore[no-untyped-def]
    """Each step over all pairs, its CPU seconds added to `spent`."""
    from core.attempt import Attempt
    from core.exchange import Exchange
    from core.messages import Finish, PromptScored, ResponseScored, UpstreamChunk, UpstreamEnded, UpstreamStarted
    from core.types import Change, HoldKind
    from proxy.records import from_outcome
    from proxy.wire.chat_reply import ReplyDecoder
    from proxy.wire.chat_request import parse_request

    def step(name: str, work: Callable[..., object], *columns: list) -> list:
        began = time.process_time()
        done = [work(*row) for row in zip(*columns, strict=True)]
        spent.setdefault(name, []).append(time.process_time() - began)
        return done

    def read(body: bytes) -> object:
        decoder = ReplyDecoder(False)
        attempt = Attempt(1, Change())
        pieces = decoder.feed(body) + decoder.flush()
        attempt.feed(pieces[0])
        return pieces, attempt.replies()[0]

    def drive(plan, said, scores):  # type: ignore[no-untyped-def]
        exchange = Exchange()
        exchange.receive(PromptScored(plan), 0.0)
        exchange.receive(UpstreamStarted(1, 200), 0.0)
        if plan.hold.kind is not HoldKind.NONE:
            exchange.receive(UpstreamChunk(1, said[0]), 0.0)
        commands = exchange.receive(UpstreamEnded(1), 0.0)
        if plan.hold.kind is not HoldKind.NONE:
            commands = exchange.receive(ResponseScored(commands[0].ticket, (scores,)), 0.0)
        return commands[-1]

    def kept(outcome):  # type: ignore[no-untyped-def]
        return from_outcome(
            outcome, decision_id="x", time=0.0, route="r", endpoint="chat_completions", streamed=False, status=200
        )

    bodies, answers = [body for body, _ in pairs], [answer for _, answer in pairs]
    asked = [parsed.conversation for parsed in step("parse request", parse_request, bodies)]
    prompts = step("score prompt", suite.score_prompt, asked)
    plans = step("plan", lambda one, prompt: compiled.make_plan(one, prompt, stream=False), asked, prompts)
    said = step("read reply", read, answers)
    scores = step("score reply", lambda one, prompt, read: suite.score_reply(one, prompt, read[1]), asked, prompts, said)
    ends = step("exchange and judge", drive, plans, said, scores)
    records = step("record", kept, [end.outcome for end in ends if isinstance(end, Finish)])
    step("metrics", metrics.observe, records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=1800)
    parser.add_argument("--stages", action="store_true", help="the single steps instead")
    parser.add_argument(
        "--profile",
        default="",
        help="write what py-spy sees of the servers into this folder: stacks by function with their counts",
    )
    parser.add_argument("--free", action="store_true", help="detectors that cost nothing, to see all the rest")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--upstream", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        uvloop.run(serve(arguments.serve, arguments.upstream, arguments.free))
        return
    if arguments.stages:
        for name, cost in stages().items():
            print(f"{name:<28}{cost:>8.1f} us")
        return
    extra = ["--free"] if arguments.free else []
    profile = Path(arguments.profile) if arguments.profile else None
    costs = uvloop.run(measure(arguments.kinds.split(","), arguments.rounds, arguments.requests, extra, profile))
    bare = statistics.median(costs["bare"]) if "bare" in costs else 0.0
    for kind, found in costs.items():
        middle = statistics.median(found)
        print(f"{kind:<12}{middle:>8.1f} us  {bare / middle:>7.1%} of bare   {min(found):.0f}-{max(found):.0f}")


if __name__ == "__main__":
    main()
