"""Where records go: metrics, the log, the decision log, tracing.

One rule: nobody who is told can delay or fail an exchange, and whoever may see texts is asked for by a setting.
"""

from __future__ import annotations

import logging
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from proxy.config import Settings
from proxy.decision_log import DecisionLog
from proxy.json_log import JsonLog
from proxy.metrics import Metrics
from proxy.records import DecisionRecord
from proxy.witness import Seen, Witness

if TYPE_CHECKING:
    from proxy.tracing import Tracer

log = logging.getLogger("chunkguard")


class Teller:
    """`record` is the sink of the guard, `witness` sees texts, where a setting asks for it. `worker`: None for the only one."""

    def __init__(self, settings: Settings, metrics: Metrics, events: JsonLog, worker: int | None = None) -> None:
        self._metrics = metrics
        self._events = events
        self._decisions: DecisionLog | None = None
        self._tracer: Tracer | None = None
        own, tracing = settings.config.decisions, settings.config.tracing
        metrics.lost("events", 0)
        if own.file is not None:
            metrics.lost("decisions", 0)
            lost = partial(metrics.lost, "decisions")
            self._decisions = DecisionLog(own, settings.path(own.file), worker=worker, on_lost=lost)
        if tracing is not None:
            # A sixth of a second and 15 MB that nobody else pays for.
            from proxy.tracing import Tracer

            kinds = {name: upstream.kind for name, upstream in settings.config.upstreams.items()}
            self._tracer = Tracer(tracing, kinds, version=version("chunkguard"))

    @property
    def witness(self) -> Witness | None:
        """None where nobody may see texts."""
        texts = self._decisions is not None and self._decisions.texts
        return self._see if texts or self._tracer is not None else None

    def record(self, record: DecisionRecord) -> None:
        """A decision, without texts."""
        self._metrics.observe(record)
        self._events.record(record)
        if self._decisions is not None and not self._decisions.texts:
            self._decisions.record(record)

    def _see(self, seen: Seen) -> None:
        try:
            if self._decisions is not None and self._decisions.texts:
                self._decisions.see(seen)
            if self._tracer is not None:
                self._tracer.see(seen)
        except Exception as error:
            log.error("an exchange could not be told", exc_info=error)

    def close(self) -> None:
        """Write and send what waits. Blocks."""
        if self._decisions is not None:
            self._decisions.close()
        if self._tracer is not None:
            self._tracer.close()
