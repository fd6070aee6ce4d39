"""The supervisor of several workers: binds, starts them, starts them again, and speaks for all of them on the admin listener.

One rule: what a worker that is gone has counted is never lost from view, and its listener never closes: another one takes its
connections until it is back. A worker that is killed takes at most POLL_S of its counts with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from proxy.admin import Admin
from proxy.config import Settings
from proxy.doors import DRAIN_S
from proxy.errors import ConfigError, Problem
from proxy.json_log import JsonLog, Sink
from proxy.listeners import bind
from proxy.metric_totals import NOTHING, Shown, Totals, added, from_json
from proxy.worker import Source, Task, admin_path, totals_path

#: Seconds between looks at what each worker has counted.
POLL_S: Final = 1.0
#: Seconds that a worker may take to load and warm its detectors: 3 on a free CPU, a minute on one that ten others want.
START_S: Final = 180.0
#: A worker that dies is started again after these seconds, twice as many each time it dies young, up to the second number.
AGAIN_S: Final = (0.1, 10.0)
OLD_S: Final = 30.0


class WorkerLost(RuntimeError):
    """A worker did not start."""


@dataclass(slots=True)
class _Worker:
    """One place, and the process that has it at the moment."""

    number: int
    listener: socket.socket
    admin: Path
    process: asyncio.subprocess.Process | None = None
    session: aiohttp.ClientSession | None = None
    totals: Totals = NOTHING
    born: float = 0.0
    deaths: int = 0


@dataclass
class Supervisor:
    """`start` binds and waits until all workers are ready, `run` keeps them until told to stop."""

    settings: Settings
    source: Source
    count: int
    log_to: Sink | None = None
    address: tuple[str, int] = ("", 0)
    admin_address: tuple[str, int] | str = ""
    restarts: int = 0
    _workers: list[_Worker] = field(default_factory=list)
    _gone: Totals = NOTHING
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _stopping: bool = False

    def __post_init__(self) -> None:
        self._log = JsonLog(sys.stdout.buffer if self.log_to is None else self.log_to, self.settings.config.log_level)
        self._shown = Shown(self._totals)
        self._folder = Path(tempfile.mkdtemp(prefix="chunkguard-"))
        self._leash, self._held = os.pipe()
        self._runner: web.BaseRunner | None = None

    # ---- life

    async def start(self) -> None:
        """Raises OSError where an address cannot be bound, WorkerLost where a worker does not become ready."""
        try:
            for number, listener in enumerate(bind(self.settings.config.listen, self.count)):
                self._workers.append(_Worker(number, listener, admin_path(self._folder, number)))
            host, port = self._workers[0].listener.getsockname()[:2]
            self.address = (str(host), int(port))
            for worker in self._workers:
                await self._spawn(worker)
            await asyncio.gather(*[self._until_ready(worker) for worker in self._workers])
            await self._listen_admin()
        except BaseException:
            await self.stop()
            raise
        self._tasks += [asyncio.create_task(self._keep(worker)) for worker in self._workers]
        self._tasks.append(asyncio.create_task(self._poll()))

    async def retire(self) -> None:
        """Tell all workers to stop: each is ready no more, and serves on for `drain_delay_s`."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self._workers:
            _send(worker, signal.SIGTERM)
        await asyncio.sleep(self.settings.config.drain_delay_s)

    async def stop(self) -> None:
        """Tell all workers to stop, wait until they have, then close everything."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self._workers:
            worker.listener.close()  # a connection that nobody will take is better refused
            _send(worker, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*[_ended(worker) for worker in self._workers]), 2 * DRAIN_S)
        for worker in self._workers:
            _send(worker, signal.SIGKILL)
            await _ended(worker)
            if worker.session is not None:
                await worker.session.close()
        if self._runner is not None:
            await self._runner.cleanup()
        os.close(self._leash)
        os.close(self._held)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _spawn(self, worker: _Worker) -> None:
        listeners = tuple([one.listener.fileno() for one in self._workers])
        task = Task(worker.number, listeners, self._leash, str(self._folder), self.source)
        worker.admin.unlink(missing_ok=True)
        totals_path(self._folder, worker.number).unlink(missing_ok=True)
        worker.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "proxy.worker", task.to_json(), pass_fds=(*listeners, task.leash)
        )
        worker.born = asyncio.get_running_loop().time()
        if worker.session is None:
            connector = aiohttp.UnixConnector(str(worker.admin))
            worker.session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=START_S))

    async def _until_ready(self, worker: _Worker) -> None:
        end = asyncio.get_running_loop().time() + START_S
        while True:
            assert worker.process is not None
            if worker.process.returncode is not None:
                raise WorkerLost(f"worker {worker.number} ended with {worker.process.returncode} before it was ready")
            if (await self._ask(worker, "GET", "/-/ready"))[0] == 200:
                return
            if asyncio.get_running_loop().time() > end:
                raise WorkerLost(f"worker {worker.number} was not ready after {START_S:.0f} s")
            await asyncio.sleep(0.05)

    async def _keep(self, worker: _Worker) -> None:
        """Start a worker again whenever it dies."""
        loop = asyncio.get_running_loop()
        while True:
            assert worker.process is not None
            status = await worker.process.wait()
            self._take_over(worker)
            worker.deaths = worker.deaths + 1 if loop.time() - worker.born < OLD_S else 0
            self.restarts += 1
            self._log.event("error", "worker_died", worker=worker.number, count=status)
            others = [other for other in self._workers if other is not worker]
            await asyncio.gather(*[self._ask(other, "POST", f"/-/adopt/{worker.number}") for other in others])
            await asyncio.sleep(min(AGAIN_S[0] * 2**worker.deaths, AGAIN_S[1]))
            await self._spawn(worker)
            with contextlib.suppress(WorkerLost):
                await self._until_ready(worker)
                await asyncio.gather(*[self._ask(other, "POST", f"/-/release/{worker.number}") for other in others])

    def _take_over(self, worker: _Worker) -> None:
        """What a worker that is gone has counted is kept: what it left behind, or what was last seen."""
        with contextlib.suppress(OSError, ValueError):
            worker.totals = from_json(totals_path(self._folder, worker.number).read_bytes())
        self._gone = added([self._gone, Totals(worker.totals.counters, {}, worker.totals.spreads)])
        worker.totals = NOTHING

    # ---- what the admin listener asks

    async def _listen_admin(self) -> None:
        own = self.settings.config
        key = own.admin_key.get_secret_value() if own.admin_key is not None else None
        admin = Admin(key=key, ready=self.ready, reload=self.reload, metrics=self.exposition)
        self._runner = web.ServerRunner(web.Server(admin.handle, access_log=None))
        await self._runner.setup()
        if own.admin.startswith("unix:"):
            self.admin_address = own.admin.removeprefix("unix:")
            await web.UnixSite(self._runner, self.admin_address).start()
            return
        host, _, port = own.admin.rpartition(":")
        await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        bound = self._runner.addresses[0]
        self.admin_address = (str(bound[0]), int(bound[1]))

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Ready while one worker is. As of that one, with the state of each under `workers`."""
        answers = await asyncio.gather(*[self._ask(worker, "GET", "/-/ready") for worker in self._workers])
        states = [
            {"worker": number, "ready": status == 200, "policy_revision": doc.get("policy_revision", "")}
            for number, (status, doc) in enumerate(answers)
        ]
        one = next((doc for status, doc in answers if status == 200), {"ready": False})
        ready = bool(one["ready"]) and not self._stopping
        return ready, {**one, "ready": ready, "workers": states}

    async def reload(self) -> dict[str, Any]:
        """One worker after the other; the first that refuses ends it. Raises ConfigError with its problems."""
        answer: dict[str, Any] = {}
        for worker in self._workers:
            status, answer = await self._ask(worker, "POST", "/-/reload")
            if status != 200:
                found = [Problem(**problem) for problem in answer.get("problems", ())]
                raise ConfigError(found or [Problem("", "", f"worker {worker.number} does not answer")])
        return answer

    async def exposition(self) -> bytes:
        """All workers together, those that are gone included."""
        await asyncio.gather(*[self._look(worker) for worker in self._workers])
        return self._shown.text()

    def _totals(self) -> Totals:
        running = sum(worker.process is not None and worker.process.returncode is None for worker in self._workers)
        own = Totals({("chunkguard_worker_restarts_total",): self.restarts}, {("chunkguard_workers",): running}, {})
        return added([self._gone, *[worker.totals for worker in self._workers], own])

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await asyncio.gather(*[self._look(worker) for worker in self._workers])

    async def _look(self, worker: _Worker) -> None:
        """See what a worker has counted; one that does not answer keeps what was seen last."""
        process = worker.process
        if process is None or worker.session is None:
            return
        try:
            async with worker.session.get("http://worker/-/totals", timeout=aiohttp.ClientTimeout(total=POLL_S)) as answer:
                text = await answer.read()
                seen = from_json(text) if answer.status == 200 else None
        except (OSError, ValueError, TimeoutError, aiohttp.ClientError):
            return
        # An answer that comes after the process has died is in what was taken over already, or is younger than it.
        if seen is not None and worker.process is process and process.returncode is None:
            worker.totals = seen

    async def _ask(self, worker: _Worker, method: str, path: str) -> tuple[int, dict[str, Any]]:
        """Status and document; 0 where the worker does not answer."""
        if worker.session is None:
            return 0, {}
        try:
            async with worker.session.request(method, f"http://worker{path}") as answer:
                return answer.status, await answer.json()
        except (OSError, ValueError, TimeoutError, aiohttp.ClientError):
            return 0, {}

    def hangup(self) -> None:
        """Reload all workers, each by itself: their logs say what came of it."""
        for worker in self._workers:
            _send(worker, signal.SIGHUP)


def _send(worker: _Worker, number: int) -> None:
    process = worker.process
    if process is not None and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)


async def _ended(worker: _Worker) -> None:
    if worker.process is not None:
        await worker.process.wait()


async def supervise(supervisor: Supervisor, announce: Callable[[Supervisor], None]) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reloads."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await supervisor.start()
    loop.add_signal_handler(signal.SIGHUP, supervisor.hangup)
    announce(supervisor)
    await stop.wait()
    await supervisor.retire()
    await supervisor.stop()
