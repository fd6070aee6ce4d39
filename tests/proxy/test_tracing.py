"""Spans of a whole gateway: in memory, and over OTLP to a receiver that decodes what was really sent."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from proxy import config, tracing
from proxy.errors import ConfigError
from tests.proxy.fake_upstream import failing, plain, streamed
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, PEACE, PROSE, WEATHER, Rig, rig

KEY = "sk-planted-abcdefghijklmnop"
OBSERVING = {"extends": "code", "enforcement": "observe"}
TRACING = {"endpoint": "http://127.0.0.1:9/v1/traces"}
PARENT = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Where the spans of gateways go instead of their endpoint."""
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(tracing, "_exporting", lambda settings: SimpleSpanProcessor(exporter))
    return exporter


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


async def asked(gate: Rig, prompt: str, count: int = 1, **fields: Any) -> None:
    await gate.chat(prompt, headers=[("Authorization", f"Bearer {KEY}")], **fields)
    await gate.recorded(count)


async def test_a_request_has_its_calls_and_looks_as_children(spans: InMemorySpanExporter) -> None:
    async with rig({"policies": [CODE_POLICY]}, answers=[plain(CODE), plain(PROSE)], tracing=TRACING) as gate:
        await asked(gate, PEACE, max_tokens=50)
        (root,) = named(spans, "chunkguard chat_completions")
        calls, looks = named(spans, "chat m"), named(spans, "guard answer")
        (prompt,) = named(spans, "guard prompt")
    record = gate.records[0]
    assert root.attributes is not None
    assert root.kind is SpanKind.SERVER
    assert root.attributes["chunkguard.decision_id"] == record.decision_id
    assert (root.attributes["chunkguard.verdict"], root.attributes["chunkguard.first_verdict"]) == ("clear", "misrouted")
    assert len(calls) == len(looks) == 2
    for child in (*calls, *looks, prompt):
        assert child.parent is not None
        assert child.parent.span_id == root.context.span_id
        assert root.start_time <= child.start_time <= child.end_time <= root.end_time
    attributes = [dict(call.attributes or {}) for call in calls]
    for one in attributes:
        assert {key: one[key] for key in one if key.startswith("gen_ai.")} == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "m",
            "gen_ai.request.choice.count": 1,
            "gen_ai.request.max_tokens": 50,
            "gen_ai.usage.input_tokens": one["gen_ai.usage.input_tokens"],
            "gen_ai.usage.output_tokens": one["gen_ai.usage.output_tokens"],
            **({"gen_ai.response.finish_reasons": ("stop",)} if one["chunkguard.attempt"] == 2 else {}),
        }
    assert [one["chunkguard.change"] for one in attributes] == [(), ("boundary", "neutralise")]
    assert [dict(look.attributes or {})["chunkguard.modes"] for look in looks] == [("code",), ()]
    assert sum(call.end_time - call.start_time for call in calls) / 1e9 == pytest.approx(record.seconds.upstream, abs=0.01)


