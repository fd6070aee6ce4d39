"""Several workers behind one listener: counted together, started again, reloaded and stopped as one."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy import workers
from proxy.worker import Source
from proxy.workers import Supervisor, WorkerLost
from tests.proxy.rig import fetch

pytestmark = pytest.mark.timeout(400)

PATIENCE_S = 150.0


def settings(folder: Path, **fields: Any) -> Path:
    (folder / "exchanges.jsonl").write_text('{"reply": "Blue."}\n', encoding="utf-8")
    data = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "upstreams": {"recorded": {"kind": "replay", "file": "exchanges.jsonl"}},
        "routes": [{"name": "r", "upstream": "recorded", "policies": ["code"]}],
        "limits": {"holdout": 0},
        "drain_delay_s": 1.0,
        **fields,
    }
    file = folder / "gate.yaml"
    file.write_text(json.dumps(data), encoding="utf-8")
    return file


class Gate:
    """A supervisor with two workers, and what a client sees of it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor

    async def ask(self, times: int = 1) -> None:
        """Requests, each on a connection of its own, so that the kernel spreads them."""
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Name a colour."}]}).encode()
        host, port = self.supervisor.address
        for _ in range(times):
            async with aiohttp.ClientSession() as session:
                origin, sent = f"http://{host}:{port}", [("Content-Type", "application/json")]
                answer = await fetch(session, origin, "POST", "/v1/chat/completions", sent, body)
                assert answer.status == 200

    async def admin(self, method: str, path: str) -> tuple[int, bytes]:
        host, port = self.supervisor.admin_address
        async with aiohttp.ClientSession() as session:
            answer = await fetch(session, f"http://{host}:{port}", method, path)
            return answer.status, answer.body

    async def metrics(self) -> str:
        return (await self.admin("GET", "/metrics"))[1].decode()

    async def counted(self) -> float:
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in (await self.metrics()).splitlines()
            if line.startswith("chunkguard_requests_total{")
        )

    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self.supervisor._workers if worker.process is not None]

    async def until_reborn(self, before: list[int]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                _, body = await self.admin("GET", "/-/ready")
                if set(self.pids()).isdisjoint(before) and all(one["ready"] for one in json.loads(body)["workers"]):
                    return
                await asyncio.sleep(0.05)


@asynccontextmanager
async def gate(file: Path) -> AsyncIterator[Gate]:
    source = Source(file=str(file))
    supervisor = Supervisor(source.load(), source, 2, io.BytesIO())
    await supervisor.start()
    try:
        yield Gate(supervisor)
    finally:
        await supervisor.stop()


async def test_workers_are_one_to_those_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One story, because each start of a worker costs seconds: counted together, killed, stood in for, ended, reloaded."""
    file = settings(tmp_path)
    async with gate(file) as made:
        await counted_together(made)
        await stood_in_for(made, monkeypatch)
        await ended_in_order(made)
        await reloaded(made, file)
        await retired(made)


async def counted_together(made: Gate) -> None:
    await made.ask(20)
    assert await made.counted() == 20
    shown = await made.metrics()
    assert "chunkguard_workers 2.0" in shown
    for worker in "01":
        assert f'chunkguard_resident_bytes{{worker="{worker}"}}' in shown
    assert all(worker.totals.counters for worker in made.supervisor._workers), "one worker served everything"


async def stood_in_for(made: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other takes the connections of a worker that was killed, and what it counted stays."""
    with monkeypatch.context() as patched:
        patched.setattr(workers, "AGAIN_S", (12.0, 12.0))
        gone, _ = made.supervisor._workers
        assert gone.process is not None
        before = [gone.process.pid]
        gone.process.kill()
        await gone.process.wait()
        await asyncio.wait_for(made.ask(20), PATIENCE_S)  # half of them were the other's
        assert [gone.process.pid] == before, "it came back too early to prove anything"
        assert await made.counted() == 40
        await made.until_reborn(before)
    async with asyncio.timeout(PATIENCE_S):
        while not gone.totals.counters:  # back in its place, it has its own connections again
            await made.ask(5)
            await made.metrics()
    assert "chunkguard_worker_restarts_total 1.0" in await made.metrics()


async def ended_in_order(made: Gate) -> None:
    """A worker that ends in order leaves behind what was not seen yet."""
    await made.ask(5)
    counted = await made.counted()
    before = made.pids()
    for worker in made.supervisor._workers:
        worker.totals = workers.NOTHING
    for pid in before:
        os.kill(pid, signal.SIGTERM)
    await made.until_reborn(before)
    assert await made.counted() == counted


async def reloaded(made: Gate, file: Path) -> None:
    """A reload reaches every worker, and a broken one none."""
    _, before = await made.admin("GET", "/-/ready")
    settings(file.parent, routes=[{"name": "r", "upstream": "recorded", "policies": ["math"]}])
    status, body = await made.admin("POST", "/-/reload")
    revision = json.loads(body)["policy_revision"]
    assert (status, revision != json.loads(before)["policy_revision"]) == (200, True)
    states = json.loads((await made.admin("GET", "/-/ready"))[1])["workers"]
    assert [state["policy_revision"] for state in states] == [revision, revision]

    settings(file.parent, routes=[{"name": "r", "upstream": "nowhere"}])
    status, body = await made.admin("POST", "/-/reload")
    assert (status, json.loads(body)["problems"][0]["key"]) == (422, "routes[0].upstream")
    states = json.loads((await made.admin("GET", "/-/ready"))[1])["workers"]
    assert [state["policy_revision"] for state in states] == [revision, revision]


async def retired(made: Gate) -> None:
    """Told to stop, all of them say so and serve on for a while."""
    host, port = made.supervisor.address
    leaving = asyncio.create_task(made.supervisor.retire())
    async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as session:
        while (await fetch(session, f"http://{host}:{port}", "GET", "/-/healthy")).status == 200:
            pass
    assert (await made.admin("GET", "/-/ready"))[0] == 503
    await made.ask(4)
    assert not leaving.done()
    await leaving


async def test_a_worker_that_cannot_start_ends_the_start(tmp_path: Path) -> None:
    file = settings(tmp_path)
    source = Source(file=str(file))
    supervisor = Supervisor(source.load(), source, 2)
    file.write_text("a: [", encoding="utf-8")
    with pytest.raises(WorkerLost, match="ended with 2"):
        await supervisor.start()
    assert not supervisor._folder.exists()


async def test_an_address_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        source = Source(file=str(settings(tmp_path, listen=f"127.0.0.1:{taken.getsockname()[1]}")))
        with pytest.raises(OSError, match="in use"):
            await Supervisor(source.load(), source, 2).start()


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("chunkguard")),
        "serve",
        "--config",
        str(settings(tmp_path)),
        "--workers",
        "2",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        assert b"2 workers" in process.stderr.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        assert len(children) == 2
        process.kill()
    deadline = time.monotonic() + PATIENCE_S
    while any(Path(f"/proc/{pid}/fd").exists() and _alive(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(pid: str) -> bool:
    """Not a zombie, which nobody may be there to collect."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
