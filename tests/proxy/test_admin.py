"""The admin listener: readiness, metrics, its key, a Unix socket."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.wire.codecs import CODECS
from tests.proxy.fake_upstream import plain
from tests.proxy.rig import CODE_POLICY, DANUBE, WEATHER, rig

ROUTES = (
    {"policies": [CODE_POLICY, {"extends": "refusal"}, {"extends": "rebuttal"}]},
    {"name": "plain", "match": {"path_prefix": "/plain"}},
)


async def test_ready_tells_what_is_enforceable() -> None:
    async with rig(*ROUTES, answers=[plain(DANUBE)]) as gate:
        answer = await gate.ask_admin("GET", "/-/ready")
        doc = answer.doc
        assert (answer.status, doc["ready"], doc["detectors"], doc["routes"]) == (200, True, "warm", ["plain", "r"])
        assert doc["policy_revision"] == gate.app.gateway.snapshot.revision
        rows = {(row["policy"], row["stream"]): row for row in doc["coverage"]}
        assert len(doc["coverage"]) == len(rows) * len(CODECS) == 6 * len(CODECS)
        assert {row["endpoint"] for row in doc["coverage"]} == set(CODECS)
        assert {row["route"] for row in doc["coverage"]} == {"r"}
        assert rows["code", True]["enforceable"] == "on_trigger"
        assert rows["rebuttal", True]["enforceable"] == "always"
        assert rows["refusal", False]["enforceable"] == "observed"
        assert rows["rebuttal", True]["hold"] == "prefix"


async def test_metrics_are_what_prometheus_reads() -> None:
    async with rig(*ROUTES, answers=[plain(DANUBE)]) as gate:
        await gate.chat(WEATHER)
        answer = await gate.ask_admin("GET", "/metrics", [("Accept", "application/openmetrics-text;version=1.0.0,*/*;q=0.1")])
        assert (answer.status, answer.value("content-type")) == (200, "text/plain; version=0.0.4; charset=utf-8")
        families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
        (sample,) = [s for s in families["chunkguard_requests"].samples if s.name.endswith("_total")]
        assert (sample.value, sample.labels["endpoint"]) == (1.0, "chat_completions")


@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/"), ("GET", "/-/reload"), ("POST", "/-/ready"), ("GET", "/v1/models"), ("PUT", "/metrics")]
)
async def test_there_is_nothing_else(method: str, target: str) -> None:
    async with rig(*ROUTES, answers=[plain(DANUBE)]) as gate:
        answer = await gate.ask_admin(method, target)
        assert (answer.status, answer.doc["error"]["code"]) == (404, "not_found")
        assert gate.upstream.seen == []


async def test_with_a_key_only_health_is_open() -> None:
    async with rig(*ROUTES, answers=[plain(DANUBE)], admin_key="secret") as gate:
        assert (await gate.ask_admin("GET", "/-/healthy")).status == 200
        for target in ("/metrics", "/-/ready", "/nothing"):
            for wrong in ([], [("Authorization", "Bearer wrong")], [("X-Forwarded-For", "127.0.0.1")]):
                assert (await gate.ask_admin("GET", target, wrong)).status == 401
        assert (await gate.ask_admin("POST", "/-/reload")).status == 401
        for target in ("/metrics", "/-/ready"):
            assert (await gate.ask_admin("GET", target, [("Authorization", "Bearer secret")])).status == 200


async def test_it_can_be_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with rig(*ROUTES, answers=[plain(DANUBE)], admin=f"unix:{path}") as gate:
        assert gate.app.admin_address == str(path)
        connector = aiohttp.UnixConnector(str(path))
        async with aiohttp.ClientSession(connector=connector) as session, session.get("http://x/-/ready") as response:
            assert (response.status, (await response.json())["ready"]) == (200, True)
