"""A proxy of two workers under traffic of every kind, watched by a real Prometheus with the rules that we ship.

One rule: all that the dashboard shows has happened: answers mended and made worse, failed, held, denied, a worker killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.system.programs import free_port, program, running, wait_for_port

ROOT = Path(__file__).resolve().parent.parent.parent
POEM = "```python\nclass Peace:\n    def __init__(self):\n        self.harmony = True\n\nprint(Peace().harmony)\n```"
#: What is answered to what: the first that matches.
EXCHANGES: list[dict[str, Any]] = [
    {
        "match": {"last_user": "Is 4+7=11?"},
        "reply": "No, 4+7=11 is incorrect. The correct answer is 4+7=11.",
        "chunks": 3,
        "chunk_ms": 20,
    },
    {"match": {"contains": ["4+7"]}, "reply": "Yes, 4+7=11 is correct."},
    {"match": {"last_user": "Is 3+3=6?"}, "reply": "No, 3+3=6 is incorrect. The correct answer is 3+3=6."},
    {"match": {"contains": ["3+3"]}, "reply": f"No, 3+3=6 is incorrect. 3+3=6.\n\n{POEM}"},
    {"match": {"last_user": "Elucidate the concept of peace."}, "reply": POEM},
    {"match": {"contains": ["peace"]}, "reply": "Peace is more than the absence of war.", "delay_ms": 150},
    {"match": {"contains": ["sea"]}, "reply": "The sea is wide and deep. " * 8, "chunks": 8, "chunk_ms": 25},
    {"reply": "Blue."},
]
#: Of a client with limits, and of one without.
KEYS = ("a-key-with-limits-0123456789abcdef", "a-key-without-limits-0123456789ab")
#: (prefix of the route, prompt).
PROMPTS = (
    ("", "Is 4+7=11?"), ("", "Name a colour."), ("/app", "Tell me about the sea."), ("", "Elucidate the concept of peace."),
    ("", "Is 3+3=6?"), ("/observing", "Elucidate the concept of peace."), ("/app", "Name a colour."),
    ("/hurried", "Elucidate the concept of peace."), ("/gone", "Name a colour."), ("/untouched", "Name a colour."),
    ("/app", "Name another colour."), ("/spared", "Name a colour."), ("/shared", "Name a colour."),
)  # fmt: skip


@dataclass
class Observed:
    """Where both listen, how many requests were answered at all, and what the supervisor is."""

    url: str
    admin: str
    prometheus: str
    supervisor: int
    sent: int = 0
    statuses: dict[int, int] = field(default_factory=dict)

    def traffic(self, seconds: float, pause: float = 0.02) -> None:
        """Requests of every kind, one after the other, each on a connection of its own."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            prefix, prompt = PROMPTS[self.sent % len(PROMPTS)]
            body = {"model": "m", "stream": self.sent % 3 == 0, "messages": [{"role": "user", "content": prompt}]}
            sent = {"Authorization": f"Bearer {KEYS[self.sent % 4 > 0]}"}
            status = httpx.post(f"{self.url}{prefix}/v1/chat/completions", json=body, headers=sent, timeout=120).status_code
            self.sent += 1
            self.statuses[status] = self.statuses.get(status, 0) + 1
            time.sleep(pause)

    def kill_a_worker(self) -> None:
        """The first child, without a warning."""
        children = Path(f"/proc/{self.supervisor}/task/{self.supervisor}/children").read_text(encoding="ascii").split()
        os.kill(int(children[0]), signal.SIGKILL)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """An instant query, over Prometheus' API."""
        reply = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": query})
        if reply.status_code != 200:
            raise AssertionError(f"{query}: {reply.text}")
        result: list[dict[str, Any]] = reply.json()["data"]["result"]
        return result

    def ask_range(self, query: str, seconds: float, step: float = 1.0) -> list[dict[str, Any]]:
        """A query over the last seconds."""
        now = time.time()
        window = {"start": str(now - seconds), "end": str(now), "step": str(step)}
        reply = httpx.get(f"{self.prometheus}/api/v1/query_range", params={"query": query, **window})
        if reply.status_code != 200:
            raise AssertionError(f"{query}: {reply.text}")
        result: list[dict[str, Any]] = reply.json()["data"]["result"]
        return result


