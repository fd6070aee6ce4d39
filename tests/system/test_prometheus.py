"""Debian's Prometheus scrapes a real proxy, and its promtool reads what we expose and what we ship.

One rule: what is asked of Prometheus is what a user would ask, over its HTTP API.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from openai import OpenAI

from tests.system.programs import DENIED, Gateway, free_port, program, running

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy" / "prometheus"


@pytest.fixture(scope="module")
def prometheus(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    port = free_port()
    target = {"targets": [f"127.0.0.1:{gateway.admin_port}"]}
    scrape = {"job_name": "chunkguard", "scrape_interval": "1s", "scrape_timeout": "1s", "static_configs": [target]}
    settings = {
        "global": {"evaluation_interval": "1s"},
        "rule_files": [str(DEPLOY / "rules.yml")],
        "scrape_configs": [scrape],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [
        program("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, folder / "prometheus.log", port):
        yield f"http://127.0.0.1:{port}"


def ask(prometheus: str, query: str) -> list[dict[str, Any]]:
    reply = httpx.get(f"{prometheus}/api/v1/query", params={"query": query})
    result: list[dict[str, Any]] = reply.json()["data"]["result"] if reply.status_code == 200 else []
    return result


def wait_for(prometheus: str, query: str, at_least: float, seconds: float = 45) -> float:
    end = time.monotonic() + seconds
    value = -1.0
    while time.monotonic() < end:
        result = ask(prometheus, query)
        value = float(result[0]["value"][1]) if result else -1.0
        if value >= at_least:
            return value
        time.sleep(0.3)
    pytest.fail(f"{query} is {value}, not {at_least}, after {seconds} s")


def test_every_alert_fires_when_it_should_and_only_then() -> None:
    """`rules_test.yml` has a case for each; promtool compares all alerts of a name, so a case's other series are quiet."""
    groups = yaml.safe_load((DEPLOY / "rules.yml").read_text(encoding="utf-8"))["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    tests = yaml.safe_load((DEPLOY / "rules_test.yml").read_text(encoding="utf-8"))["tests"]
    assert {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]} == alerts
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(DEPLOY / "rules_test.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def check(*arguments: str | Path, text: str | None = None) -> None:
    command = [program("promtool"), "check", *map(str, arguments)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_counts_what_clients_did(gateway: Gateway, prometheus: str) -> None:
    wait_for(prometheus, 'up{job="chunkguard"}', 1)
    before = ask(prometheus, "sum(chunkguard_requests_total)")
    had = float(before[0]["value"][1]) if before else 0.0
    client = OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0)
    for prompt in (DENIED, "Name a colour.", "Name another colour."):
        client.chat.completions.create(model="recorded", messages=[{"role": "user", "content": prompt}])
    assert wait_for(prometheus, "sum(chunkguard_requests_total)", had + 3) == had + 3
    assert wait_for(prometheus, 'sum(chunkguard_fixes_total{mode="rebuttal"})', 1) >= 1


def test_promtool_accepts_what_is_exposed(gateway: Gateway) -> None:
    check("metrics", text=httpx.get(f"{gateway.admin}/metrics").text)


def test_promtool_accepts_what_is_shipped() -> None:
    check("rules", DEPLOY / "rules.yml")
    check("config", "--syntax-only", DEPLOY / "prometheus.yml")


def test_prometheus_evaluates_every_rule(prometheus: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        groups = httpx.get(f"{prometheus}/api/v1/rules").json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        if rules and all(rule["health"] == "ok" for rule in rules):
            return
        time.sleep(0.5)
    pytest.fail(f"rules are not healthy: {[(rule['name'], rule['health'], rule.get('lastError')) for rule in rules]}")
