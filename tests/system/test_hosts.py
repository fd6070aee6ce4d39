"""Two hosts behind a real nginx, with limits in a real Redis: one limit, a crash, a drain, a rolling reload.

One rule: clients know the address of nginx and nothing else; every request that they send is accounted for.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.keys import hash_of
from tests.system.programs import EXCHANGES, SLOW, free_port, program, running, wait_for_port
from tests.system.test_redis import redis

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SITE = Path(__file__).resolve().parent.parent.parent / "deploy" / "nginx.conf"
#: A key that is limited, one that is not, and their use.
LIMITED, FREE = "cg-" + "l" * 43, "cg-" + "f" * 43
LIMIT = 60
CLIENTS = 8


@dataclass
class Host:
    """One proxy process that may be ended and begun again."""

    folder: Path
    port: int
    admin: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(Path(sys.executable).with_name("chunkguard")), "serve", "--config", str(self.folder / "chunkguard.yaml")]
        log = self.folder / "log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=self.folder)
        wait_for_port(self.port, self.process, log, seconds=90)
        wait_for_port(self.admin, self.process, log, seconds=90)

    def end(self, number: signal.Signals, seconds: float = 40) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=seconds)

    def write(self, redis_url: str, *, misrouted_at: float = 0.5) -> None:
        exchanges = "".join(json.dumps(exchange) + "\n" for exchange in EXCHANGES)
        (self.folder / "exchanges.jsonl").write_text(exchanges, encoding="utf-8")
        policy = {"extends": "rebuttal", "check": {"misrouted_at": misrouted_at}}
        settings = {
            "listen": f"127.0.0.1:{self.port}",
            "admin": f"127.0.0.1:{self.admin}",
            "upstreams": {"recorded": {"kind": "replay", "file": "exchanges.jsonl"}},
            "routes": [{"name": "guarded", "upstream": "recorded", "policies": [policy]}],
            "keys": {
                "limited": {"key": hash_of(LIMITED), "limits": {"requests_per_minute": LIMIT}},
                "free": hash_of(FREE),
            },
            "limit_store": {"kind": "redis", "url": redis_url, "timeout_ms": 2000, "failure_mode": "fail_closed"},
            "limits": {"holdout": 0},
        }
        (self.folder / "chunkguard.yaml").write_text(json.dumps(settings), encoding="utf-8")

    @property
    def revision(self) -> str:
        return str(httpx.get(f"http://127.0.0.1:{self.admin}/-/ready").json()["policy_revision"])

    @property
    def served(self) -> float:
        lines = httpx.get(f"http://127.0.0.1:{self.admin}/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("chunkguard_requests_total{"))


@dataclass
class Edge:
    """nginx before two hosts."""

    url: str
    hosts: list[Host]
    redis: str


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with contextlib.ExitStack() as stack:
        folder = tmp_path_factory.mktemp("edge")
        url = stack.enter_context(redis(tmp_path_factory.mktemp("redis"), free_port()))
        hosts = [Host(tmp_path_factory.mktemp(name), free_port(), free_port()) for name in ("a", "b")]
        for host in hosts:
            host.write(url)
            host.start()
            stack.callback(stop, host)
        port = free_port()
        servers = " ".join(f"server 127.0.0.1:{host.port};" for host in hosts)
        shipped = SITE.read_text(encoding="utf-8")
        site = shipped.replace("server 127.0.0.1:8800;", servers).replace("127.0.0.1:8080", f"127.0.0.1:{port}")
        assert site.count("server 127.0.0.1:") == 2
        temporary = "".join(
            f"{name}_temp_path {folder / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off;\nworker_processes 1;\npid {folder / 'pid'};\nerror_log stderr;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{temporary}{site}\n}}\n",
            encoding="utf-8",
        )
        command = [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        stack.enter_context(running(command, folder / "nginx.log", port))
        yield Edge(f"http://127.0.0.1:{port}", hosts, url)


def stop(host: Host) -> None:
    if host.process is not None and host.process.poll() is None:
        host.end(signal.SIGTERM)


def ask(client: httpx.Client, edge: Edge, key: str, prompt: str = "Name a colour.", **fields: Any) -> httpx.Response:
    body = {"model": "recorded", "messages": [{"role": "user", "content": prompt}], **fields}
    return client.post(f"{edge.url}/v1/chat/completions", headers={"Authorization": f"Bearer {key}"}, json=body, timeout=30)


@dataclass
class Load:
    """Clients that ask one after the other until told to stop; each answer with its time."""

    edge: Edge
    answers: list[tuple[float, float, str]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()
        self.wait_for(50)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client() as client:
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    reply = ask(client, self.edge, FREE)
                    right = reply.status_code == 200 and reply.json()["choices"][0]["message"]["content"] == "Blue."
                    word = "right" if right else f"{reply.status_code} {reply.text[:200]}"
                except (httpx.HTTPError, ValueError) as error:
                    word = type(error).__name__
                with self._lock:
                    self.answers.append((began, time.monotonic(), word))

    def wait_for(self, more: int) -> None:
        """Wait until so many more requests have been answered."""
        target = len(self.answers) + more
        end = time.monotonic() + 60
        while len(self.answers) < target:
            assert time.monotonic() < end, f"{len(self.answers)} answers"
            time.sleep(0.02)

    @property
    def wrong(self) -> list[tuple[float, float, str]]:
        return [answer for answer in self.answers if answer[2] != "right"]


def test_one_limit_holds_for_both_hosts(edge: Edge) -> None:
    before = [host.served for host in edge.hosts]
    statuses: Counter[int] = Counter()
    lock = threading.Lock()

    def some() -> None:
        with httpx.Client() as client:
            for _ in range(2 * LIMIT // CLIENTS):
                status = ask(client, edge, LIMITED).status_code
                with lock:
                    statuses[status] += 1

    began = time.monotonic()
    threads = [threading.Thread(target=some) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    assert statuses[200] + statuses[429] == 2 * LIMIT // CLIENTS * CLIENTS
    # The bucket, and what flowed in meanwhile.
    assert LIMIT <= statuses[200] <= LIMIT + LIMIT * seconds / 60 + 1
    assert all(host.served - had >= LIMIT // 4 for host, had in zip(edge.hosts, before, strict=True)), "only one was asked"


def test_a_host_that_is_killed_loses_what_was_in_flight_on_it_and_no_more(edge: Edge) -> None:
    victim = edge.hosts[0]
    with Load(edge) as load:
        killed = time.monotonic()
        assert victim.end(signal.SIGKILL) == -signal.SIGKILL
        gone = time.monotonic()
        load.wait_for(100)
        victim.start()
        load.wait_for(100)
    assert len(load.wrong) <= CLIENTS
    for began, ended, word in load.wrong:
        assert began <= gone, word
        assert ended >= killed, word
    # nginx leaves it alone for ten seconds, then it has its share again.
    had, end = victim.served, time.monotonic() + 30
    with httpx.Client() as client:
        while victim.served == had:
            assert time.monotonic() < end, "it is not asked any more"
            assert ask(client, edge, FREE).status_code == 200
            time.sleep(0.2)


def test_a_host_that_is_told_to_stop_ends_its_streams_and_leaves_in_time(edge: Edge) -> None:
    """Streams go through nginx to both hosts; one is told to stop while they run."""
    texts: list[str] = []

    def stream() -> None:
        body = {"model": "recorded", "stream": True, "messages": [{"role": "user", "content": SLOW}]}
        headers = {"Authorization": f"Bearer {FREE}"}
        with httpx.stream("POST", f"{edge.url}/v1/chat/completions", headers=headers, json=body, timeout=30) as reply:
            texts.append("".join(reply.iter_text()))

    threads = [threading.Thread(target=stream) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert edge.hosts[1].end(signal.SIGTERM) == 0
    assert time.monotonic() - began < 30
    for thread in threads:
        thread.join()
    assert len(texts) == 6
    assert all(text.endswith("data: [DONE]\n\n") and text.count("wide") == 8 for text in texts)
    edge.hosts[1].start()


def test_a_reload_rolls_through_and_no_request_fails(edge: Edge) -> None:
    before = [host.revision for host in edge.hosts]
    assert len(set(before)) == 1
    with Load(edge) as load:
        for host in edge.hosts:
            host.write(edge.redis, misrouted_at=0.6)
            assert host.process is not None
            host.process.send_signal(signal.SIGHUP)
            end = time.monotonic() + 30
            while host.revision in before:
                assert time.monotonic() < end
                time.sleep(0.1)
            load.wait_for(50)
    assert load.wrong == []
    assert len({host.revision for host in edge.hosts}) == 1
