"""Reload by request, signal and file change; what a broken configuration changes: nothing."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy import app as app_module
from proxy import config, watching
from proxy.app import App, serve
from tests.proxy.fake_upstream import SSE, Answer, FakeUpstream, Wait, events, plain
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, PEACE, PROSE, WEATHER, Rig, fetch, rig, settings_of, until, write_config

ALL = {"policies": [CODE_POLICY]}


def rewrite(gate: Rig, file: Path, *routes: dict[str, Any], **fields: Any) -> None:
    write_config(file, settings_of(gate.upstream, *routes, **fields))


async def test_a_reload_serves_the_new_policies(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    async with rig({}, answers=[plain(CODE), plain(PROSE)], file=file) as gate:
        assert (await gate.chat(PEACE)).own == {}
        rewrite(gate, file, ALL)
        answer = await gate.ask_admin("POST", "/-/reload")
        assert (answer.status, answer.doc["reloaded"]) == (200, True)
        guarded = await gate.chat(PEACE)
        assert guarded.own["policy-revision"] == answer.doc["policy_revision"]
        assert f'revision="{answer.doc["policy_revision"]}"' in gate.app.metrics.exposition().decode()


@pytest.mark.parametrize(
    ("broken", "key"),
    [
        ({"policies": ["nonsense"]}, "routes[0].policies"),
        ({"policies": [{"extends": "code", "hold": {"on_trigger": "none"}}]}, "routes[0].policies"),
        ({"colour": "red"}, "routes[0].colour"),
        ({"upstream": "nowhere"}, "routes[0].upstream"),
    ],
)
async def test_a_broken_configuration_changes_nothing_and_says_why(tmp_path: Path, broken: Any, key: str) -> None:
    file = tmp_path / "gate.yaml"
    async with rig(ALL, answers=[plain(CODE), plain(PROSE)], file=file) as gate:
        revision = gate.app.gateway.snapshot.revision
        rewrite(gate, file, broken)
        answer = await gate.ask_admin("POST", "/-/reload")
        assert (answer.status, answer.doc["reloaded"]) == (422, False)
        (problem,) = answer.doc["problems"]
        assert problem["file"] == str(file)
        assert problem["key"].startswith(key)
        assert problem["reason"]
        assert (await gate.chat(PEACE)).own["policy-revision"] == revision
        assert b"reload_refused" in gate.log.getvalue()


async def test_a_file_that_is_gone_or_no_yaml_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    async with rig(ALL, answers=[plain(DANUBE)], file=file) as gate:
        file.write_text("a: [")
        assert (await gate.ask_admin("POST", "/-/reload")).status == 422
        file.unlink()
        assert (await gate.ask_admin("POST", "/-/reload")).status == 422
        assert (await gate.chat(WEATHER)).status == 200


@pytest.mark.parametrize(
    ("key", "value"), [("listen", "127.0.0.1:1"), ("admin", "127.0.0.1:1"), ("admin_key", "k"), ("log_level", "debug")]
)
async def test_what_cannot_change_while_running_is_refused(tmp_path: Path, key: str, value: str) -> None:
    file = tmp_path / "gate.yaml"
    async with rig(ALL, answers=[plain(DANUBE)], file=file) as gate:
        write_config(file, {**settings_of(gate.upstream, ALL), key: value})
        answer = await gate.ask_admin("POST", "/-/reload")
        assert [problem["key"] for problem in answer.doc["problems"]] == [key]


async def test_without_a_file_there_is_nothing_to_reload() -> None:
    async with rig(ALL, answers=[plain(DANUBE)]) as gate:
        answer = await gate.ask_admin("POST", "/-/reload")
        assert (answer.status, "nothing to reload" in answer.body.decode()) == (422, True)


async def test_a_request_under_way_keeps_what_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it takes longer than an old configuration is otherwise kept."""
    monkeypatch.setattr(app_module, "DRAIN_S", 0.01)
    file = tmp_path / "gate.yaml"
    more = asyncio.Event()
    first, *rest = events(CODE)
    async with rig(
        ALL, answers=[Answer([first, Wait(more), *rest], headers=SSE), Answer(events(PROSE), headers=SSE)], file=file
    ) as gate:
        before = gate.app.gateway.snapshot
        asking = asyncio.create_task(gate.chat(PEACE, stream=True))
        await gate.upstream.began.wait()
        rewrite(gate, file, {})
        assert (await gate.ask_admin("POST", "/-/reload")).status == 200
        await asyncio.sleep(0.05)
        more.set()
        answer = await asking
        assert answer.body == b"".join(events(PROSE))
        assert (answer.own["policy-revision"], answer.broken) == (before.revision, False)
        session = before.upstreams["main"]._session  # type: ignore[attr-defined]
        await until(lambda: bool(session.closed))


