"""The running gateway: both listeners, the observer, and reload by signal, file change or request.

One rule: a configuration that cannot be prepared changes nothing; the running one goes on and the answer says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from proxy import config, process, tls
from proxy.admin import Admin
from proxy.admission import RetryShare
from proxy.config import Settings
from proxy.deleter import Deleter
from proxy.doors import DRAIN_S, Doors
from proxy.errors import ConfigError, Problem
from proxy.guard import Guard
from proxy.json_log import JsonLog, LibraryLog, Sink
from proxy.limiting.limiter import Limiter, make_limiter
from proxy.metric_totals import to_json
from proxy.metrics import Metrics
from proxy.observer import Observer
from proxy.records import DecisionRecord, Seconds
from proxy.seat import Seat
from proxy.server import Gateway
from proxy.snapshot import Snapshot, coverage_rows, prepare
from proxy.telling import Teller
from proxy.tls import ListenerTLS
from proxy.watching import changes

log = logging.getLogger("chunkguard")
#: CPython hands the GIL over at most this often; its default of 5 ms would let one long scan stall the event loop as long.
SWITCH_INTERVAL_S: Final = 0.0005
#: Settings that only a restart changes.
FIXED: Final = (
    "listen", "admin", "admin_key", "workers", "drain_delay_s", "limit_store", "log_level", "log_sample", "decisions", "tracing"
)  # fmt: skip
#: Objects that survive between looks for cycles, and how many looks before older ones are looked at as well.
GC_THRESHOLD: Final = (5_000, 10, 20)


class App:
    """One worker. `start` binds both listeners, `stop` drains and closes. `addresses` are what was really bound."""

    limiter: Limiter

    def __init__(
        self,
        settings: Settings,
        *,
        file: Path | None = None,
        on_record: Callable[[DecisionRecord], None] | None = None,
        log_to: Sink | None = None,
        seat: Seat | None = None,
    ) -> None:
        self.settings = settings
        self._seat = seat
        self._worker = seat.worker if seat is not None else None
        self._stopping = False
        self._file = file
        self._on_record = on_record
        self.metrics = Metrics()
        self._log = JsonLog(
            sys.stdout.buffer if log_to is None else log_to,
            settings.config.log_level,
            sample=settings.config.log_sample,
            on_lost=partial(self.metrics.lost, "events"),
        )
        self._library = LibraryLog(self._log)
        self._tasks: list[asyncio.Task[None]] = []
        self._doors = Doors(seat)
        self._reloading = asyncio.Lock()
        self._tls = ListenerTLS()
        self.gateway: Gateway
        self.observer: Observer
        self.deleter: Deleter
        self.address: tuple[str, int] = ("", 0)
        self.admin_address: tuple[str, int] | str = ""

    async def start(self) -> None:
        """Prepare, warm, bind. Raises ConfigError or OSError."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        logging.getLogger().addHandler(self._library)
        certificate = await tls.read(self.settings)
        snapshot = await prepare(self.settings, self.metrics.count)
        limits = self.settings.config.limits
        self._teller = Teller(self.settings, self.metrics, self._log, self._worker)
        self._configure(snapshot)
        self.observer = Observer(limits.observer_queue, self.metrics.shed)
        self.deleter = Deleter(self.metrics.deleted)
        share, witness = RetryShare(limits.retry_share), self._teller.witness
        guard = Guard(self.observer, share, self._sink, deleter=self.deleter, witness=witness)
        counted = partial(self.metrics.count, "chunkguard_key_requests_total")
        self.limiter = make_limiter(self.settings.config.limit_store, counted, self.metrics.used)
        self.gateway = Gateway(snapshot, guard, self._untouched, self.limiter)
        background = (self.observer.run(), self.deleter.run(), self.limiter.store.run())
        self._tasks += [asyncio.create_task(work) for work in background]
        if self._file is not None:
            self._tasks.append(asyncio.create_task(self._watch(self._file)))
        try:
            if certificate is not None:
                self._tls.swap(certificate)
            secured = self._tls.context if certificate is not None else None
            self.address = await self._doors.open_public(self.gateway.make_server(), self.settings.config.listen, secured)
            self.admin_address = await self._doors.open_admin(self._admin(), self.settings.config.admin)
        except BaseException:
            await self.stop()
            raise

    def _admin(self) -> web.Server:
        own, seat = self.settings.config, self._seat
        key = own.admin_key.get_secret_value() if own.admin_key is not None and seat is None else None
        admin = Admin(
            key=key,
            ready=self.ready,
            reload=self.reload,
            metrics=self._exposition,
            totals=self._totals if seat is not None else None,
            stand_in=self._doors.stand_in if seat is not None else None,
        )
        return web.Server(admin.handle, access_log=None)

    async def retire(self) -> None:
        """Be ready no more, and serve on for `drain_delay_s`."""
        self._stopping = self.gateway.stopping = True
        await asyncio.sleep(self.settings.config.drain_delay_s)

    async def stop(self) -> None:
        """Stop accepting, let requests end, then close everything."""
        self._stopping = True
        await self._doors.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(self.observer.drain(), self.deleter.drain()), DRAIN_S)
        await self.limiter.store.drain()  # what the last records charged is there now
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.limiter.store.close()
        await self.gateway.snapshot.close()
        await asyncio.to_thread(self._teller.close)
        logging.getLogger().removeHandler(self._library)

    # ---- what the admin listener asks

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether requests are served as configured, and what of that is enforceable. Not while stopping."""
        snapshot = self.gateway.snapshot
        return not self._stopping, {
            "ready": not self._stopping,
            "policy_revision": snapshot.revision,
            "detectors": "warm",
            "routes": sorted(snapshot.routes),
            "coverage": coverage_rows(snapshot.settings.policies),
        }

    async def reload(self) -> dict[str, Any]:
        """Read the configuration file again and serve it. Raises ConfigError, with the running one untouched."""
        async with self._reloading:
            if self._file is None:
                raise ConfigError(
                    [Problem("--upstream", "", "started without a configuration file: there is nothing to reload")]
                )
            try:
                settings = await asyncio.to_thread(config.load, self._file)
                self._check_fixed(settings)
                certificate = await tls.read(settings)
                snapshot = await prepare(settings, self.metrics.count)
            except ConfigError as error:
                # The running configuration stays.
                self._log.event("error", "reload_refused", problems=[str(problem) for problem in error.problems])
                raise
            self.settings = settings
            if certificate is not None:
                self._tls.swap(certificate)
            before = self.gateway.swap(snapshot)
            self.gateway.guard.retry_share.share = settings.config.limits.retry_share
            self._configure(snapshot)
            self._tasks.append(asyncio.create_task(self._close_later(before)))
            self._log.event("info", "reloaded", revision=snapshot.revision)
            return {"reloaded": True, "policy_revision": snapshot.revision}

    async def _close_later(self, snapshot: Snapshot) -> None:
        """Requests that began with an old snapshot still use it, however long they take; then the queues behind them."""
        try:
            await self.gateway.drained(snapshot)
            await asyncio.sleep(DRAIN_S)
        finally:
            await snapshot.close()

    def _check_fixed(self, settings: Settings) -> None:
        own, new = self.settings.config, settings.config
        changed = [key for key in FIXED if getattr(new, key) != getattr(own, key)]
        if (new.tls is None) is not (own.tls is None):
            changed.append("tls")
        if new.limits.observer_queue != own.limits.observer_queue:
            changed.append("limits.observer_queue")
        problems = [Problem(settings.source, key, "cannot change while running; restart to change it") for key in changed]
        if problems:
            raise ConfigError(problems)

    async def _watch(self, file: Path) -> None:
        async for _ in changes(lambda: (file, *self.settings.watched)):
            await self.reload_quietly()

    async def reload_quietly(self) -> None:
        """As `reload`, where nobody waits for the answer: the log says what came of it."""
        try:
            await self.reload()
        except ConfigError:
            pass  # logged
        except Exception as error:
            log.error("the configuration could not be read again", exc_info=error)

    def _configure(self, snapshot: Snapshot) -> None:
        policies = [policy for route in snapshot.routes.values() for policy in route.policies]
        self.metrics.configure(
            snapshot.revision,
            routes=snapshot.routes,
            policies=[policy.name for policy in policies],
            triggers=[trigger.name for policy in policies for trigger in policy.triggers],
            keys=snapshot.settings.config.keys,
            upstreams=snapshot.upstreams,
        )

    async def _exposition(self) -> bytes:
        await self._measure()
        return self.metrics.exposition()

    async def _totals(self) -> bytes:
        await self._measure()
        return to_json(self.metrics.totals())

    async def _measure(self) -> None:
        found = await asyncio.to_thread(
            process.measured, self._worker or 0, active=self.gateway.active, waiting=self.observer.waiting
        )
        self.metrics.measured = found if self._seat is not None else {**found, ("chunkguard_workers",): 1}

    def _untouched(self, route: str, endpoint: str, status: int, seconds: float) -> None:
        self.metrics.observe(
            DecisionRecord("", 0.0, route, endpoint, status=status, seconds=Seconds(upstream=seconds, total=seconds))
        )

    def _sink(self, record: DecisionRecord) -> None:
        self._teller.record(record)
        if self._on_record is not None:
            self._on_record(record)


def tune_collector() -> None:
    """Spare the collector of a process that only serves: call it when the app has started."""
    # Tables, models and modules live as long as the process: the collector need not walk them for every request.
    gc.collect()
    gc.freeze()
    # Nearly everything a request makes is freed by its count; looking for cycles after every 700 cost 35 us of a request.
    gc.set_threshold(*GC_THRESHOLD)


async def serve(app: App, announce: Callable[[App], None]) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reloads. Tunes the collector of the process, which is the app's alone."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    await app.start()
    tune_collector()
    reloads: set[asyncio.Task[None]] = set()

    def hangup() -> None:
        task = loop.create_task(app.reload_quietly())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hangup)
    announce(app)
    await stop.wait()
    await app.retire()
    await app.stop()
