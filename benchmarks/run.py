"""`make bench`: the speed budgets, measured as ratios in one run, each bar said to hold or to fall short.

One worker each, pinned to CPU 1; load (wrk) and upstream (nginx) on CPU 0; shuffled rounds; medians. Needs Debian's nginx
and wrk.

    python benchmarks/run.py [--seconds 4] [--rounds 5] [--concurrency 16] [--out benchmarks/results/latest.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from corpus import exchanges  # noqa: E402  (a script beside this one)
from streams import measure_streams  # noqa: E402

EIGHT = ("rebuttal", "code", "tool_call", "refusal", "math", "analytic", "fiction", "extraction")
#: Least share of the bare pass-through's requests a second: of a first version, and of one for production.
BARS = {"untouched": (0.70, 0.80), "observe": (0.40, 0.50), "enforce": (0.30, 0.35)}
#: Of all policies enforced, beside the bare pass-through: most milliseconds beyond its median with one request at a time, and
#: how many times its p99.
ADDED_P50_MS, P99_TIMES = 0.6, 3.0
#: Most milliseconds of event-loop lag (p99.9) beyond the bare pass-through's, under 100 kB answers.
LAG_MS = 5.0
#: Name, whether it holds, what was measured.
Bar = tuple[str, bool, str]
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
    """Something to load. `argv`: its command line; `{port}` is filled in."""

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


def spawn(argv: list[str], cpu: int, log: Path) -> subprocess.Popen[bytes]:
    def pin() -> None:
        os.sched_setaffinity(0, {cpu if cpu < (os.cpu_count() or 1) else 0})

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


def config(work: Path, name: str, upstream: str, policies: list[object]) -> Target:
    target = Target(name, [], free_port(), free_port())
    document = {
        "listen": f"127.0.0.1:{target.port}",
        "admin": f"127.0.0.1:{target.admin}",
        "log_level": "error",
        "upstreams": {"bench": {"kind": "openai", "url": upstream}},
        "routes": [{"name": "bench", "upstream": "bench", "policies": policies}],
        "limits": {"holdout": 0},
    }
    file = work / f"{name}.yaml"
    file.write_text(json.dumps(document))
    target.argv = [sys.executable, "-m", "proxy.cli", "serve", "--config", str(file)]
    return target


def targets(work: Path, upstream: str) -> list[Target]:
    bare = Target("bare", [], free_port())
    bare.argv = [sys.executable, str(HERE / "bare.py"), "--port", str(bare.port), "--upstream", upstream]
    enforced = [{"extends": name, "enforcement": "enforce"} for name in EIGHT]
    observed = [{"extends": name, "enforcement": "observe"} for name in EIGHT]
    return [
        bare,
        config(work, "untouched", upstream, []),
        config(work, "observe", upstream, list(observed)),
        config(work, "enforce", upstream, list(enforced)),
    ]


def cpu_of(target: Target) -> float:
    """Seconds of CPU of the target's process so far."""
    assert target.process is not None
    fields = Path(f"/proc/{target.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(target: Target, bodies: Path, seconds: float, concurrency: int) -> None:
    command = ["wrk", "-t1", f"-c{concurrency}", f"-d{seconds:g}s", "--timeout", "10s", "-s", str(HERE / "load.lua")]
    before = cpu_of(target)
    done = subprocess.run(
        ["taskset", "-c", "0", *command, f"http://127.0.0.1:{target.port}"],
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


def measure_lag(kind: str, seconds: float) -> dict[str, float]:
    """Percentiles in milliseconds of how late the event loop of a server is, while 100 kB answers pass through it."""
    done = subprocess.run(
        [sys.executable, str(HERE / "lag.py"), kind, "--seconds", f"{seconds:g}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"lag probe of {kind}:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(arguments: argparse.Namespace, work: Path) -> tuple[list[Target], float, float]:
    """Load every target in shuffled rounds; the targets, and how many answers `observe` scored and shed."""
    bodies = prepare(work, arguments.count)
    port = free_port()
    (work / "nginx.conf").write_text(NGINX.format(d=work, port=port))
    nginx = spawn(["nginx", "-p", str(work), "-e", f"{work}/error.log", "-c", f"{work}/nginx.conf"], 0, work / "nginx.log")
    tested = targets(work, f"http://127.0.0.1:{port}/v1")
    try:
        for target in tested:
            target.process = spawn(target.argv, 1, work / f"{target.name}.log")
            wait_for(target.port, target.process, work / f"{target.name}.log")
            load(target, bodies, 1, arguments.concurrency)  # warm
            for warm in (target.rates, target.p99, target.cpu, target.busy):
                warm.clear()
        for _ in range(arguments.rounds):
            for target in random.sample(tested, len(tested)):
                load(target, bodies, arguments.seconds, arguments.concurrency)
                if target.name in ("bare", "enforce"):
                    load(target, bodies, max(1, arguments.seconds // 2), 1)
        time.sleep(1)
        observer = next(target for target in tested if target.name == "observe")
        return tested, metric(observer, "chunkguard_scans_total"), metric(observer, "chunkguard_observer_shed_total")
    finally:
        for target in tested:
            if target.process is not None:
                target.process.send_signal(signal.SIGTERM)
                target.process.wait(40)
        nginx.terminate()
        nginx.wait(10)


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


def compare_lags(lags: dict[str, dict[str, float]]) -> list[Bar]:
    """The bars on event-loop lag."""
    bars: list[Bar] = []
    for kind in ("observe", "enforce"):
        beyond = lags[kind]["p999"] - lags["bare"]["p999"]
        shown = f"{lags[kind]['p999']:.2f} ms, bare {lags['bare']['p999']:.2f} ms"
        bars.append((f"{kind}: loop lag p99.9 <= {LAG_MS:g} ms beyond bare's, 100 kB answers", beyond <= LAG_MS, shown))
    return bars


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "latest.json")
    arguments = parser.parse_args()
    missing = [program for program in ("nginx", "wrk", "taskset") if shutil.which(program) is None]
    if missing:
        raise SystemExit(f"needs {', '.join(missing)}: apt-get install nginx wrk util-linux")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # nginx's workers run as another user
        tested, scored, shed = measure(arguments, Path(folder))
    bars = compare(tested)
    bars.append(("observe scores everything", shed == 0 and scored > 0, f"{scored:.0f} scored, {shed:.0f} shed"))
    lags = {kind: measure_lag(kind, arguments.seconds * 3) for kind in ("bare", "observe", "enforce")}
    bars += compare_lags(lags)
    streams, stream_bars = measure_streams(arguments.seconds * 2)
    bars += stream_bars
    for name, holds, shown in bars:
        print(f"{'holds' if holds else 'FALLS SHORT':<12} {name}: {shown}")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result(arguments, tested, bars, lags, streams), indent=2) + "\n")
    fall = sum(not holds for _, holds, _ in bars)
    print(f"{len(bars) - fall} bars hold, {fall} fall short")
    return 0


def prepare(work: Path, count: int) -> Path:
    """Write the bodies for wrk and the replies for nginx."""
    (work / "replies").mkdir()
    bodies = work / "bodies.jsonl"
    with bodies.open("w") as lines:
        for number, (request, reply) in enumerate(exchanges(count)):
            lines.write(json.dumps(request, ensure_ascii=False) + "\n")
            (work / "replies" / f"{number}.json").write_text(json.dumps(reply, ensure_ascii=False))
    return bodies


def result(
    arguments: argparse.Namespace,
    tested: list[Target],
    bars: list[Bar],
    lags: dict[str, dict[str, float]],
    streams: dict[str, dict[str, float]],
) -> dict[str, object]:
    """What is kept of a run: command, machine, commit, figures."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False)
    return {
        "command": "make bench",
        "commit": commit.stdout.strip(),
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()},
        "settings": {key: str(value) for key, value in vars(arguments).items() if key != "out"},
        "requests_per_second": {target.name: [round(rate, 1) for rate in target.rates] for target in tested},
        "cpu_us_per_request": {target.name: [round(cost, 1) for cost in target.cpu] for target in tested},
        "lag_ms": lags,
        "streams": streams,
        "bars": [{"bar": name, "holds": holds, "measured": shown} for name, holds, shown in bars],
    }


if __name__ == "__main__":
    sys.exit(main())
