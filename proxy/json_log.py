"""The log: one JSON object a line, of decision records and of events of the gateway itself.

One rule: only the fields listed here are written (`LOGGED`, `EVENT_FIELDS`), and what libraries say is never quoted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson

from proxy.config_model import LogLevel
from proxy.records import DecisionRecord

#: The fields of a record that are logged, in this order: all of them, named so that a new field is a decision.
LOGGED = (
    "decision_id", "time", "route", "endpoint", "streamed", "status", "outcome", "verdict", "first_verdict", "modes",
    "findings", "triggers", "action", "attempts", "chosen", "fixed", "worse", "prompt_tokens", "completion_tokens",
    "tokens_estimated", "hold", "hold_expired", "flagged", "rewritten", "unchecked", "moderation", "seconds",
    "scanned_characters", "scans", "holdout", "policy_revision", "client_gone", "failure",
)  # fmt: skip
#: The fields that other log lines may have.
EVENT_FIELDS = frozenset({
    "admin", "count", "kind", "listen", "logger", "problems", "reason", "revision", "route", "seconds", "source", "upstream",
    "worker",
})  # fmt: skip


class Sink(Protocol):
    """What the log writes to: a binary stream."""

    def write(self, data: bytes, /) -> object: ...
    def flush(self) -> object: ...


_SEVERITY: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def needs_eyes(record: DecisionRecord) -> bool:
    """Whether something was flagged, unchecked or failed."""
    return bool(record.flagged or record.unchecked or record.failure)


def sampled(record: DecisionRecord, share: float) -> bool:
    """Whether a decision is in a share of all. By its id, so that every log and every host takes the same ones."""
    return share >= 1 or int(record.decision_id[:8] or "0", 16) < share * 0x1_0000_0000


def document(record: DecisionRecord) -> dict[str, Any]:
    """A decision as a line of a log."""
    fields: dict[str, Any] = {name: getattr(record, name) for name in LOGGED}
    return {"level": "warning" if needs_eyes(record) else "info", "event": "decision", **fields}


class JsonLog:
    """One JSON object a line. A sink that cannot be written to costs lines, never a request: `on_lost` is told of each.

    `sample`: the share of usual decisions that is logged; those that need eyes always are."""

    def __init__(
        self, sink: Sink, level: LogLevel = "info", *, sample: float = 1.0, on_lost: Callable[[], object] = lambda: None
    ) -> None:
        self._sink = sink
        self._least = _SEVERITY[level]
        self._sample = sample
        self._on_lost = on_lost
        #: The last line may have been written in part.
        self._torn = False

    def record(self, record: DecisionRecord) -> None:
        """Log a decision: `warning` where it needs eyes, else `info`."""
        eyes = needs_eyes(record)
        if _SEVERITY["warning" if eyes else "info"] >= self._least and (eyes or sampled(record, self._sample)):
            self._write(document(record))

    def event(self, level: LogLevel, event: str, **fields: object) -> None:
        """Log something else. Fields that are not in `EVENT_FIELDS` are left out."""
        if _SEVERITY[level] >= self._least:
            allowed = {name: value for name, value in fields.items() if name in EVENT_FIELDS}
            self._write({"level": level, "event": event, "time": time.time(), **allowed})

    def _write(self, document: dict[str, Any]) -> None:
        try:
            line = orjson.dumps(document, default=str, option=orjson.OPT_APPEND_NEWLINE)
            # What is left of a torn line must not run into the next one.
            self._sink.write(b"\n" + line if self._torn else line)
            self._sink.flush()
            self._torn = False
        except (OSError, ValueError, TypeError):
            self._on_lost()
            self._torn = True


class LibraryLog(logging.Handler):
    """Takes what libraries log into the JSON log: who and what kind of error, never their text, which may quote a request."""

    def __init__(self, log: JsonLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level: LogLevel = "error" if record.levelno >= 40 else "warning" if record.levelno >= 30 else "info"
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        self._log.event(level, "library", logger=record.name, kind=kind)
