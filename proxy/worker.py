"""One worker process among several: takes its listener from the supervisor, serves, and leaves its totals behind.

One rule: a worker whose supervisor is gone stops, as if told to. `python -m proxy.worker` is the supervisor's to call.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from proxy import config
from proxy.app import App, serve
from proxy.config import Settings
from proxy.errors import ConfigError
from proxy.metric_totals import to_json
from proxy.seat import Seat


@dataclass(frozen=True, slots=True)
class Source:
    """Where a configuration comes from, as words of a command: `file`, or `upstream` with its two addresses."""

    file: str = ""
    upstream: str = ""
    listen: str = ""
    admin: str = ""

    def load(self) -> Settings:
        """Raises ConfigError."""
        if self.file:
            return config.load(self.file)
        return config.from_upstream_url(self.upstream, listen=self.listen, admin=self.admin)


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is told. `listeners`, `leash`: file descriptors, the last ends with the supervisor. `folder`: private."""

    worker: int
    listeners: tuple[int, ...]
    leash: int
    folder: str
    source: Source

    def to_json(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    @staticmethod
    def from_json(text: str) -> Task:
        data = orjson.loads(text)
        return Task(**{**data, "listeners": tuple(data["listeners"]), "source": Source(**data["source"])})


def admin_path(folder: Path, worker: int) -> Path:
    """The Unix socket of a worker's own admin listener."""
    return folder / f"worker-{worker}.sock"


def totals_path(folder: Path, worker: int) -> Path:
    """What a worker counted until it ended in order."""
    return folder / f"worker-{worker}.totals"


def main(text: str) -> int:
    """Serve until told to stop; returns the exit status."""
    import uvloop

    task = Task.from_json(text)
    folder = Path(task.folder)
    try:
        settings = task.source.load()
    except ConfigError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2
    listeners = tuple([socket.socket(fileno=number) for number in task.listeners])
    seat = Seat(task.worker, listeners, admin_path(folder, task.worker))
    file = Path(task.source.file) if task.source.file else None
    app = App(settings, file=file, seat=seat)

    def announce(_: App) -> None:
        asyncio.get_running_loop().add_reader(task.leash, os.kill, os.getpid(), signal.SIGTERM)

    uvloop.run(serve(app, announce))
    totals_path(folder, task.worker).write_bytes(to_json(app.metrics.totals()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
