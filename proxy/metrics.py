"""Prometheus metrics, all derived from decision records, in a registry of their own.

One rule: every label comes from a closed set - routes, policies and triggers of the configuration, and the names of this code -
and anything else becomes `other`; no client can make a series.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Mapping
from threading import Lock

from proxy.metric_table import KINDS, METRICS, Labels
from proxy.metric_totals import Series, Shown, Totals
from proxy.records import AttemptRecord, DecisionRecord

#: Different counts kept under the names of records at most: strangers' have no bound.
MAX_COUNTED = 1_000
_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")


class _Tally:
    """Records that say the same in all but their numbers, added up. `like`: one of them."""

    __slots__ = ("completion_tokens", "count", "like", "prompt_tokens", "scanned", "scans")

    def __init__(self, like: DecisionRecord) -> None:
        self.like = like
        self.count = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.scanned = 0
        self.scans = 0


class _Spread:
    """A histogram: observations by the place of their bucket, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def merge(self, other: _Spread) -> None:
        self.counts = [one + two for one, two in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


class Metrics:
    """All metrics of one process. Thread-safe. `measured`: what is not counted but looked at before they are shown.

    A usual record is only added to the sum of those like it; labels are made of sums, when somebody looks or there are many:
    3 us a record, where counters of prometheus_client cost 12."""

    def __init__(self) -> None:
        self.labels = Labels()
        self.measured: Mapping[Series, float] = {}
        self._names = {metric.name: metric.labels for metric in METRICS}
        self._lock = Lock()
        self._usual: dict[Hashable, _Tally] = {}
        #: Request, upstream, added and detector seconds of routes, under the names that records give them.
        self._times: dict[str, tuple[_Spread, _Spread, _Spread, _Spread]] = {}
        #: By metric and label values: what was counted, as records name it, and the same as it is shown.
        self._counted: dict[tuple[str, ...], float] = {}
        self._shown: dict[tuple[str, ...], float] = {}
        self._spreads: dict[tuple[str, ...], _Spread] = {}
        self._revision = ""
        self._shown_text = Shown(self.totals)

    def configure(
        self,
        revision: str,
        *,
        routes: Iterable[str] = (),
        policies: Iterable[str] = (),
        triggers: Iterable[str] = (),
        keys: Iterable[str] = (),
        upstreams: Iterable[str] = (),
    ) -> None:
        """Put a configuration in force: its names become labels, its revision the only one shown."""
        with self._lock:
            self._settle()  # what was counted so far has the labels of before
            self.labels.allow(routes=routes, policies=policies, triggers=triggers, keys=keys, upstreams=upstreams)
            self._revision = revision

    def observe(self, record: DecisionRecord) -> None:
        """Count everything that a record says."""
        with self._lock:
            self._time(record)
            key = _likeness(record)
            tally = self._usual.get(key) if key is not None else None
            if tally is None:
                tally = _Tally(record)
                if key is not None:
                    self._usual[key] = tally
            tally.count += 1
            for attempt in record.attempts:
                tally.prompt_tokens += attempt.prompt_tokens
                tally.completion_tokens += attempt.completion_tokens
            tally.scanned += record.scanned_characters
            tally.scans += record.scans
            if key is None:
                self._count(tally)
            if len(self._usual) + len(self._counted) >= MAX_COUNTED or len(self._times) >= MAX_COUNTED:
                self._settle()

    def shed(self, count: int = 1) -> None:
        """Relayed answers were dropped from the queue of those to be scored."""
        with self._lock:
            self._add(count, "chunkguard_observer_shed_total")

    def deleted(self, route: str, result: str) -> None:
        """A stored response of a dropped attempt was deleted, or could not be."""
        with self._lock:
            self._add(1, "chunkguard_deleted_responses_total", route, result)

    def count(self, name: str, *values: str) -> None:
        """Count one of a counter that no record tells of. `values`: of its labels, in order."""
        with self._lock:
            self._add(1, name, *values)

    def used(self, client: str, tokens: int) -> None:
        """A limited key has used tokens."""
        with self._lock:
            self._add(tokens, "chunkguard_key_tokens_total", client)

    def lost(self, log: str, count: int = 1) -> None:
        """Lines that a log could not take. A count of 0 makes the series, so that its first increase is seen."""
        with self._lock:
            self._add(count, "chunkguard_log_lost_total", log)

    def exposition(self) -> bytes:
        """The text format of everything, for `/metrics`."""
        return self._shown_text.text()

    def totals(self) -> Totals:
        """Everything, as a value."""
        with self._lock:
            self._settle()
            counters = dict(self._shown)
            gauges: dict[Series, float] = {("chunkguard_policy_revision_info", self._revision): 1.0}
            spreads = {key: (list(spread.counts), spread.total) for key, spread in self._spreads.items()}
        for key, value in self.measured.items():
            (counters if KINDS[key[0]] == "counter" else gauges)[key] = value
        return Totals(counters, gauges, spreads)

    # ---- all below with the lock held

    def _settle(self) -> None:
        """Bring all that was counted under the labels it is shown with."""
        usual, self._usual = self._usual, {}
        for tally in usual.values():
            self._count(tally)
        counted, self._counted = self._counted, {}
        for key, amount in counted.items():
            shown = self._mapped(key)
            self._shown[shown] = self._shown.get(shown, 0.0) + amount
        times, self._times = self._times, {}
        for route, spreads in times.items():
            for name, spread in zip(_TIMES, spreads, strict=True):
                if any(spread.counts):
                    self._spreads.setdefault(self._mapped((name, route)), _Spread(spread.bounds)).merge(spread)

    def _mapped(self, key: tuple[str, ...]) -> tuple[str, ...]:
        name, *values = key
        return (name, *[self.labels.map(label, value) for label, value in zip(self._names[name], values, strict=True)])

    def _add(self, amount: float, *key: str) -> None:
        """Add to a counter: `key` is the metric's name and its label values."""
        if amount < 0:
            raise ValueError("counters only go up")
        self._counted[key] = self._counted.get(key, 0.0) + amount

    def _time(self, record: DecisionRecord) -> None:
        spreads = self._times.get(record.route)
        if spreads is None:
            one, two, three, four = (_Spread(bounds) for bounds in _TIMES.values())
            spreads = self._times[record.route] = (one, two, three, four)
        request, upstream, added, detector = spreads
        seconds = record.seconds
        request.add(seconds.total)
        upstream.add(seconds.upstream)
        if record.outcome != "untouched":
            added.add(max(seconds.added, 0.0))
            detector.add(seconds.detector)

    def _count(self, tally: _Tally) -> None:
        add, record, count = self._add, tally.like, tally.count
        route = record.route
        streamed, status = _flag(record.streamed), _status(record.status)
        add(count, "chunkguard_requests_total", route, record.endpoint, streamed, record.outcome, status)
        for attempt in record.attempts:
            self._count_attempt(record, attempt, tally)
        if record.outcome == "untouched":
            return
        add(count, "chunkguard_verdicts_total", route, record.verdict)
        add(count, "chunkguard_actions_total", route, record.action)
        add(count, "chunkguard_holds_total", route, record.hold, _flag(record.hold_expired))
        if tally.scanned:
            add(tally.scanned, "chunkguard_scanned_characters_total", route)
        if tally.scans:
            add(tally.scans, "chunkguard_scans_total", route)
        for trigger in {place.name for place in record.triggers}:
            add(count, "chunkguard_triggers_total", route, trigger)
        self._count_unusual(record)

    def _count_unusual(self, record: DecisionRecord) -> None:
        """What makes a record one of its own."""
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

    def _count_attempt(self, record: DecisionRecord, attempt: AttemptRecord, tally: _Tally) -> None:
        add, route, count = self._add, record.route, tally.count
        if attempt.failure == "budget":
            # It was never sent.
            add(count, "chunkguard_retries_denied_total", route)
        else:
            change = "+".join(attempt.change) or "none"
            add(count, "chunkguard_attempts_total", route, change, "failed" if attempt.failure else attempt.verdict)
        if attempt.failure:
            add(count, "chunkguard_failures_total", route, attempt.failure)
        prompt, completion = attempt.prompt_tokens, attempt.completion_tokens
        if len(record.attempts) == 1:
            prompt, completion = tally.prompt_tokens, tally.completion_tokens
        if prompt or completion:
            sent = _flag(attempt.number == record.chosen)
            add(prompt, "chunkguard_tokens_total", route, "prompt", sent)
            add(completion, "chunkguard_tokens_total", route, "completion", sent)


#: The histograms, in the order of `Metrics._times`, with their bounds.
_TIMES = {metric.name: metric.buckets for metric in METRICS if metric.kind == "histogram"}


def _likeness(record: DecisionRecord) -> Hashable | None:
    """What a usual record counts, its numbers left out; None for one that counts more."""
    if record.findings or record.triggers or record.unchecked or record.moderation or record.flagged or record.holdout:
        return None
    attempts = record.attempts
    if len(attempts) > 1:
        return None
    one = attempts[0] if attempts else None
    if one is not None and (one.failure or one.change):
        return None
    judged = one.verdict if one is not None else None
    return (
        record.route, record.endpoint, record.streamed, record.outcome, record.status, record.verdict, record.action,
        record.hold, record.hold_expired, record.chosen, judged,
    )  # fmt: skip


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _status(status: int) -> str:
    return _CLASSES[status // 100] if 100 <= status < 600 else "none"
