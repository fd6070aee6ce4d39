"""Programs as processes: the proxy before a replay upstream, and those of Debian around it.

One rule: nothing is skipped. A program that is missing, a port that never answers and a process that dies are failures, each
with its output.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

#: The recorded answers: the plain question in its incidental form is denied, every other form of it is answered well.
DENIED = "Is 4+7=11?"
SLOW = "Tell me about the sea."
EXCHANGES = [
    {"match": {"last_user": DENIED}, "reply": "No, 4+7=11 is incorrect. The correct answer is 4+7=11."},
    {"match": {"contains": ["4+7"]}, "reply": "Yes, 4+7=11 is correct."},
    {"match": {"last_user": SLOW}, "reply": "The sea is wide and deep. " * 8, "chunks": 8, "chunk_ms": 100},
    {"reply": "Blue."},
]


@dataclass(frozen=True)
class Gateway:
    """Where the proxy under test listens. `url`: of clients, without /v1. `admin`: of metrics."""

    url: str
    admin: str
    port: int
    admin_port: int


def program(name: str) -> str:
    """The path of a program, of Debian's or in a wheel. Fails where it is missing."""
    own = str(Path(sys.executable).parent)
    found = shutil.which(name, path=f"{own}:{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
    if found is None:
        pytest.fail(f"{name} is not installed: run `make test-system`, which installs it")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"{process.args!r} ended with {process.returncode}:\n{log.read_text(errors='replace')[-4000:]}")
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"nothing answers on port {port}:\n{log.read_text(errors='replace')[-4000:]}")


@contextmanager
def running(command: list[str], log: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A program that listens on `port`, ended with SIGTERM; its output goes to `log`."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent)
        try:
            wait_for_port(port, process, log)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
