"""`chunkguard doctor` and what a shared proxy needs: its certificate, Redis, its keys, authorities of its upstreams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme

from proxy import config
from proxy.doctor_finding import BAD, GOOD, POOR, Finding
from proxy.doctor_network import look as look_out
from proxy.doctor_shared import look
from proxy.keys import hash_of, make_key
from tests.proxy.limiting.test_redis_store import scripted, speaking
from tests.proxy.test_tls import write
from tests.proxy.upstream.test_route_out import serving_tls


async def found(folder: Path, **fields: Any) -> list[Finding]:
    data = {
        "upstreams": {"main": {"kind": "openai", "url": "http://127.0.0.1:1"}},
        "routes": [{"name": "r", "upstream": "main"}],
        **fields,
    }
    return await look(config.build(data, source="test", folder=folder, env={}))


async def test_what_is_not_used_is_not_looked_at(tmp_path: Path) -> None:
    assert await found(tmp_path, keys={"app": "sk-plain"}) == []


async def test_a_pair_that_does_not_fit_is_said(tmp_path: Path) -> None:
    files = {"cert_file": "cert.pem", "key_file": "key.pem"}
    write(trustme.CA(), tmp_path)
    assert [finding.level for finding in await found(tmp_path, tls=files)] == [GOOD]
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (bad,) = await found(tmp_path, tls=files)
    assert (bad.about, bad.level) == ("tls", BAD)


@pytest.mark.parametrize(("mode", "level"), [("fail_open", POOR), ("fail_closed", BAD)])
async def test_a_redis_that_is_gone_is_as_bad_as_the_setting_makes_it(tmp_path: Path, mode: str, level: str) -> None:
    store = {"kind": "redis", "url": "redis://:redis-word@127.0.0.1:1/0", "failure_mode": mode}
    (finding,) = await found(tmp_path, limit_store=store)
    assert (finding.about, finding.level) == ("limit_store", level)
    assert "redis-word" not in finding.text


async def test_a_redis_that_answers_is_well(tmp_path: Path) -> None:
    async with speaking(scripted(b"")) as url:
        store = {"kind": "redis", "url": url, "timeout_ms": 5000}
        (finding,) = await found(tmp_path, limit_store=store)
    assert finding.level == GOOD


async def test_keys_that_every_user_can_read_are_said(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(f"app: sk-plain\nhashed: {hash_of(make_key())}\n", encoding="utf-8")
    file.chmod(0o644)
    (finding,) = await found(tmp_path, keys_file="keys.yaml")
    assert (finding.level, "app" in finding.text, "hashed" in finding.text) == (POOR, True, False)
    assert "sk-plain" not in finding.text
    file.chmod(0o600)
    assert await found(tmp_path, keys_file="keys.yaml") == []


async def test_an_upstream_is_asked_as_requests_ask_it(tmp_path: Path) -> None:
    ca = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(ca.cert_pem.bytes())
    async with serving_tls(ca) as port:
        levels = []
        for extra in ({"ca_file": "ca.pem"}, {}):
            own = {"kind": "openai", "url": f"https://127.0.0.1:{port}/v1", **extra}
            data = {"upstreams": {"main": own}, "routes": [{"name": "r", "upstream": "main"}]}
            findings = await look_out(config.build(data, source="test", folder=tmp_path, env={}))
            levels.append(findings[0].level)
    assert levels == [GOOD, BAD]
