"""Where records go, and that nobody who is told can harm an exchange."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.telling import Teller
from proxy.witness import Seen
from tests.proxy.fake_upstream import plain
from tests.proxy.rig import CODE_POLICY, DANUBE, WEATHER, rig


async def test_nobody_sees_texts_unless_a_setting_asks(tmp_path: Path) -> None:
    for content, sees in (("none", False), ("full", True)):
        decisions = {"file": str(tmp_path / content), "content": content}
        async with rig({"policies": [CODE_POLICY]}, answers=[plain(DANUBE)], decisions=decisions) as gate:
            assert (gate.app.gateway.guard.witness is not None) is sees
    async with rig({"policies": [CODE_POLICY]}, answers=[plain(DANUBE)]) as gate:
        assert gate.app.gateway.guard.witness is None


async def test_a_witness_that_fails_harms_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, seen: Seen) -> None:
        raise ValueError(seen.record.decision_id)

    monkeypatch.setattr("proxy.decision_log.DecisionLog.see", fail)
    decisions = {"file": str(tmp_path / "d"), "content": "full"}
    async with rig({"policies": [CODE_POLICY]}, answers=[plain(DANUBE)] * 2, decisions=decisions) as gate:
        for _ in range(2):
            assert (await gate.chat(WEATHER)).status == 200
        assert gate.metric("chunkguard_requests_total") == 2
        assert b'"kind":"ValueError"' in gate.log.getvalue()


def test_the_series_of_lost_lines_are_there_before_any_is_lost(tmp_path: Path) -> None:
    import io

    from proxy import config
    from proxy.json_log import JsonLog
    from proxy.metrics import Metrics

    data = {
        "upstreams": {"u": {"kind": "openai", "url": "http://127.0.0.1:9/v1"}},
        "routes": [{"name": "r", "upstream": "u"}],
        "decisions": {"file": "d.jsonl"},
    }
    metrics = Metrics()
    Teller(config.build(data, source="test", folder=tmp_path), metrics, JsonLog(io.BytesIO())).close()
    shown = metrics.exposition().decode()
    assert 'chunkguard_log_lost_total{log="events"} 0.0' in shown
    assert 'chunkguard_log_lost_total{log="decisions"} 0.0' in shown
