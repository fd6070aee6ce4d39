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


#: Series over 20 minutes and the alerts that they must raise at the end of them, and no others.
ALERTS: dict[str, tuple[dict[str, str], set[str]]] = {
    "healthy": (
        {
            'up{job="chunkguard"}': "1x20",
            'chunkguard_requests_total{route="a",outcome="answered"}': "0+600x20",
            'chunkguard_unchecked_total{route="a",policy="code"}': "0+1x20",
            'chunkguard_attempts_total{route="a"}': "0+620x20",
            'chunkguard_failures_total{route="a",kind="timeout"}': "0+2x20",
            'chunkguard_policy_revision_info{revision="r1"}': "1x20",
        },
        set(),
    ),
    "ill": (
        {
            'up{job="chunkguard"}': "1x10 0x10",
            'chunkguard_requests_total{route="a",outcome="answered"}': "0+600x20",
            'chunkguard_unchecked_total{route="a",policy="code"}': "0+60x20",
            'chunkguard_attempts_total{route="a"}': "0+620x20",
            'chunkguard_failures_total{route="a",kind="timeout"}': "0+200x20",
            'chunkguard_made_worse_total{route="a",mode="code"}': "0+2x20",
            'chunkguard_fixes_total{route="a",mode="code"}': "0+3x20",
            'chunkguard_policy_revision_info{revision="r1"}': "1x20",
            'chunkguard_policy_revision_info{revision="r2"}': "1x20",
        },
        {"Down", "Unchecked", "UpstreamFails", "MakesWorse", "RevisionsDiffer"},
    ),
}


@pytest.mark.parametrize("case", ALERTS)
def test_alerts_fire_when_they_should(case: str, tmp_path: Path) -> None:
    series, expected = ALERTS[case]
    names = {rule["alert"] for group in yaml.safe_load((DEPLOY / "rules.yml").read_text())["groups"] for rule in group["rules"]}
    firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
    samples = [{"labels": f'{{alertname="Chunkguard{name}"}}', "value": 1} for name in sorted(expected)]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": firing, "eval_time": "19m", "exp_samples": samples}],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(DEPLOY / "rules.yml")], "tests": [test]}), encoding="utf-8")
    done = subprocess.run([program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {f"Chunkguard{name}" for name in expected} <= names


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
