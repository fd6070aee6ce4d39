"""`chunkguard doctor` against real faults: each is said in words, with what to do, and nothing is changed."""

from __future__ import annotations

import json
import os
import resource
import socket
from pathlib import Path
from typing import Any

import pytest

from proxy import config, doctor
from proxy.cli import main
from proxy.doctor_finding import BAD, GOOD, POOR
from tests.proxy.fake_upstream import FakeUpstream, failing
from tests.proxy.rig import settings_of


def data_of(url: str, *routes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    named = [{"name": "r", "upstream": "main", "policies": ["code"], **route} for route in routes or ({},)]
    upstreams = {"main": {"kind": "openai", "url": url}}
    return {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "upstreams": upstreams, "routes": named, **fields}


async def report(data: dict[str, Any], folder: Path) -> doctor.Report:
    return await doctor.examine(config.build(data, source="test", folder=folder))


def texts(made: doctor.Report, level: str) -> list[str]:
    return [f"{finding.about}: {finding.text}" for finding in made.findings if finding.level == level]


async def test_all_is_well_and_nobody_was_sent_a_key(tmp_path: Path) -> None:
    upstream = FakeUpstream([failing(404)])
    async with upstream.serving():
        main_upstream = {"api_key": "sk-planted"}
        made = await report(settings_of(upstream, {"policies": ["code"]}, main=main_upstream), tmp_path)
    assert texts(made, BAD) == []
    about = {finding.about for finding in made.findings if finding.level == GOOD}
    assert {"configuration", "detectors", "upstream main", "clock", "listen", "admin", "memory", "CPUs"} <= about
    (seen,) = upstream.seen
    assert seen.method == "GET"
    assert "sk-planted" not in str(seen.headers)


async def test_an_upstream_that_is_not_there_is_named(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        made = await report(data_of(f"http://127.0.0.1:{closed.getsockname()[1]}/v1"), tmp_path)
    (text,) = texts(made, BAD)
    assert text.startswith("upstream main: http://127.0.0.1:")
    assert "cannot be reached" in text


async def test_plain_http_behind_https_is_said(tmp_path: Path) -> None:
    upstream = FakeUpstream([failing(404)])
    async with upstream.serving():
        made = await report(data_of(upstream.url.replace("http://", "https://")), tmp_path)
    assert any("TLS" in text or "cannot be reached" in text for text in texts(made, BAD))


async def test_a_clock_that_is_wrong_is_seen_in_the_answer(tmp_path: Path) -> None:
    answer = failing(404)
    answer.headers.append(("Date", "Mon, 01 Jan 2024 00:00:00 GMT"))
    upstream = FakeUpstream([answer])
    async with upstream.serving():
        made = await report(data_of(upstream.url), tmp_path)
    assert any("ahead of that of upstream main" in text for text in texts(made, POOR))


async def test_a_port_in_use_and_a_socket_without_a_folder_are_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        data = data_of(
            "http://127.0.0.1:9/v1", listen=f"127.0.0.1:{taken.getsockname()[1]}", admin=f"unix:{tmp_path}/no/a.sock"
        )
        made = await report(data, tmp_path)
    found = {text.split(":")[0]: text for text in texts(made, BAD)}
    assert "cannot be bound" in found["listen"]
    assert "no socket can be made" in found["admin"]


async def test_a_decision_log_without_a_folder_or_room_is_said(tmp_path: Path) -> None:
    made = await report(data_of("http://127.0.0.1:9/v1", decisions={"file": "no/such/d.jsonl"}), tmp_path)
    assert any(text.startswith("decision log:") and "cannot be written" in text for text in texts(made, BAD))
    huge = {"file": "d.jsonl", "max_bytes": 1 << 60}
    made = await report(data_of("http://127.0.0.1:9/v1", decisions=huge), tmp_path)
    assert any(text.startswith("decision log:") for text in texts(made, POOR))
    assert os.listdir(tmp_path) == []


async def test_what_is_probably_not_meant_is_said(tmp_path: Path) -> None:
    routes = [{"policies": []}, {"name": "o", "match": {"path_prefix": "/o"}, "policies": ["refusal"]}]
    fields = {"decisions": {"file": "d.jsonl", "content": "full"}, "workers": 64}
    made = await report(data_of("http://127.0.0.1:9/v1", *routes, **fields), tmp_path)
    poor = "\n".join(texts(made, POOR))
    for word in ("'r' has no policies", "'o' only observes", "holds the texts", "64 workers share"):
        assert word in poor
    assert all(finding.advice for finding in made.findings if finding.level != GOOD)


async def test_a_redis_that_is_gone_is_said_without_its_password(tmp_path: Path) -> None:
    store = {"kind": "redis", "url": "redis://:planted-password@127.0.0.1:9/0"}
    made = await report(data_of("http://127.0.0.1:9/v1", limit_store=store), tmp_path)
    assert any(text.startswith("limits of keys: Redis at 127.0.0.1:9 does not answer") for text in texts(made, BAD))
    assert "planted-password" not in made.to_json()


async def test_few_open_files_are_said(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, hard))
    try:
        made = await report(data_of("http://127.0.0.1:9/v1"), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert any(text.startswith("file limit: only 500") for text in texts(made, POOR))


def test_a_broken_configuration_is_a_report_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text("upstreams: {u: {kind: openai, url: 'http://x/v1', api_key: '${NOT_SET_HERE}'}}\nroutes: []\n")
    assert main(["doctor", "--config", str(file), "--json"]) == 1
    made = json.loads(capsys.readouterr().out)
    assert made["counts"] == {"ok": 0, "warn": 0, "fail": len(made["findings"])}
    assert any("NOT_SET_HERE" in finding["text"] for finding in made["findings"])


def test_words_for_people_and_an_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "exchanges.jsonl").write_text('{"reply": "Blue."}\n', encoding="utf-8")
    data = data_of("", upstreams={"main": {"kind": "replay", "file": "exchanges.jsonl"}})
    file = tmp_path / "gate.yaml"
    file.write_text(json.dumps(data), encoding="utf-8")
    assert main(["doctor", "--config", str(file)]) == 0
    said = capsys.readouterr().out
    assert "ok   detectors: " in said
    assert "answers are recorded" in said
