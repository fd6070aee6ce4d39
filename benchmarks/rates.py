"""Requests a second and latencies of one worker, and what a second one adds, as ratios to the bare pass-through.

One worker each, pinned to CPU 1; load (wrk) and upstream (nginx) on CPU 0; shuffled rounds; medians. Two workers have both
CPUs, which load and upstream then share with them: each server's gain is measured against itself with one worker in the same
conditions, and the bare pass-through's is lowered by the load just as ours.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bars import HERE, Bar
from corpus import exchanges

EIGHT = ("rebuttal", "code", "tool_call", "refusal", "math", "analytic", "fiction", "extraction")
#: The CPU of load and upstream, that of one worker, and those of two.
LOAD, WORKER = {0}, {min(1, (os.cpu_count() or 1) - 1)}
BOTH = LOAD | WORKER
#: Least share of the bare pass-through's requests a second: of a first version, and of one for production.
BARS = {"untouched": (0.70, 0.80), "observe": (0.40, 0.50), "enforce": (0.30, 0.35)}
#: Of all policies enforced, beside the bare pass-through: most milliseconds beyond its median with one request at a time, and
#: how many times its p99.
ADDED_P50_MS, P99_TIMES = 0.6, 3.0
#: Least share of the bare pass-through's gain by a second worker.
GAIN_SHARE = 0.9
#: Connections where there are two workers: the kernel shares them out by chance, and few would not be even.
MANY = 64
NGINX = """
worker_processes 1; daemon off; pid {d}/pid; error_log {d}/error.log warn; worker_rlimit_nofile 20000;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; client_body_buffer_size 1m; client_max_body_size 16m;
  client_body_temp_path {d}/b; proxy_temp_path {d}/p; fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u; scgi_temp_path {d}/s;
  tcp_nodelay on; open_file_cache max=2000 inactive=600s; open_file_cache_valid 600s;
  map $http_authorization $number {{ default 0; "~^Bearer sk-bench-(?<n>[0-9]+)$" $n; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {d};
    location = /v1/chat/completions {{ error_page 405 =200 /replies/$number.json; return 405; }}
    location /replies/ {{ internal; default_type application/json; }}
  }}
}}
"""


@dataclass
class Target:
    """Something to load. `argv`: its command line."""

    name: str
    argv: list[str]
    port: int = 0
    admin: int = 0
    process: subprocess.Popen[bytes] | None = None
    rates: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    #: Median milliseconds with one request at a time.
    alone: list[float] = field(default_factory=list)
    #: Microseconds of CPU a request, and the share of the time in which the worker had any: below 1 it waited for the load.
    cpu: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spawn(argv: list[str], cpus: set[int], log: Path) -> subprocess.Popen[bytes]:
    def pin() -> None:
        os.sched_setaffinity(0, cpus)

    with log.open("ab") as out:
        return subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, preexec_fn=pin)


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello"}]}).encode()
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"a target ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/chat/completions", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                if reply.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    raise SystemExit(f"a target did not come up:\n{log.read_text()[-2000:]}")


def bare_target(name: str, upstream: str, workers: int = 1) -> Target:
    target = Target(name, [], free_port())
    script = [sys.executable, str(HERE / "bare.py"), "--port", str(target.port), "--upstream", upstream]
    target.argv = [*script, "--workers", str(workers)]
    return target


def guard_target(work: Path, name: str, upstream: str, enforcement: str = "", workers: int = 1) -> Target:
    """Chunkguard with every policy of an enforcement, or with none."""
    target = Target(name, [], free_port(), free_port())
    policies = [{"extends": policy, "enforcement": enforcement} for policy in EIGHT] if enforcement else []
    document = {
        "listen": f"127.0.0.1:{target.port}",
        "admin": f"127.0.0.1:{target.admin}",
        "log_level": "error",
        "upstreams": {"bench": {"kind": "openai", "url": upstream}},
        "routes": [{"name": "bench", "upstream": "bench", "policies": policies}],
        "limits": {"holdout": 0},
    }
    file = work / f"{name.replace(' ', '-')}.yaml"
    file.write_text(json.dumps(document))
    target.argv = [sys.executable, "-m", "proxy.cli", "serve", "--config", str(file), "--workers", str(workers)]
    return target


@contextmanager
def upstream_of(work: Path, count: int) -> Iterator[tuple[str, Path]]:
    """A running nginx with the replies; its base URL, and the file of the bodies."""
    bodies = prepare(work, count)
    port = free_port()
    (work / "nginx.conf").write_text(NGINX.format(d=work, port=port))
    command = ["nginx", "-p", str(work), "-e", f"{work}/error.log", "-c", f"{work}/nginx.conf"]
    nginx = spawn(command, LOAD, work / "nginx.log")
    try:
        yield f"http://127.0.0.1:{port}/v1", bodies
    finally:
        nginx.terminate()
        nginx.wait(10)


@contextmanager
def running(tested: list[Target], cpus: set[int], work: Path) -> Iterator[None]:
    """Every target started, one after the other."""
    try:
        for target in tested:
            log = work / f"{target.name.replace(' ', '-')}.log"
            target.process = spawn(target.argv, cpus, log)
            wait_for(target.port, target.process, log)
        yield
    finally:
        for target in tested:
            if target.process is not None:
                target.process.send_signal(signal.SIGTERM)
                target.process.wait(40)


def cpu_of(target: Target) -> float:
    """Seconds of CPU of the target's process so far."""
    assert target.process is not None
    fields = Path(f"/proc/{target.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(target: Target, bodies: Path, seconds: float, concurrency: int, cpus: str = "0") -> None:
    command = ["wrk", "-t1", f"-c{concurrency}", f"-d{seconds:g}s", "--timeout", "10s", "-s", str(HERE / "load.lua")]
    before = cpu_of(target)
    done = subprocess.run(
        ["taskset", "-c", cpus, *command, f"http://127.0.0.1:{target.port}"],
        env={**os.environ, "BODIES": str(bodies)},
        capture_output=True,
        text=True,
        check=True,
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("JSON "))
    seen = json.loads(line[5:])
    if seen["errors"] or seen["non2xx"]:
        raise SystemExit(f"{target.name}: {seen['errors']} errors, {seen['non2xx']} replies that were not 200")
    if concurrency == 1:
        target.alone.append(seen["p50_us"] / 1000)
        return
    target.rates.append(seen["requests"] / (seen["duration_us"] / 1e6))
    target.p99.append(seen["p99_us"] / 1000)
    spent = cpu_of(target) - before
    target.cpu.append(spent / seen["requests"] * 1e6)
    target.busy.append(spent / (seen["duration_us"] / 1e6))


def metric(target: Target, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{target.admin}/metrics", timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name) and not line.startswith("#"))


def measure_one(arguments: argparse.Namespace, work: Path) -> tuple[list[Target], list[Bar]]:
    """Load every kind of server with one worker, in shuffled rounds."""
    with upstream_of(work, arguments.count) as (upstream, bodies):
        kinds = [guard_target(work, name, upstream, name) for name in ("observe", "enforce")]
        tested = [bare_target("bare", upstream), guard_target(work, "untouched", upstream), *kinds]
        with running(tested, WORKER, work):
            for target in tested:
                warm(target, lambda target: load(target, bodies, 1, arguments.concurrency))
            for _ in range(arguments.rounds):
                for target in random.sample(tested, len(tested)):
                    load(target, bodies, arguments.seconds, arguments.concurrency)
                    if target.name in ("bare", "enforce"):
                        load(target, bodies, max(1, arguments.seconds // 2), 1)
            time.sleep(1)
            scored, shed = (metric(kinds[0], f"chunkguard_{name}_total") for name in ("scans", "observer_shed"))
    bars = compare(tested)
    return tested, [*bars, ("observe scores everything", shed == 0 and scored > 0, f"{scored:.0f} scored, {shed:.0f} shed")]


def measure_two(arguments: argparse.Namespace, work: Path) -> tuple[list[Target], list[Bar]]:
    """What a second worker adds to each kind of server, where both CPUs are everybody's."""
    with upstream_of(work, arguments.count) as (upstream, bodies):
        made: list[tuple[Target, Target]] = []
        for name in ("bare", "untouched", "enforce"):
            both = []
            for workers in (1, 2):
                own = f"{name} {workers}"
                kind = "enforce" if name == "enforce" else ""
                both.append(
                    bare_target(own, upstream, workers) if name == "bare" else guard_target(work, own, upstream, kind, workers)
                )
            made.append((both[0], both[1]))
        tested = [target for pair in made for target in pair]
        with running(tested, BOTH, work):
            for target in tested:
                warm(target, lambda target: load(target, bodies, 1, MANY, "0,1"))
            for _ in range(arguments.rounds):
                for target in random.sample(tested, len(tested)):
                    load(target, bodies, arguments.seconds, MANY, "0,1")
    gains = [statistics.median(two.rates) / statistics.median(one.rates) for one, two in made]
    return tested, [
        (
            f"two workers, {name}: >= {GAIN_SHARE:g} of bare's own gain",
            gain >= GAIN_SHARE * gains[0],
            f"{gain:.2f} times one worker, bare {gains[0]:.2f} times; load and upstream share both CPUs",
        )
        for name, gain in zip(("untouched", "enforce"), gains[1:], strict=True)
    ]


def warm(target: Target, once: Callable[[Target], None]) -> None:
    """Load a target without keeping what was measured."""
    once(target)
    for kept in (target.rates, target.p99, target.cpu, target.busy):
        kept.clear()


def compare(tested: list[Target]) -> list[Bar]:
    """Print the table of rates; the bars on them."""
    bars: list[Bar] = []
    bare = statistics.median(tested[0].rates)
    print(f"{'target':<12}{'req/s':>9}{'of bare':>10}{'p99 ms':>9}{'CPU us':>9}{'busy':>7}   bar")
    for target in tested:
        rate, p99 = statistics.median(target.rates), statistics.median(target.p99)
        wanted = BARS.get(target.name, ())
        bars += [(f"{target.name} >= {bar:.0%} of bare", rate / bare >= bar, f"{rate / bare:.1%}") for bar in wanted]
        cpu, busy = statistics.median(target.cpu), statistics.median(target.busy)
        shown = f"{target.name:<12}{rate:>9.0f}{rate / bare:>10.1%}{p99:>9.1f}{cpu:>9.0f}{busy:>7.0%}"
        print(f"{shown}   {' '.join(f'{bar:.0%}' for bar in wanted)}")
    return bars + compare_latencies(tested[0], next(target for target in tested if target.name == "enforce"))


def compare_latencies(bare: Target, enforce: Target) -> list[Bar]:
    """The bars on what a request takes with every policy enforced."""
    added = statistics.median(enforce.alone) - statistics.median(bare.alone)
    times = statistics.median(enforce.p99) / statistics.median(bare.p99)
    return [
        (f"enforce: median one at a time <= {ADDED_P50_MS:g} ms beyond bare's", added <= ADDED_P50_MS, f"{added:.2f} ms"),
        (f"enforce: p99 <= {P99_TIMES:g} times bare's", times <= P99_TIMES, f"{times:.1f} times"),
    ]


def prepare(work: Path, count: int) -> Path:
    """Write the bodies for wrk and the replies for nginx."""
    (work / "replies").mkdir(exist_ok=True)
    bodies = work / "bodies.jsonl"
    with bodies.open("w") as lines:
        for number, (request, reply) in enumerate(exchanges(count)):
            lines.write(json.dumps(request, ensure_ascii=False) + "\n")
            (work / "replies" / f"{number}.json").write_text(json.dumps(reply, ensure_ascii=False))
    return bodies
