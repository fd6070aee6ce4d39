"""The stage of a fault campaign: the misbehaving upstream and the gateway, each a process, and what the gateway says of itself.

One rule: the gateway is observed from outside - its port, metrics, log and process - and changed only as the world changes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import aiohttp

from core.types import MODES
from tests.chaos.client import Tally
from tests.proxy.rig import CODE_POLICY

ROOT = Path(__file__).resolve().parents[2]
ROUTES = ("pass", "observe", "shipped", "all", "prefix", "window")

#: Timeouts that even a machine with far too much to do never reaches, and those of the upstream that is asked to be too slow.
PATIENT = {"connect_s": 60, "first_token_s": 60, "total_s": 60}
HASTY = {"connect_s": 60, "first_token_s": 2, "total_s": 3}


class Inside(TypedDict):
    """See `tests.chaos.worker.probe`."""

    files: int
    tasks: int
    rss_kb: int
    blocks: int
    lost: int
    revision: str
    under_way: int


def routes(upstream: str, suffix: str = "") -> list[dict[str, Any]]:
    """One route a way of guarding."""
    whole = {"default": "all", "on_trigger": "all"}
    policies: dict[str, list[Any]] = {
        "pass": [],
        "observe": [{"extends": mode, "enforcement": "observe"} for mode in MODES],
        "shipped": [CODE_POLICY, *(mode for mode in MODES if mode != "code")],
        "all": [{**CODE_POLICY, "hold": whole}, {"extends": "rebuttal", "hold": whole}],
        "prefix": [{"extends": "rebuttal", "hold": {"default": {"kind": "prefix", "chars": 40}}}],
        "window": [{"extends": "rebuttal", "hold": {"default": {"kind": "window", "chars": 40}}}],
        "closed": [{**CODE_POLICY, "hold": whole, "failure_mode": "fail_closed"}],
    }
    return [
        {"name": f"{name}{suffix}", "match": {"path_prefix": f"/{name}{suffix}"}, "upstream": upstream, "policies": given}
        for name, given in policies.items()
    ]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _spawn(module: list[str], stdout: str | None = None, stderr: Path | None = None) -> subprocess.Popen[bytes]:
    """A module of ours as a process. Its output and errors are appended to files; without them it has pipes."""
    with contextlib.ExitStack() as files:
        out = files.enter_context(open(stdout, "ab")) if stdout is not None else subprocess.PIPE
        err = files.enter_context(stderr.open("ab")) if stderr is not None else None
        command = [sys.executable, "-m", *module]
        stdin = subprocess.PIPE if stdout is None else subprocess.DEVNULL
        return subprocess.Popen(command, stdin=stdin, stdout=out, stderr=err, cwd=ROOT)


@dataclass
class Stage:
    """A running stage. `base`: what the metrics counted before the current count began."""

    folder: Path
    document: dict[str, Any]
    port: int = field(default_factory=free_port)
    admin_port: int = field(default_factory=free_port)
    upstream: subprocess.Popen[bytes] | None = None
    worker: subprocess.Popen[bytes] | None = None
    base: Counter[str] = field(default_factory=Counter)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        return self.folder / "chunkguard.yaml"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    def write(self, text: str | None = None) -> None:
        """Write the configuration, or another text in its place."""
        self.config.write_text(json.dumps(self.document) if text is None else text, encoding="utf-8")

    async def start_upstream(self) -> None:
        self.upstream = await asyncio.to_thread(_spawn, ["tests.chaos.upstream"])
        assert self.upstream.stdout is not None
        url = f"http://127.0.0.1:{int(await asyncio.to_thread(self.upstream.stdout.readline))}/v1"
        self.document |= {
            "listen": f"127.0.0.1:{self.port}",
            "admin": f"127.0.0.1:{self.admin_port}",
            "upstreams": {
                "main": {"kind": "openai", "url": url, "timeouts": PATIENT, "pool_idle_s": 1},
                "hasty": {"kind": "openai", "url": url, "timeouts": HASTY, "pool_idle_s": 1},
                "dead": {"kind": "openai", "url": f"http://127.0.0.1:{free_port()}/v1"},
            },
            "routes": [*routes("main"), *routes("hasty", "-hasty"), *routes("dead", "-dead")],
        }

    async def start_worker(self, stdout: str | None = None, *, workers: int = 1) -> None:
        """Start the gateway and wait until it is ready. `stdout`: where its log goes, else to `log`. Several workers are those
        of the command itself, and have no side door."""
        door = self.folder / "door"
        door.unlink(missing_ok=True)
        command = ["tests.chaos.worker", str(self.config), str(door)]
        if workers > 1:
            command = ["proxy.cli", "serve", "--config", str(self.config), "--workers", str(workers)]
        self.worker = await asyncio.to_thread(_spawn, command, stdout or str(self.log), self.folder / "errors")
        await self.until_ready(workers=workers)
        self.base = Counter()
        self.forget_log()

    async def until_ready(self, *, workers: int = 1) -> None:
        """Wait until so many workers are ready."""
        assert self.worker is not None
        async with asyncio.timeout(150):
            while True:
                assert self.worker.poll() is None, (self.folder / "errors").read_text()[-3000:]
                with contextlib.suppress(aiohttp.ClientError):
                    status, text = await self.admin("GET", "/-/ready")
                    states = json.loads(text).get("workers", [{"ready": status == 200}])
                    if sum(state["ready"] for state in states) == workers:
                        return
                await asyncio.sleep(0.05)

    async def a_worker(self) -> int:
        """The process of one worker of several."""
        assert self.worker is not None
        children = Path(f"/proc/{self.worker.pid}/task/{self.worker.pid}/children")
        return int((await asyncio.to_thread(children.read_text)).split()[0])

    def kill(self, number: int) -> None:
        assert self.worker is not None
        os.kill(self.worker.pid, number)

    async def stop_worker(self, number: int = signal.SIGTERM) -> int:
        """Its exit status."""
        assert self.worker is not None
        self.kill(number)
        return await asyncio.to_thread(self.worker.wait, 60)

    async def ask(self, **command: Any) -> Inside:
        """Look inside, after changing the world as commanded."""
        reader, writer = await asyncio.open_unix_connection(str(self.folder / "door"))
        writer.write(json.dumps(command).encode() + b"\n")
        answer: Inside = json.loads(await reader.readline())
        writer.close()
        await writer.wait_closed()
        return answer

    async def admin(self, method: str, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as client,
            client.request(method, f"http://127.0.0.1:{self.admin_port}{path}") as reply,
        ):
            return reply.status, await reply.text()

    async def counted(self) -> Counter[str]:
        """Requests by class of status, as the metrics count them, since `base`."""
        _, text = await self.admin("GET", "/metrics")
        found: Counter[str] = Counter()
        for line in text.splitlines():
            if line.startswith("chunkguard_requests_total{"):
                found[line.partition('status="')[2].partition('"')[0]] += int(float(line.rsplit(" ", 1)[1]))
        return found - self.base

    async def metric(self, name: str) -> float:
        """The sum of a metric over all its series."""
        _, text = await self.admin("GET", "/metrics")
        lines = [line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    async def result(self, word: str) -> float:
        """Requests of limited keys that ended so."""
        _, text = await self.admin("GET", "/metrics")
        lines = [line for line in text.splitlines() if line.startswith("chunkguard_key_requests_total{")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if f'result="{word}"' in line)

    async def sums(self, tally: Tally, *, errors: bool = False, log: bool = True) -> list[str]:
        """Complaints where counters and log do not add up to what clients sent and saw. Begins a new count
        and a new log.

        `errors`: the log may hold errors; `log`: is looked at."""
        seen = tally.classes()
        counted = Counter[str]()
        for _ in range(200):
            counted = await self.counted()
            if counted == seen:
                break
            await asyncio.sleep(0.05)
        complaints = [] if counted == seen else [f"counted {dict(counted)}, clients saw {dict(seen)}"]
        self.base += counted
        complaints += self._log_complaints(tally, errors) if log else []
        self.forget_log()
        return complaints

    def forget_log(self) -> None:
        """Empty the log."""
        if self.log.exists():
            os.truncate(self.log, 0)

    def _log_complaints(self, tally: Tally, may_hold_errors: bool) -> list[str]:
        lines = [json.loads(line) for line in self.log.read_bytes().splitlines()]
        logged = {line["decision_id"]: line["status"] for line in lines if line["event"] == "decision"}
        assert len(logged) == sum(line["event"] == "decision" for line in lines)
        wrong = {one: (logged.get(one), seen) for one, seen in tally.decisions.items() if logged.get(one) != seen}
        errors = [] if may_hold_errors else [line for line in lines if line["level"] == "error"]
        complaints = [f"{len(wrong)} decisions are logged with another status or not at all: {dict(list(wrong.items())[:3])}"]
        return complaints * bool(wrong) + [f"{len(errors)} errors in the log: {errors[:2]}"] * bool(errors)


@asynccontextmanager
async def staged(*, stdout: str | None = None, start: bool = True, **settings: Any) -> AsyncIterator[Stage]:
    """A stage with its processes. `settings`: of the configuration."""
    limits = {"holdout": 0, "retry_share": 1.0, "deadline_ms": 20_000, "observer_queue": 100_000, **settings.pop("limits", {})}
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), {"limits": limits, **settings})
        try:
            await stage.start_upstream()
            stage.write()
            if start:
                await stage.start_worker(stdout)
            yield stage
        finally:
            for process in (stage.worker, stage.upstream):
                if process is not None and process.poll() is None:
                    process.kill()
                    process.wait(10)
                for pipe in (process.stdin, process.stdout) if process is not None else ():
                    if pipe is not None:
                        pipe.close()
