"""Compressed and large requests before upstreams that must read them, or rename their model."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard

from proxy.errors import InvalidRequest
from proxy.upstream.base import UpstreamRequest
from proxy.upstream.body import whole, with_model
from tests.clients.shapes import Content
from tests.proxy.fake_upstream import plain
from tests.proxy.rig import CODE_POLICY, DANUBE, WEATHER, rig
from tests.proxy.upstream.providers import ANTHROPIC
from tests.proxy.upstream.test_litellm_providers import before

PACKERS: dict[str, Any] = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstandard.compress}
ASKED = json.dumps({"model": "m", "messages": [{"role": "user", "content": WEATHER}]}).encode()
JSON_TYPE = ("Content-Type", "application/json")
each_coding = pytest.mark.parametrize("coding", PACKERS)
both_routes = pytest.mark.parametrize("policies", [[], [CODE_POLICY]], ids=["untouched", "guarded"])


def packed(coding: str, body: bytes = ASKED) -> tuple[list[tuple[str, str]], bytes]:
    return [JSON_TYPE, ("Content-Encoding", coding)], PACKERS[coding](body)


@each_coding
@both_routes
@pytest.mark.filterwarnings("ignore")  # litellm's own
async def test_litellm_reads_a_packed_request(coding: str, policies: list[Any]) -> None:
    async with before(ANTHROPIC, ANTHROPIC.answer(Content(DANUBE), False), policies=policies) as (gate, server):
        answer = await gate.fetch("POST", "/v1/chat/completions", *packed(coding))
        assert (answer.status, answer.doc["choices"][0]["message"]["content"]) == (200, DANUBE)
        assert WEATHER in ANTHROPIC.told(server.seen[0].doc)


@each_coding
@both_routes
async def test_the_embedded_model_and_a_recording_read_it_too(coding: str, policies: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "recorded.jsonl"
    file.write_text(json.dumps({"match": {"last_user": WEATHER}, "reply": DANUBE}) + "\n", encoding="utf-8")
    upstreams = {"own": {"kind": "embedded", "models": {"m": "clean"}}, "recorded": {"kind": "replay", "file": str(file)}}
    routes = [
        {"name": name, "match": {"path_prefix": f"/{name}"}, "upstream": name, "policies": policies} for name in upstreams
    ]
    async with rig(*routes, upstreams=upstreams) as gate:
        for name in upstreams:
            answer = await gate.fetch("POST", f"/{name}/v1/chat/completions", *packed(coding))
            assert answer.status == 200, answer.body
            broken = [JSON_TYPE, ("Content-Encoding", coding)], b"junk"
            assert (await gate.fetch("POST", f"/{name}/v1/chat/completions", *broken)).status == 400
        recorded = await gate.fetch("POST", "/recorded/v1/chat/completions", *packed(coding))
        assert recorded.doc["choices"][0]["message"]["content"] == DANUBE


@each_coding
@both_routes
async def test_an_alias_is_renamed_in_a_packed_request(coding: str, policies: list[Any]) -> None:
    async with rig({"policies": policies}, answers=[plain(DANUBE)], main={"models": {"m": "other"}}) as gate:
        assert (await gate.fetch("POST", "/v1/chat/completions", *packed(coding))).status == 200
        (seen,) = gate.upstream.seen
        assert seen.doc == {**json.loads(ASKED), "model": "other"}
        assert seen.values("content-encoding") == []


@both_routes
async def test_an_alias_is_renamed_in_a_request_without_a_length(policies: list[Any]) -> None:
    large = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 900_000}]}).encode()
    async with rig({"policies": policies}, answers=[plain(DANUBE)], main={"models": {"m": "other"}}) as gate:
        for body in (io.BytesIO(large), _slowly(large)):
            assert (await gate.fetch("POST", "/v1/chat/completions", [JSON_TYPE], body)).status == 200
        for seen in gate.upstream.seen:
            assert seen.doc["model"] == "other"
            assert len(seen.body) == len(large) + len("other") - len("m")


async def _slowly(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 500_000):
        yield body[start : start + 500_000]


async def test_what_names_no_alias_goes_on_as_it_came() -> None:
    models = {"a": "b"}
    for headers, body in ([JSON_TYPE], ASKED), packed("gzip"), ([JSON_TYPE, ("Content-Encoding", "br")], b"junk"):
        request = UpstreamRequest("POST", "/v1/x", headers, body)
        assert await with_model(request, models) is request
    upload = UpstreamRequest("POST", "/v1/files", [("Content-Type", "multipart/form-data; boundary=x")], _slowly(b"x"))
    assert await with_model(upload, models) is upload
    assert await with_model(UpstreamRequest("GET", "/v1/models", []), models) == UpstreamRequest("GET", "/v1/models", [])
    streamed = await with_model(UpstreamRequest("POST", "/v1/x", [JSON_TYPE], _slowly(ASKED)), models)
    assert streamed.body == ASKED


async def test_a_whole_body_is_decoded_or_refused() -> None:
    assert await whole(UpstreamRequest("GET", "/v1/x", [])) == b""
    assert await whole(UpstreamRequest("POST", "/v1/x", *packed("zstd"))) == ASKED
    with pytest.raises(InvalidRequest):
        await whole(UpstreamRequest("POST", "/v1/x", [("content-encoding", "br")], b"junk"))
