"""Writes dashboards/chunkguard.json, the Grafana dashboard, from the table of panels below.

One rule: a panel is one question an operator has, in words, with the queries that answer it; every query is run against a real
Prometheus by the system tests. `python deploy/grafana/dashboard.py` rewrites the file; a test fails when it is stale.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).resolve().parent / "dashboards" / "chunkguard.json"
WIDTH, HEIGHT, COLUMNS = 8, 7, 3


class Panel(NamedTuple):
    """A time series panel. `queries`: (PromQL, legend). `why`: what a look at it tells."""

    title: str
    unit: str
    why: str
    queries: tuple[tuple[str, str], ...]


class Row(NamedTuple):
    title: str
    panels: tuple[Panel, ...]


_BY = 'job=~"$job",route=~"$route"'
_ANY = 'job=~"$job"'
_W = "[$__rate_interval]"


def _quantiles(metric: str, *quantiles: float) -> tuple[tuple[str, str], ...]:
    rate = f"sum by (le) (rate({metric}_bucket{{{_BY}}}{_W}))"
    return tuple((f"histogram_quantile({q}, {rate})", f"p{q * 100:g}") for q in quantiles)


ROWS: tuple[Row, ...] = (
    Row("What clients get", (
        Panel("Requests", "reqps", "How much comes, and what became of it.",
              ((f"sum by (outcome) (rate(chunkguard_requests_total{{{_BY}}}{_W}))", "{{outcome}}"),)),
        Panel("Requests by route", "reqps", "Which application sends it.",
              ((f"sum by (route) (rate(chunkguard_requests_total{{{_BY}}}{_W}))", "{{route}}"),)),
        Panel("Answers by status", "reqps", "5xx are ours or the provider's; 4xx the clients'.",
              ((f"sum by (status) (rate(chunkguard_requests_total{{{_BY}}}{_W}))", "{{status}}"),)),
        Panel("Time of a request", "s", "From the request to the end of the answer: mostly the model's.",
              _quantiles("chunkguard_request_seconds", 0.5, 0.95, 0.99)),
        Panel("Added by retries and holds", "s", "What clients wait longer than for the first attempt alone.",
              _quantiles("chunkguard_added_seconds", 0.5, 0.95)),
        Panel("Share of 5xx", "percentunit", "The error budget: 0.1% over 30 days.",
              (("chunkguard:server_errors:ratio_rate5m", "5 minutes"), ("chunkguard:server_errors:ratio_rate1h", "1 hour"))),
    )),
    Row("What the guard finds and does", (
        Panel("First answers found misrouted", "reqps", "By mode, before anything was done about it.",
              ((f'sum by (mode) (rate(chunkguard_findings_total{{{_BY},verdict="misrouted"}}{_W}))', "{{mode}}"),)),
        Panel("Fixed and made worse", "reqps", "Retries help where the first is far above the second.",
              ((f"sum by (mode) (rate(chunkguard_fixes_total{{{_BY}}}{_W}))", "fixed: {{mode}}"),
               (f"sum by (mode) (rate(chunkguard_made_worse_total{{{_BY}}}{_W}))", "worse: {{mode}}"))),
        Panel("Verdicts on answers sent", "reqps", "What clients were given.",
              ((f"sum by (verdict) (rate(chunkguard_verdicts_total{{{_BY}}}{_W}))", "{{verdict}}"),)),
        Panel("Actions", "reqps", "The strongest action taken on a request.",
              ((f"sum by (action) (rate(chunkguard_actions_total{{{_BY}}}{_W}))", "{{action}}"),)),
        Panel("Triggers", "reqps", "Prompt features that fire, whatever was answered: changes when your prompts change.",
              ((f"topk(8, sum by (trigger) (rate(chunkguard_triggers_total{{{_BY}}}{_W})))", "{{trigger}}"),)),
        Panel("Flagged, unchecked, denied", "reqps", "Went out although something was wrong, or nobody could tell.",
              ((f"sum(rate(chunkguard_flagged_total{{{_BY}}}{_W}))", "flagged"),
               (f"sum(rate(chunkguard_unchecked_total{{{_BY}}}{_W}))", "unchecked"),
               (f"sum(rate(chunkguard_retries_denied_total{{{_BY}}}{_W}))", "retries denied"))),
        Panel("Share misrouted, by mode", "percentunit", "Of a route's answers, over an hour: a model that changed shows here.",
              (('chunkguard:misrouted:ratio_rate1h{route=~"$route"}', "{{route}} {{mode}}"),)),
        Panel("Held back", "reqps", "How much of an answer waits for its verdict; expired: judged early.",
              ((f"sum by (hold, expired) (rate(chunkguard_holds_total{{{_BY}}}{_W}))", "{{hold}} expired={{expired}}"),)),
        Panel("Held out", "reqps", "Judged and deliberately not acted on: what the guard is compared with.",
              ((f"sum by (verdict) (rate(chunkguard_holdout_total{{{_BY}}}{_W}))", "{{verdict}}"),)),
    )),
    Row("What it costs", (
        Panel("Model calls", "reqps", "By what was changed of the prompt; all but none are retries and probes.",
              ((f"sum by (change) (rate(chunkguard_attempts_total{{{_BY}}}{_W}))", "{{change}}"),)),
        Panel("Tokens", "short", "A second; what was not sent is what retries cost.",
              ((f"sum by (kind, sent) (rate(chunkguard_tokens_total{{{_BY}}}{_W}))", "{{kind}} sent={{sent}}"),)),
        Panel("Time in detectors", "s", "A request's, all looks together.",
              _quantiles("chunkguard_detector_seconds", 0.5, 0.99)),
        Panel("Time of the provider", "s", "All attempts together.",
              _quantiles("chunkguard_upstream_seconds", 0.5, 0.95)),
        Panel("Failed calls", "reqps", "By kind; budget: never sent.",
              ((f"sum by (kind) (rate(chunkguard_failures_total{{{_BY}}}{_W}))", "{{kind}}"),)),
        Panel("Text scanned", "short", "Characters a second that detectors read.",
              ((f"sum(rate(chunkguard_scanned_characters_total{{{_BY}}}{_W}))", "characters"),)),
    )),
    Row("Keys and upstreams", (
        Panel("Requests of limited keys", "reqps", "Admitted, or which limit refused them; uncounted: Redis is gone.",
              ((f"sum by (key, result) (rate(chunkguard_key_requests_total{{{_ANY}}}{_W}))", "{{key}} {{result}}"),)),
        Panel("Tokens of limited keys", "short", "A second, as they are charged.",
              ((f"sum by (key) (rate(chunkguard_key_tokens_total{{{_ANY}}}{_W}))", "{{key}}"),)),
        Panel("Sent again to an upstream", "reqps", "No connection, a provider that asked to wait, a group's next one.",
              ((f"sum by (upstream, reason) (rate(chunkguard_upstream_retries_total{{{_ANY}}}{_W}))",
                "{{upstream}} {{reason}}"),
               (f"sum by (upstream) (rate(chunkguard_upstream_hedges_total{{{_ANY}}}{_W}))", "{{upstream}} hedged"),
               (f"sum by (group, upstream, reason) (rate(chunkguard_upstream_moves_total{{{_ANY}}}{_W}))",
                "{{group}}: not {{upstream}}, {{reason}}"),
               (f"sum by (group, upstream) (rate(chunkguard_upstream_shares_total{{{_ANY}}}{_W}))",
                "{{group}}: {{upstream}}"))),
        Panel("Breakers", "short", "Changes in five minutes, by the new state, and calls a second that an open one refused.",
              ((f"sum by (upstream, state) (increase(chunkguard_breaker_changes_total{{{_ANY}}}[5m]))",
                "{{upstream}} {{state}}"),
               (f"sum by (upstream) (rate(chunkguard_breaker_refused_total{{{_ANY}}}{_W}))", "refused {{upstream}}"))),
    )),
    Row("How the workers are", (
        Panel("Workers", "short", "Running, and started again in five minutes.",
              ((f"sum by (instance) (chunkguard_workers{{{_ANY}}})", "running {{instance}}"),
               (f"sum by (instance) (increase(chunkguard_worker_restarts_total{{{_ANY}}}[5m]))", "restarts {{instance}}"))),
        Panel("CPUs used", "short", "One a worker is full.",
              ((f"sum by (instance) (rate(chunkguard_cpu_seconds_total{{{_ANY}}}{_W}))", "{{instance}}"),)),
        Panel("Memory", "bytes", "A worker's; grows with text that is held.",
              ((f"chunkguard_resident_bytes{{{_ANY}}}", "{{instance}} {{worker}}"),)),
        Panel("Under way", "short", "Requests at this moment, and exchanges that wait to be scored afterwards.",
              ((f"sum by (instance) (chunkguard_requests_active{{{_ANY}}})", "requests {{instance}}"),
               (f"sum by (instance) (chunkguard_observer_waiting{{{_ANY}}})", "to be scored {{instance}}"))),
        Panel("Open files", "short", "Connections, mostly.",
              ((f"chunkguard_open_files{{{_ANY}}}", "{{instance}} {{worker}}"),)),
        Panel("Lost", "short", "In five minutes: lines of logs, and exchanges that were not scored.",
              ((f"sum by (log) (increase(chunkguard_log_lost_total{{{_ANY}}}[5m]))", "log {{log}}"),
               (f"sum(increase(chunkguard_observer_shed_total{{{_ANY}}}[5m]))", "not scored"))),
        Panel("Revisions", "short", "More than one for long: a reload failed somewhere.",
              ((f"count by (revision) (chunkguard_policy_revision_info{{{_ANY}}})", "{{revision}}"),)),
    )),
)  # fmt: skip


def panels() -> list[Panel]:
    """All panels, in order."""
    return [panel for row in ROWS for panel in row.panels]


def document() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    made: list[dict[str, Any]] = []
    y = 0
    for row in ROWS:
        head = {"type": "row", "title": row.title, "collapsed": False, "panels": []}
        made.append({"id": len(made) + 1, "gridPos": _place(0, y, COLUMNS * WIDTH, 1), **head})
        y += 1
        for index, panel in enumerate(row.panels):
            place = _place(index % COLUMNS * WIDTH, y + index // COLUMNS * HEIGHT, WIDTH, HEIGHT)
            made.append({"id": len(made) + 1, "gridPos": place, **_panel(panel)})
        y += -(-len(row.panels) // COLUMNS) * HEIGHT
    variables = [_source(), _variable("job", "chunkguard_workers"), _variable("route", "chunkguard_requests_total")]
    return {
        "uid": "chunkguard",
        "title": "chunkguard",
        "description": "What the guard finds, does and costs. Made by deploy/grafana/dashboard.py.",
        "tags": ["llm", "chunkguard"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": variables},
        "annotations": {"list": [_reloads()]},
        "panels": made,
    }


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


_SOURCE = {"type": "prometheus", "uid": "$datasource"}


def _panel(panel: Panel) -> dict[str, Any]:
    drawn = {"fillOpacity": 8, "showPoints": "never"}
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.why,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": drawn}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend, "datasource": _SOURCE}
            for index, (query, legend) in enumerate(panel.queries)
        ],
    }


def _source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}}


def _variable(label: str, metric: str) -> dict[str, Any]:
    return {
        "name": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": f"label_values({metric}, {label})", "refId": label},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _reloads() -> dict[str, Any]:
    """A line where the configuration changed."""
    return {
        "name": "Revisions",
        "enable": True,
        "iconColor": "blue",
        "datasource": _SOURCE,
        "expr": "count by (revision) (chunkguard_policy_revision_info)"
        " unless count by (revision) (chunkguard_policy_revision_info offset 1m)",
        "titleFormat": "revision {{revision}}",
    }


def text() -> str:
    """The file's text."""
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
