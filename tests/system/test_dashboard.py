"""The Grafana dashboard against a real Prometheus that scrapes two workers under traffic; one of them is killed.

One rule: a query counts as checked only if it has given data, but for those listed with a reason.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from proxy.metric_table import METRICS
from tests.system.observed import ROOT, Observed, observed

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

#: Parts of queries -> why they may stay without data here.
MAY_BE_EMPTY = {
    "chunkguard_unchecked_total": "no detector is late or broken here",
    "ratio_rate1h": "a rate over an hour needs more of it",
    "chunkguard_upstream_hedges_total": "nobody hedges unless told to",
}


def dashboard() -> Any:
    """deploy/grafana/dashboard.py, which no package holds."""
    spec = spec_from_file_location("dashboard", ROOT / "deploy" / "grafana" / "dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def filled(query: str) -> str:
    """A query as Grafana sends it."""
    return query.replace("$__rate_interval", "30s").replace("$job", ".*").replace("$route", ".*")


def targets() -> list[tuple[str, str]]:
    """(panel, query) of the shipped file, that of the annotation included."""
    document = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "chunkguard.json").read_text(encoding="utf-8"))
    found = [(panel["title"], target["expr"]) for panel in document["panels"] for target in panel.get("targets", ())]
    return found + [(item["name"], item["expr"]) for item in document["annotations"]["list"]]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    with observed(tmp_path_factory.mktemp("observed")) as made:
        made.traffic(15)
        time.sleep(2)  # what is counted has been seen
        made.kill_a_worker()
        made.traffic(25)
        time.sleep(3)
        yield made


def test_the_file_is_that_of_the_table() -> None:
    assert dashboard().FILE.read_text(encoding="utf-8") == dashboard().text()


@pytest.mark.parametrize(("panel", "query"), targets())
def test_every_query_gives_data(watched: Observed, panel: str, query: str) -> None:
    assert "$" not in filled(query), "a variable that nobody fills"
    result = watched.ask(filled(query))
    values = [float(series["value"][1]) for series in result]
    excused = any(part in query for part in MAY_BE_EMPTY) or panel == "Revisions"
    assert (values and any(value == value for value in values)) or excused, panel  # NaN is no data


def test_counts_are_exact_over_two_workers_and_the_death_of_one(watched: Observed) -> None:
    """Everything a client sent is in the sum, and no series ever went back, which Prometheus would take for a new beginning."""
    (total,) = watched.ask("sum(chunkguard_requests_total)")
    assert float(total["value"][1]) == watched.sent
    for kind in (2, 4, 5):
        counted = watched.ask(f'sum(chunkguard_requests_total{{status="{kind}xx"}})')
        answered = sum(count for status, count in watched.statuses.items() if status // 100 == kind)
        assert sum(float(series["value"][1]) for series in counted) == answered
    assert {200, 502} <= watched.statuses.keys() <= {200, 429, 502, 503}
    for metric in METRICS:
        if metric.kind == "counter" and metric.name != "chunkguard_cpu_seconds_total":
            assert [series for series in watched.ask(f"resets({metric.name}[5m]) > 0")] == []
    (restarts,) = watched.ask("chunkguard_worker_restarts_total")
    assert float(restarts["value"][1]) == 1
    (workers,) = watched.ask("chunkguard_workers")
    assert float(workers["value"][1]) == 2


def test_rules_record_what_they_should(watched: Observed) -> None:
    failed = sum(count for status, count in watched.statuses.items() if status >= 500)
    (share,) = watched.ask("chunkguard:server_errors:ratio_rate5m")
    assert float(share["value"][1]) == pytest.approx(failed / watched.sent, rel=0.3)
    firing = {alert["metric"]["alertname"] for alert in watched.ask('ALERTS{alertname="ChunkguardLogLost"}')}
    assert firing == {"ChunkguardLogLost"}


def test_the_picture_of_the_dashboard_is_there() -> None:
    page = (ROOT / "docs" / "dashboard.md").read_text(encoding="utf-8")
    titles = {panel.title for panel in dashboard().panels()}
    assert {title for title in titles if f"| {title} |" not in page} == set()
    for picture in re.findall(r"\]\((pictures/[^)]+)\)", page):
        assert (ROOT / "docs" / picture).stat().st_size > 20_000
    assert Path(ROOT / "docs" / "pictures").is_dir()
