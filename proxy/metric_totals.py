"""What was counted, as a value: of one process, or of several added up; and how it is shown to Prometheus.

One rule: adding up never makes a counter smaller, so the totals of a worker that is gone are kept and added like any other's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, TypeVar

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from core.values import frozen
from proxy.metric_table import METRICS, Metric

#: A metric's name and its label values, in the order of `METRICS`.
Series = tuple[str, ...]
T = TypeVar("T")
Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


@frozen
class Totals:
    """`counters` only grow while a process lives; `gauges` are of the moment; `spreads`: observations by the place of their
    bucket, and their sum."""

    counters: Mapping[Series, float]
    gauges: Mapping[Series, float]
    spreads: Mapping[Series, tuple[list[int], float]]


NOTHING = Totals({}, {}, {})


def added(parts: Iterable[Totals]) -> Totals:
    """The sum of several processes. Gauges that carry the same labels are not added: the last one stands."""
    counters: dict[Series, float] = {}
    gauges: dict[Series, float] = {}
    spreads: dict[Series, tuple[list[int], float]] = {}
    for part in parts:
        for key, amount in part.counters.items():
            counters[key] = counters.get(key, 0.0) + amount
        gauges.update(part.gauges)
        for key, (counts, total) in part.spreads.items():
            before, sum_before = spreads.get(key, ([0] * len(counts), 0.0))
            spreads[key] = ([one + two for one, two in zip(before, counts, strict=True)], sum_before + total)
    return Totals(counters, gauges, spreads)


def to_json(totals: Totals) -> bytes:
    """For the way from a worker to its supervisor."""
    spreads = [(key, counts, total) for key, (counts, total) in totals.spreads.items()]
    return orjson.dumps([list(totals.counters.items()), list(totals.gauges.items()), spreads])


def from_json(text: bytes) -> Totals:
    """The reverse. Raises ValueError."""
    try:
        counters, gauges, spreads = orjson.loads(text)
        return Totals(_pairs(counters), _pairs(gauges), {tuple(key): (counts, total) for key, counts, total in spreads})
    except (TypeError, ValueError) as error:
        raise ValueError("these are no totals") from error


def _pairs(rows: Iterable[Any]) -> dict[Series, float]:
    return {tuple(key): amount for key, amount in rows}


class Shown(Collector):
    """Totals in Prometheus' text format. `totals` is asked each time."""

    def __init__(self, totals: Callable[[], Totals]) -> None:
        self._totals = totals
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Family]:
        """Everything, for the registry."""
        totals = self._totals()
        counters, gauges, spreads = _by_name(totals.counters), _by_name(totals.gauges), _by_name(totals.spreads)
        for metric in METRICS:
            match metric.kind:
                case "gauge":
                    gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
                    for values, amount in gauges.get(metric.name, {}).items():
                        gauge.add_metric(values, amount)
                    yield gauge
                case "histogram":
                    yield _histogram(metric, spreads.get(metric.name, {}))
                case "counter":
                    counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
                    shown = counters.get(metric.name, {})
                    # Without labels there is one series from the start, so that its first increase is seen.
                    for values, amount in shown.items() if metric.labels else [((), shown.get((), 0.0))]:
                        counter.add_metric(values, amount)
                    yield counter


def _by_name(series: Mapping[Series, T]) -> dict[str, dict[Series, T]]:
    found: dict[str, dict[Series, T]] = {}
    for (name, *values), amount in series.items():
        found.setdefault(name, {})[tuple(values)] = amount
    return found


def _histogram(metric: Metric, spreads: Mapping[Series, tuple[list[int], float]]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    bounds = [*map(floatToGoString, metric.buckets), "+Inf"]
    for values, (counts, total) in spreads.items():
        family.add_metric(values, list(zip(bounds, accumulate(counts), strict=True)), total)
    return family
