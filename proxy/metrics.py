"""Prometheus metrics, all derived from decision records, in a registry of their own.

One rule: every label comes from a closed set - routes, policies and triggers of the configuration, and the names of this code -
and anything else becomes `other`; no client can make a series.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from threading import Lock
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from core.types import MODES, ActionKind, HoldKind
from policies.schema import TRIGGERS
from proxy.deleter import RESULTS
from proxy.moderation import ANSWERS
from proxy.records import VERDICTS, AttemptRecord, DecisionRecord
from proxy.routing import ENDPOINTS

OTHER = "other"
#: Different counts kept outside the registry at most: strangers' labels have no bound.
MAX_COUNTED = 1_000
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
    Metric("chunkguard_observer_shed_total", "counter", (), "Relayed answers that were not scored because the queue was full."),
    Metric("chunkguard_request_seconds", "histogram", ("route",), "From the request to the end of the answer.", _SECONDS),
    Metric("chunkguard_upstream_seconds", "histogram", ("route",), "Spent in upstream calls, all attempts.", _SECONDS),
    Metric("chunkguard_added_seconds", "histogram", ("route",), "Added to the first attempt's time.", _ADDED_SECONDS),
    Metric("chunkguard_detector_seconds", "histogram", ("route",), "Spent in detectors.", _FINE_SECONDS),
    Metric("chunkguard_policy_revision_info", "gauge", ("revision",), "The revision in force; always 1."),
)
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
    "result": frozenset((*ANSWERS, *RESULTS)),
    "kind": frozenset((*FAILURES, "prompt", "completion")),
}
_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")


class Labels:
    """The closed sets of label values; `map` turns a value outside its set into `other`."""

    def __init__(self) -> None:
        self._sets = {**_FIXED, "route": frozenset[str](), "policy": frozenset[str](), "trigger": frozenset(TRIGGERS)}

    def allow(self, *, routes: Iterable[str] = (), policies: Iterable[str] = (), triggers: Iterable[str] = ()) -> None:
        """Add names of a configuration. Those of an earlier one stay: their series exist already."""
        for label, names in (("route", routes), ("policy", policies), ("trigger", triggers)):
            self._sets[label] |= frozenset(names)

    def map(self, label: str, value: str) -> str:
        return value if value in self._sets[label] else OTHER


class Metrics:
    """All metrics of one process. Thread-safe, as prometheus_client is."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.labels = Labels()
        self._metrics = {metric.name: self._make(metric) for metric in METRICS}
        self._names = {metric.name: metric.labels for metric in METRICS}
        # Bound methods of children, so that a usual record costs look-ups of tuples and no label handling.
        self._bound: dict[Hashable, Callable[[float], None]] = {}
        # Counts that are not in the registry yet: adding up here costs a fifth of a counter's own lock and look-ups.
        self._counted: dict[tuple[str, ...], float] = {}
        self._lock = Lock()

    @property
    def registry(self) -> CollectorRegistry:
        """Everything counted so far."""
        with self._lock:
            counted, self._counted = self._counted, {}
        for key, amount in counted.items():
            self._child(key)(amount)
        return self._registry

    def configure(
        self, revision: str, *, routes: Iterable[str] = (), policies: Iterable[str] = (), triggers: Iterable[str] = ()
    ) -> None:
        """Put a configuration in force: its names become labels, its revision the only one shown."""
        assert self.registry is self._registry  # what was counted so far has the labels of before
        self.labels.allow(routes=routes, policies=policies, triggers=triggers)
        # A name that was `other` until now may be bound to the wrong child.
        self._bound.clear()
        gauge = self._metrics["chunkguard_policy_revision_info"]
        if isinstance(gauge, Gauge):
            gauge.clear()
            gauge.labels(revision).set(1)

    def observe(self, record: DecisionRecord) -> None:
        """Count everything that a record says."""
        add, route = self._add, record.route
        streamed, status = _flag(record.streamed), _status(record.status)
        add(1, "chunkguard_requests_total", route, record.endpoint, streamed, record.outcome, status)
        self._time(record)
        for attempt in record.attempts:
            self._count_attempt(record, attempt)
        if record.outcome == "untouched":
            return
        add(1, "chunkguard_verdicts_total", route, record.verdict)
        add(1, "chunkguard_actions_total", route, record.action)
        add(1, "chunkguard_holds_total", route, record.hold, _flag(record.hold_expired))
        if record.scanned_characters:
            add(record.scanned_characters, "chunkguard_scanned_characters_total", route)
        if record.scans:
            add(record.scans, "chunkguard_scans_total", route)
        if record.triggers:
            for trigger in {place.name for place in record.triggers}:
                add(1, "chunkguard_triggers_total", route, trigger)
        self._count_unusual(record)

    def shed(self, count: int = 1) -> None:
        """Relayed answers were dropped from the queue of those to be scored."""
        self._add(count, "chunkguard_observer_shed_total")

    def deleted(self, route: str, result: str) -> None:
        """A stored response of a dropped attempt was deleted, or could not be."""
        self._add(1, "chunkguard_deleted_responses_total", route, result)

    def exposition(self) -> bytes:
        """The text format of everything, for `/metrics`."""
        return generate_latest(self.registry)

    def _count_unusual(self, record: DecisionRecord) -> None:
        add, route = self._add, record.route
        for mode, level, policy in {(item.mode, item.level, item.policy) for item in record.findings if item.attempt == 1}:
            add(1, "chunkguard_findings_total", route, mode, level, policy)
        for mode in record.fixed:
            add(1, "chunkguard_fixes_total", route, mode)
        for mode in record.worse:
            add(1, "chunkguard_made_worse_total", route, mode)
        for policy in record.unchecked:
            add(1, "chunkguard_unchecked_total", route, policy)
        if record.moderation:
            add(1, "chunkguard_moderations_total", route, record.moderation)
        if record.flagged:
            add(1, "chunkguard_flagged_total", route)
        if record.holdout:
            add(1, "chunkguard_holdout_total", route, record.verdict)

    def _count_attempt(self, record: DecisionRecord, attempt: AttemptRecord) -> None:
        add, route = self._add, record.route
        if attempt.failure == "budget":
            # It was never sent.
            add(1, "chunkguard_retries_denied_total", route)
        else:
            change = "+".join(attempt.change) or "none"
            add(1, "chunkguard_attempts_total", route, change, "failed" if attempt.failure else attempt.verdict)
        if attempt.failure:
            add(1, "chunkguard_failures_total", route, attempt.failure)
        if attempt.prompt_tokens or attempt.completion_tokens:
            sent = _flag(attempt.number == record.chosen)
            add(attempt.prompt_tokens, "chunkguard_tokens_total", route, "prompt", sent)
            add(attempt.completion_tokens, "chunkguard_tokens_total", route, "completion", sent)

    def _time(self, record: DecisionRecord) -> None:
        add, route, seconds = self._observe, record.route, record.seconds
        add(seconds.total, "chunkguard_request_seconds", route)
        add(seconds.upstream, "chunkguard_upstream_seconds", route)
        if record.outcome != "untouched":
            add(max(seconds.added, 0.0), "chunkguard_added_seconds", route)
            add(seconds.detector, "chunkguard_detector_seconds", route)

    def _add(self, amount: float, *key: str) -> None:
        """Add to a counter: `key` is the metric's name and its label values."""
        if amount < 0:
            raise ValueError("counters only go up")
        with self._lock:
            self._counted[key] = self._counted.get(key, 0.0) + amount
        if len(self._counted) >= MAX_COUNTED:
            _ = self.registry

    def _observe(self, amount: float, *key: str) -> None:
        """Observe in a histogram."""
        self._child(key)(amount)

    def _child(self, key: tuple[str, ...]) -> Callable[[float], None]:
        bound = self._bound.get(key)
        return self._bind(key) if bound is None else bound

    def _bind(self, key: tuple[str, ...]) -> Callable[[float], None]:
        name, *values = key
        mapped = [self.labels.map(label, value) for label, value in zip(self._names[name], values, strict=True)]
        metric = self._metrics[name]
        child = metric.labels(*mapped) if mapped else metric
        bound: Callable[[float], None] = child.observe if isinstance(child, Histogram) else child.inc
        if mapped == values:
            # Strangers are not remembered: their number has no bound.
            self._bound[key] = bound
        return bound

    def _make(self, metric: Metric) -> Counter | Gauge | Histogram:
        if metric.kind == "histogram":
            return Histogram(metric.name, metric.help, metric.labels, registry=self._registry, buckets=metric.buckets)
        kind = Gauge if metric.kind == "gauge" else Counter
        return kind(metric.name, metric.help, metric.labels, registry=self._registry)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _status(status: int) -> str:
    return _CLASSES[status // 100] if 100 <= status < 600 else "none"