@pytest.mark.parametrize("content", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_texts_and_keys_stay_out_unless_texts_are_asked_for(
    spans: InMemorySpanExporter, stream: bool, content: bool
) -> None:
    answer = (streamed if stream else plain)(f"{DANUBE} {KEY}")
    async with rig({"policies": [OBSERVING]}, answers=[answer], tracing={**TRACING, "content": content}) as gate:
        await asked(gate, f"{WEATHER} {KEY}", stream=stream)
    told = "".join(span.to_json() for span in spans.get_finished_spans())
    assert told
    assert KEY not in told
    assert ("Vienna" in told) is content
    if content:
        (call,) = named(spans, "chat m")
        said = json.loads(str((call.attributes or {})["gen_ai.output.messages"]))
        assert said[0]["parts"] == [{"type": "text", "content": f"{DANUBE} [redacted]"}]


async def test_a_client_may_carry_the_trace_on_or_end_it(spans: InMemorySpanExporter) -> None:
    async with rig({"policies": [CODE_POLICY]}, answers=[plain(DANUBE)] * 2, tracing={**TRACING, "sample": 0}) as gate:
        for flag in ("01", "00"):
            await gate.chat(WEATHER, headers=[("traceparent", f"00-{PARENT}-00f067aa0ba902b7-{flag}")])
        assert dict(gate.upstream.seen[0].headers)["traceparent"].endswith("-01")
    (root,) = named(spans, "chunkguard chat_completions")
    assert (f"{root.context.trace_id:032x}", root.parent and f"{root.parent.span_id:016x}") == (PARENT, "00f067aa0ba902b7")


@pytest.mark.parametrize(
    ("upstream", "kind", "call_kind"), [({}, "500", None), ({"url": "http://127.0.0.1:9/v1"}, "unavailable", "unavailable")]
)
async def test_what_fails_is_an_error_with_its_kind(
    spans: InMemorySpanExporter, upstream: Any, kind: str, call_kind: str | None
) -> None:
    async with rig({"policies": [CODE_POLICY]}, answers=[failing(500)], main=upstream, tracing=TRACING) as gate:
        await asked(gate, WEATHER)
    (root,) = named(spans, "chunkguard chat_completions")
    (call,) = named(spans, "chat m")
    assert root.status.status_code is StatusCode.ERROR
    assert dict(root.attributes or {})["error.type"] == kind
    assert dict(call.attributes or {}).get("error.type") == call_kind


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, list[tuple[dict[str, str], ExportTraceServiceRequest]]]]:
    """A receiver of OTLP over HTTP: its address, and what came."""
    came: list[tuple[dict[str, str], ExportTraceServiceRequest]] = []

    async def take(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        assert request.headers["Content-Type"] == "application/x-protobuf"
        came.append((dict(request.headers), ExportTraceServiceRequest.FromString(body)))
        done = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=done, headers={"Content-Type": "application/x-protobuf"})

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/v1/traces", came
    finally:
        await runner.cleanup()


async def test_a_real_receiver_gets_them_all_in_one_trace() -> None:
    async with receiver() as (endpoint, came):
        settings = {"endpoint": endpoint, "headers": {"x-api-key": "its-own-key"}, "service_name": "guard"}
        async with rig({"policies": [CODE_POLICY]}, answers=[plain(CODE), plain(PROSE)], tracing=settings) as gate:
            await asked(gate, PEACE)
        # Closing has sent what waited.
        assert came
        assert {headers["x-api-key"] for headers, _ in came} == {"its-own-key"}
        resources = [resource for _, sent in came for resource in sent.resource_spans]
        services = {a.value.string_value for r in resources for a in r.resource.attributes if a.key == "service.name"}
        got = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    assert services == {"guard"}
    assert sorted(span.name for span in got) == [
        "chat m", "chat m", "chunkguard chat_completions", "guard answer", "guard answer", "guard prompt",
    ]  # fmt: skip
    (root,) = [span for span in got if not span.parent_span_id]
    assert {span.trace_id for span in got} == {root.trace_id}
    assert {span.parent_span_id for span in got if span is not root} == {root.span_id}
    assert not any("Peace" in str(span) or KEY in str(span) for span in got)


async def test_a_receiver_that_is_gone_harms_nobody() -> None:
    async with rig({"policies": [CODE_POLICY]}, answers=[plain(DANUBE)], tracing=TRACING) as gate:
        assert (await gate.chat(WEATHER)).status == 200
        # A span that cannot be sent is tried again for as long as its exporter is given: closing must not wait for that.
        began = asyncio.get_running_loop().time()
        await asyncio.to_thread(gate.app._teller.close)
        assert asyncio.get_running_loop().time() - began < tracing.EXPORT_S + 5


def test_off_means_not_even_imported() -> None:
    code = (
        "import sys, asyncio, proxy.app, proxy.telling, proxy.config\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_without_the_extra_the_configuration_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "find_spec", lambda name: None)
    data = {
        "upstreams": {"u": {"kind": "openai", "url": "http://127.0.0.1:9/v1"}},
        "routes": [{"name": "r", "upstream": "u"}],
        "tracing": TRACING,
    }
    with pytest.raises(ConfigError, match="extra 'otel'"):
        config.build(data, source="test", folder=tmp_path)
