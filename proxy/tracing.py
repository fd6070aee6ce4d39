"""OpenTelemetry spans of guarded exchanges, made when one is over: the request, its model calls, and each look of the guard.

One rule: texts go into a span only where the setting says so, credentials never; and where tracing is off nothing here is
imported. Names follow the semantic conventions for generative AI.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from proxy.config_telemetry import TracingSettings
from proxy.records import AttemptRecord
from proxy.redact import Redactor
from proxy.witness import Seen

#: Characters of a model's name, which a client chose, that a span shows.
NAME_CHARACTERS: Final = 128
#: Seconds that sending a batch may take, its retries included; a stop waits no longer for the last one.
EXPORT_S: Final = 5
#: Names of the conventions where they differ from the API's.
OPERATIONS: Final = {"completions": "text_completion"}
_Attributes = dict[str, Any]


class Tracer:
    """`see` takes exchanges; `close` sends what waits. `providers`: kind of each upstream, as spans call it. `processor`: where
    spans go instead of the endpoint."""

    def __init__(
        self,
        settings: TracingSettings,
        providers: Mapping[str, str],
        *,
        version: str = "",
        processor: SpanProcessor | None = None,
    ) -> None:
        self._content = settings.content
        self._providers = providers
        self._redact = Redactor()
        self._propagator = TraceContextTextMapPropagator()
        resource = Resource.create({"service.name": settings.service_name, "service.version": version})
        self._provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(settings.sample)))
        self._provider.add_span_processor(processor or _exporting(settings))
        self._tracer = self._provider.get_tracer("chunkguard", version)

    def see(self, seen: Seen) -> None:
        """The spans of one exchange. Never raises for what an exchange holds."""
        # Spans have wall clock times, and the exchange was timed by a clock that never jumps.
        offset = time.time_ns() - int(time.perf_counter() * 1e9)

        def at(reading: float) -> int:
            return offset + int(reading * 1e9)

        record = seen.record
        carrier = {name.lower(): value for name, value in seen.headers if name.lower() in ("traceparent", "tracestate")}
        root = self._tracer.start_span(
            f"chunkguard {record.endpoint}",
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes=self._of_request(seen),
            start_time=at(seen.began),
        )
        if root.is_recording():
            inside = set_span_in_context(root)
            for name, kind, attributes, began, ended, failure in (*self._calls(seen), *self._checks(seen)):
                span = self._tracer.start_span(name, context=inside, kind=kind, attributes=attributes, start_time=at(began))
                _settle(span, failure)
                span.end(at(ended))
        wrong = record.outcome == "failed" or record.status >= 500
        _settle(root, (record.failure or str(record.status)) if wrong else "")
        root.end(at(seen.ended))

    def close(self) -> None:
        """Send what waits. Blocks."""
        self._provider.shutdown()

    def _of_request(self, seen: Seen) -> _Attributes:
        record = seen.record
        attributes: _Attributes = {
            "http.response.status_code": record.status,
            "chunkguard.decision_id": record.decision_id,
            "chunkguard.route": record.route,
            "chunkguard.outcome": record.outcome,
            "chunkguard.verdict": record.verdict,
            "chunkguard.first_verdict": record.first_verdict,
            "chunkguard.modes": list(record.modes),
            "chunkguard.triggers": sorted({place.name for place in record.triggers}),
            "chunkguard.action": record.action,
            "chunkguard.attempts": len(record.attempts),
            "chunkguard.flagged": record.flagged,
            "chunkguard.policy_revision": record.policy_revision,
            "chunkguard.added_seconds": record.seconds.added,
        }
        return attributes

    def _calls(self, seen: Seen) -> Iterator[tuple[str, SpanKind, _Attributes, float, float, str]]:
        """Model calls, named and described as the conventions say."""
        conversation, record = seen.conversation, seen.record
        operation = OPERATIONS.get(record.endpoint, "chat")
        model = conversation.model[:NAME_CHARACTERS]
        attempts = {attempt.number: attempt for attempt in record.attempts}
        for number, began, ended, status in seen.calls:
            attempt = attempts.get(number)
            if attempt is None or attempt.failure == "budget":  # never sent
                continue
            attributes: _Attributes = {
                "gen_ai.operation.name": operation,
                "gen_ai.provider.name": self._providers.get(seen.upstream, "openai"),
                "gen_ai.request.model": model,
                "gen_ai.request.choice.count": conversation.n,
                "http.response.status_code": status,
                **_of_attempt(attempt),
            }
            if conversation.max_tokens is not None:
                attributes["gen_ai.request.max_tokens"] = conversation.max_tokens
            if number == record.chosen:
                reasons = [reply.finish_reason for reply in seen.replies if reply.finish_reason]
                attributes |= {"gen_ai.response.finish_reasons": reasons} if reasons else {}
                attributes |= self._texts(seen) if self._content else {}
            yield f"{operation} {model}".strip(), SpanKind.CLIENT, attributes, began, ended, attempt.failure

    @staticmethod
    def _checks(seen: Seen) -> Iterator[tuple[str, SpanKind, _Attributes, float, float, str]]:
        """What the guard looked at."""
        verdicts = {attempt.number: attempt.verdict for attempt in seen.record.attempts}
        for number, began, ended in seen.checks:
            what = "answer" if number else "prompt"
            attributes: _Attributes = {"chunkguard.check": what}
            if number:
                found = [item for item in seen.record.findings if item.attempt == number]
                attributes |= {
                    "chunkguard.attempt": number,
                    "chunkguard.verdict": verdicts.get(number, "unjudged"),
                    "chunkguard.modes": sorted({item.mode for item in found}),
                    "chunkguard.policies": sorted({item.policy for item in found}),
                }
            yield f"guard {what}", SpanKind.INTERNAL, attributes, began, ended, ""

    def _texts(self, seen: Seen) -> _Attributes:
        asked = [{"role": turn.role, "parts": [self._part(turn.text)]} for turn in seen.conversation.turns]
        said = [
            {"role": "assistant", "parts": [self._part(reply.text)], "finish_reason": reply.finish_reason or ""}
            for reply in seen.replies
        ]
        return {"gen_ai.input.messages": json.dumps(asked), "gen_ai.output.messages": json.dumps(said)}

    def _part(self, text: str) -> dict[str, str]:
        return {"type": "text", "content": self._redact(text)}


def _of_attempt(attempt: AttemptRecord) -> _Attributes:
    attributes: _Attributes = {
        "chunkguard.attempt": attempt.number,
        "chunkguard.change": list(attempt.change),
        "chunkguard.probe": attempt.probe,
        "chunkguard.verdict": attempt.verdict,
    }
    if not attempt.estimated:
        attributes["gen_ai.usage.input_tokens"] = attempt.prompt_tokens
        attributes["gen_ai.usage.output_tokens"] = attempt.completion_tokens
    return attributes


def _settle(span: Span, failure: str) -> None:
    if failure:
        span.set_attribute("error.type", failure)
        span.set_status(Status(StatusCode.ERROR))


def _exporting(settings: TracingSettings) -> SpanProcessor:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.endpoint, headers=headers, timeout=EXPORT_S))