async def test_a_stop_closes_what_a_reload_left_behind(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    async with rig(ALL, answers=[plain(DANUBE)], file=file) as gate:
        session = gate.app.gateway.snapshot.upstreams["main"]._session  # type: ignore[attr-defined]
        await gate.ask_admin("POST", "/-/reload")
        await asyncio.sleep(0.01)
        assert not session.closed
    assert session.closed


async def test_a_changed_file_is_read_again_and_a_broken_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "WATCH_S", 0.01)
    file = tmp_path / "gate.yaml"
    async with rig(ALL, answers=[plain(DANUBE)], file=file) as gate:
        revision = gate.app.gateway.snapshot.revision
        file.write_text("no mapping")
        await until(lambda: b"reload_refused" in gate.log.getvalue())
        assert gate.app.gateway.snapshot.revision == revision
        rewrite(gate, file, {})
        await until(lambda: gate.app.gateway.snapshot.revision != revision)


async def test_the_watch_survives_what_nobody_foresaw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "WATCH_S", 0.01)
    file = tmp_path / "gate.yaml"
    async with rig(ALL, answers=[plain(DANUBE)], file=file) as gate:
        with monkeypatch.context() as patched:
            patched.setattr(config, "load", lambda *_: 1 / 0)
            file.write_text("anything")
            await until(lambda: b"ZeroDivisionError" in gate.log.getvalue())
        revision = gate.app.gateway.snapshot.revision
        rewrite(gate, file, {})
        await until(lambda: gate.app.gateway.snapshot.revision != revision)


async def test_a_port_that_is_taken_leaves_nothing_behind() -> None:
    async with rig(ALL, answers=[plain(DANUBE)]) as gate:
        host, port = gate.app.address
        data = {**settings_of(gate.upstream, ALL), "listen": f"{host}:{port}"}
        other = App(config.build(data, source="test", folder=Path(), env={}), log_to=io.BytesIO())
        with pytest.raises(OSError, match="address already in use"):
            await other.start()
        assert other.gateway.snapshot.upstreams["main"]._session.closed  # type: ignore[attr-defined]


@pytest.fixture
def own_collector() -> Iterator[None]:
    """What serving does to the process's collector is undone: other tests share it."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("own_collector")
async def test_serving_reloads_on_hangup_and_ends_on_terminate(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    upstream = FakeUpstream([plain(DANUBE)])
    log = io.BytesIO()
    async with upstream.serving(), aiohttp.ClientSession() as session:
        write_config(file, {**settings_of(upstream, ALL), "drain_delay_s": 1.0})
        app = App(config.load(file), file=file, log_to=log)
        up = asyncio.Event()
        serving = asyncio.create_task(serve(app, lambda _: up.set()))
        await up.wait()
        origin = f"http://{app.address[0]}:{app.address[1]}"
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": WEATHER}]}).encode()
        before = (await fetch(session, origin, "POST", "/v1/chat/completions", [], body)).own
        write_config(file, {**settings_of(upstream, {**ALL, "report": True}), "drain_delay_s": 1.0})
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: app.gateway.snapshot.revision != before["policy-revision"])
        file.write_text("[]")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: b"reload_refused" in log.getvalue())
        assert "chunkguard" in (await fetch(session, origin, "POST", "/v1/chat/completions", [], body)).doc
        assert isinstance(app.admin_address, tuple)
        asked = f"http://{app.admin_address[0]}:{app.admin_address[1]}"
        assert (await fetch(session, asked, "GET", "/-/ready")).status == 200
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: app.gateway.stopping)
        # Load balancers are told first; new connections are served meanwhile, and a second signal changes nothing.
        os.kill(os.getpid(), signal.SIGTERM)
        assert (await fetch(session, asked, "GET", "/-/ready")).status == 503
        assert (await fetch(session, origin, "GET", "/-/healthy")).status == 503
        async with aiohttp.ClientSession() as new:
            assert (await fetch(new, origin, "POST", "/v1/chat/completions", [], body)).status == 200
        assert not serving.done()
        await asyncio.wait_for(serving, 10)
        with pytest.raises(aiohttp.ClientError):
            await fetch(session, origin, "GET", "/-/healthy")


async def test_reloads_under_load_fail_no_request(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    async with rig(ALL, answers=[plain(DANUBE)], file=file) as gate:
        stop = asyncio.Event()
        answers: list[tuple[int, bytes]] = []

        async def client() -> None:
            while not stop.is_set():
                answer = await gate.chat(WEATHER)
                answers.append((answer.status, answer.body))

        clients = [asyncio.create_task(client()) for _ in range(8)]
        revisions = set()
        for number in range(3):
            rewrite(gate, file, {"policies": [{"extends": "code", "check": {"misrouted_at": 0.6 + number / 10}}]})
            assert (await gate.ask_admin("POST", "/-/reload")).status == 200
            revisions.add(gate.app.gateway.snapshot.revision)
            had = len(answers)
            await until(lambda had=had: len(answers) > had + 10)
        stop.set()
        await asyncio.gather(*clients)
        assert len(revisions) == 3
        assert set(answers) == {(200, plain(DANUBE).body)}
