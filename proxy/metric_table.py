"""What is measured: every metric with its labels and meaning, and the closed sets that label values come from.

One rule: a name is added here or nowhere; the documentation is made from this table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from core.types import MODES, ActionKind, HoldKind
from policies.schema import TRIGGERS
from proxy.deleter import RESULTS
from proxy.limiting import limiter
from proxy.moderation import ANSWERS
from proxy.records import VERDICTS
from proxy.routing import ENDPOINTS
from proxy.upstream.breaking import STATES
from proxy.upstream.fallback import MOVES
from proxy.upstream.retrying import REASONS

OTHER = "other"
CHANGES = ("none", "boundary", "neutralise", "probe", "upstream", "model")
OUTCOMES = ("answered", "relayed", "failed", "blocked", "unavailable", "client_gone", "untouched")
FAILURES = ("unavailable", "timeout", "protocol", "rejected", "budget", "cancelled")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_FINE_SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
_ADDED_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metric(NamedTuple):
    """What a metric is called and means. `labels` are in the order in which it is used."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


#: Every metric; the documentation is made from this table.
METRICS: tuple[Metric, ...] = (
    Metric("chunkguard_requests_total", "counter", ("route", "endpoint", "streamed", "outcome", "status"), "Client requests."),
    Metric("chunkguard_triggers_total", "counter", ("route", "trigger"), "Requests that raised a prompt trigger."),
    Metric("chunkguard_verdicts_total", "counter", ("route", "verdict"), "Verdicts on the answers that were sent."),
    Metric(
        "chunkguard_findings_total",
        "counter",
        ("route", "mode", "verdict", "policy"),
        "Requests whose first answer a policy found suspect or misrouted.",
    ),
    Metric("chunkguard_actions_total", "counter", ("route", "action"), "Strongest action taken on a request."),
    Metric("chunkguard_attempts_total", "counter", ("route", "change", "verdict"), "Upstream calls, by change of prompt."),
    Metric("chunkguard_fixes_total", "counter", ("route", "mode"), "Modes that a retry or probe removed from the answer sent."),
    Metric("chunkguard_made_worse_total", "counter", ("route", "mode"), "Modes that a retry had newly or at a higher level."),
    Metric("chunkguard_holdout_total", "counter", ("route", "verdict"), "Requests judged and deliberately not acted on."),
    Metric("chunkguard_holds_total", "counter", ("route", "hold", "expired"), "Answers by how much was held back."),
    Metric("chunkguard_flagged_total", "counter", ("route",), "Answers sent although suspect or misrouted."),
    Metric("chunkguard_unchecked_total", "counter", ("route", "policy"), "Policies that could not judge an answer."),
    Metric(
        "chunkguard_moderations_total", "counter", ("route", "result"), "Questions to moderation endpoints, by what came back."
    ),
    Metric(
        "chunkguard_deleted_responses_total",
        "counter",
        ("route", "result"),
        "Stored responses of dropped attempts, by whether they could be deleted.",
    ),
    Metric("chunkguard_failures_total", "counter", ("route", "kind"), "Attempts that failed, by kind."),
    Metric("chunkguard_retries_denied_total", "counter", ("route",), "Retries denied by a budget or the retry share."),
    Metric(
        "chunkguard_tokens_total", "counter", ("route", "kind", "sent"), "Tokens of all attempts; sent: of the answer sent."
    ),
    Metric("chunkguard_scans_total", "counter", ("route",), "Calls of the detectors."),
    Metric("chunkguard_scanned_characters_total", "counter", ("route",), "Characters that detectors read."),
    Metric(
        "chunkguard_observer_shed_total", "counter", (), "Observed exchanges that were not scored because the queue was full."
    ),
    Metric(
        "chunkguard_key_requests_total",
        "counter",
        ("key", "result"),
        "Requests of client keys that have limits: admitted, or which limit refused them.",
    ),
    Metric("chunkguard_key_tokens_total", "counter", ("key",), "Tokens that client keys with limits were charged."),
    Metric(
        "chunkguard_upstream_retries_total",
        "counter",
        ("upstream", "reason"),
        "Requests sent to an upstream again: unconnected, refused (429, 503, 529) or broken.",
    ),
    Metric("chunkguard_upstream_hedges_total", "counter", ("upstream",), "Requests sent to a slow upstream a second time."),
    Metric("chunkguard_breaker_changes_total", "counter", ("upstream", "state"), "Changes of a breaker, by its new state."),
    Metric("chunkguard_breaker_refused_total", "counter", ("upstream",), "Calls that an open breaker refused."),
    Metric(
        "chunkguard_upstream_moves_total",
        "counter",
        ("group", "upstream", "reason"),
        "Requests that an upstream of a fallback group could not answer, so that its next one was asked.",
    ),
    Metric(
        "chunkguard_upstream_shares_total",
        "counter",
        ("group", "upstream"),
        "Requests of a weighted group, by the upstream that was asked.",
    ),
    Metric("chunkguard_request_seconds", "histogram", ("route",), "From the request to the end of the answer.", _SECONDS),
    Metric("chunkguard_upstream_seconds", "histogram", ("route",), "Spent in upstream calls, all attempts.", _SECONDS),
    Metric("chunkguard_added_seconds", "histogram", ("route",), "Added to the first attempt's time.", _ADDED_SECONDS),
    Metric("chunkguard_detector_seconds", "histogram", ("route",), "Spent in detectors.", _FINE_SECONDS),
    Metric("chunkguard_policy_revision_info", "gauge", ("revision",), "The revision in force; always 1."),
    Metric("chunkguard_log_lost_total", "counter", ("log",), "Lines that a log could not take, a full disk for example."),
    Metric("chunkguard_requests_active", "gauge", ("worker",), "Client requests under way."),
    Metric("chunkguard_observer_waiting", "gauge", ("worker",), "Exchanges that wait to be scored afterwards."),
    Metric("chunkguard_resident_bytes", "gauge", ("worker",), "Memory that a worker holds."),
    Metric("chunkguard_open_files", "gauge", ("worker",), "Files and sockets that a worker has open."),
    Metric("chunkguard_cpu_seconds_total", "counter", (), "CPU time of all workers."),
    Metric("chunkguard_workers", "gauge", (), "Workers that run."),
    Metric("chunkguard_worker_restarts_total", "counter", (), "Workers that died and were started again."),
)
KINDS = {metric.name: metric.kind for metric in METRICS}
_FIXED: dict[str, frozenset[str]] = {
    "endpoint": frozenset(ENDPOINTS),
    "streamed": frozenset(("true", "false")),
    "expired": frozenset(("true", "false")),
    "sent": frozenset(("true", "false")),
    "outcome": frozenset(OUTCOMES),
    "status": frozenset(("1xx", "2xx", "3xx", "4xx", "5xx", "none")),
    "verdict": frozenset((*VERDICTS, "failed")),
    "mode": frozenset(MODES),
    "action": frozenset(kind.name.lower() for kind in ActionKind),
    "change": frozenset(CHANGES) | {f"{one}+{two}" for one in CHANGES[1:] for two in CHANGES[1:] if one != two},
    "hold": frozenset(kind.name.lower() for kind in HoldKind),
    "result": frozenset((*ANSWERS, *RESULTS, *limiter.RESULTS)),
    "reason": frozenset((*REASONS, *MOVES)),
    "state": frozenset(STATES),
    "log": frozenset(("events", "decisions")),
    "kind": frozenset((*FAILURES, "prompt", "completion")),
}


class Labels:
    """The closed sets of label values; `map` turns a value outside its set into `other`."""

    def __init__(self) -> None:
        self._sets = {**_FIXED, "route": frozenset[str](), "policy": frozenset[str](), "trigger": frozenset(TRIGGERS)}
        self._sets |= {"key": frozenset[str](), "upstream": frozenset[str](), "group": frozenset[str]()}

    def allow(
        self,
        *,
        routes: Iterable[str] = (),
        policies: Iterable[str] = (),
        triggers: Iterable[str] = (),
        keys: Iterable[str] = (),
        upstreams: Iterable[str] = (),
    ) -> None:
        """Add names of a configuration. Those of an earlier one stay: their series exist already."""
        for label, names in (
            ("route", routes),
            ("policy", policies),
            ("trigger", triggers),
            ("key", keys),
            ("upstream", upstreams),
            ("group", upstreams),
        ):
            self._sets[label] |= frozenset(names)

    def map(self, label: str, value: str) -> str:
        return value if value in self._sets[label] else OTHER