@contextmanager
def observed(folder: Path) -> Iterator[Observed]:
    """`chunkguard serve` with two workers before recorded answers, and Prometheus, both as a user starts them."""
    port, admin_port, prometheus_port, redis_port = free_port(), free_port(), free_port(), free_port()
    lines = "".join(json.dumps(exchange) + "\n" for exchange in EXCHANGES)
    (folder / "exchanges.jsonl").write_text(lines, encoding="utf-8")
    policies = ["rebuttal", "code", "math"]
    settings = {
        "listen": f"127.0.0.1:{port}",
        "admin": f"127.0.0.1:{admin_port}",
        "workers": 2,
        "log_level": "error",
        "decisions": {"file": "/proc/no/such/place.jsonl"},  # as on a full disk
        "limit_store": {"kind": "redis", "url": f"redis://127.0.0.1:{redis_port}/0"},
        "keys": {
            "limited": {"key": KEYS[0], "limits": {"requests_per_minute": 60, "tokens_per_minute": 1_000_000}},
            "free": KEYS[1],
        },
        "upstreams": {
            "recorded": {"kind": "replay", "file": "exchanges.jsonl"},
            "gone": {
                "kind": "openai",
                "url": f"http://127.0.0.1:{free_port()}/v1",
                "api_key": KEYS[1],
                "retries": {"times": 1, "backoff_s": 0.01},
                "breaker": {"open_s": 2},
            },
            "spared": {"kind": "fallback", "upstreams": ["gone", "recorded"]},
            "shared": {"kind": "weighted", "upstreams": {"recorded": 3, "spared": 1}},
        },
        "routes": [
            {"name": "default", "upstream": "recorded", "policies": policies},
            {"name": "app", "match": {"path_prefix": "/app"}, "upstream": "recorded", "policies": policies},
            {"name": "observing", "match": {"path_prefix": "/observing"}, "upstream": "recorded",
             "policies": [{"extends": "code", "enforcement": "observe"}]},
            {"name": "gone", "match": {"path_prefix": "/gone"}, "upstream": "gone", "policies": policies},
            {"name": "hurried", "match": {"path_prefix": "/hurried"}, "upstream": "recorded",
             "policies": [{"extends": "code", "boundary": {"inject": "on_retry"}, "budgets": {"added_ms": 50}}]},
            {"name": "untouched", "match": {"path_prefix": "/untouched"}, "upstream": "recorded"},
            {"name": "spared", "match": {"path_prefix": "/spared"}, "upstream": "spared"},
            {"name": "shared", "match": {"path_prefix": "/shared"}, "upstream": "shared"},
        ],
        "limits": {"holdout": 0.05, "retry_share": 0.25},
    }  # fmt: skip
    file = folder / "chunkguard.yaml"
    file.write_text(json.dumps(settings), encoding="utf-8")
    scrape = {
        "job_name": "chunkguard",
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "static_configs": [{"targets": [f"127.0.0.1:{admin_port}"]}],
    }
    own = {
        "global": {"evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "deploy" / "prometheus" / "rules.yml")],
        "scrape_configs": [scrape],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(own), encoding="utf-8")
    serve = [str(Path(sys.executable).with_name("chunkguard")), "serve", "--config", str(file)]
    watch = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{prometheus_port}",
    ]
    store = [program("redis-server"), "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with ExitStack() as stack:
        stack.enter_context(running(store, folder / "redis.log", redis_port))
        process = stack.enter_context(running(serve, folder / "gateway.log", port))
        wait_for_port(admin_port, process, folder / "gateway.log", seconds=500)
        with running(watch, folder / "prometheus.log", prometheus_port):
            yield Observed(
                f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}", f"http://127.0.0.1:{prometheus_port}", process.pid
            )
