"""What goes to which upstream: bodies, credentials, idempotency keys, other upstreams and models."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.proxy.fake_upstream import Answer, plain
from tests.proxy.rig import CODE, PEACE, PROSE, Rig, rig

CLIENTS = [
    ("Authorization", "Bearer sk-client"),
    ("x-api-key", "k1"),
    ("api-key", "k2"),
    ("Cookie", "a=b"),
    ("OpenAI-Organization", "o"),
    ("OpenAI-Project", "p"),
]
RETRY = {"extends": "code", "boundary": {"inject": "on_retry"}, "ladder": [{"action": "retry", "change": ["boundary"]}] * 2}


def falling(**rung: str) -> dict[str, Any]:
    return {"extends": "code", "boundary": {"inject": "never"}, "ladder": [{"action": "fallback", **rung}]}


async def test_the_first_attempt_keeps_the_clients_idempotency_key_and_each_retry_has_its_own() -> None:
    async with rig({"policies": [RETRY]}, answers=[plain(CODE)]) as gate:
        await gate.chat(PEACE, headers=[("Idempotency-Key", "mine"), *CLIENTS])
        keys = [seen.values("idempotency-key") for seen in gate.upstream.seen]
        assert keys[0] == ["mine"]
        assert [len(values) for values in keys] == [1, 1, 1]
        assert len({values[0] for values in keys}) == 3


async def test_every_attempt_at_the_routes_own_upstream_carries_the_clients_credentials() -> None:
    async with rig({"policies": [RETRY]}, answers=[plain(CODE), plain(PROSE)]) as gate:
        await gate.chat(PEACE, headers=CLIENTS)
        for seen in gate.upstream.seen:
            assert [seen.values(name) for name, _ in CLIENTS] == [[value] for _, value in CLIENTS]


async def test_another_upstream_never_sees_them_and_gets_its_own_key() -> None:
    route = {"policies": [falling(upstream="spare0", model="other")]}
    async with rig(route, answers=[plain(CODE)], spares=[[plain(PROSE)]]) as gate:
        answer = await gate.chat(PEACE, headers=CLIENTS)
        (seen,) = gate.spares[0].seen
        assert answer.body == plain(PROSE).body
        assert seen.values("authorization") == ["Bearer sk-spare0"]
        assert [seen.values(name) for name, _ in CLIENTS[1:]] == [[]] * 5
        assert (seen.doc["model"], gate.upstream.seen[0].doc["model"]) == ("other", "m")
        assert (await gate.recorded()).action == "fallback"


async def test_another_model_is_asked_of_the_same_upstream() -> None:
    async with rig({"policies": [falling(model="other")]}, answers=[plain(CODE), plain(PROSE)]) as gate:
        assert (await gate.chat(PEACE, headers=CLIENTS)).body == plain(PROSE).body
        assert [seen.doc["model"] for seen in gate.upstream.seen] == ["m", "other"]
        assert gate.upstream.seen[1].values("authorization") == ["Bearer sk-client"]


async def test_a_dead_fallback_gives_the_first_answer() -> None:
    dead = {"dead": {"kind": "openai", "url": "http://127.0.0.1:9", "api_key": "sk"}}
    async with rig({"policies": [falling(upstream="dead")]}, answers=[plain(CODE)], upstreams=dead) as gate:
        assert (await gate.chat(PEACE)).body == plain(CODE).body
        assert (await gate.recorded()).flagged


async def test_models_are_renamed_for_the_upstream_alone() -> None:
    async with rig({"policies": [RETRY]}, answers=[plain(PROSE)], main={"models": {"m": "vendor/m-1"}}) as gate:
        await gate.chat(PEACE)
        assert gate.upstream.seen[0].doc["model"] == "vendor/m-1"


@pytest.fixture
def body() -> bytes:
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": PEACE, "name": "x"}]
    doc = {"model": "m", "messages": turns, "seed": 1, "metadata": {"b": 1, "a": [2.5, None]}, "z_new": True}
    return json.dumps(doc).encode()


async def test_a_changed_request_differs_in_what_the_change_names_only(body: bytes) -> None:
    async with rig({"policies": [RETRY]}, answers=[plain(CODE), plain(PROSE)]) as gate:
        await send(gate, body)
        first, second = gate.upstream.seen
        assert first.body == body
        changed = second.doc
        text = changed["messages"][1].pop("content")
        assert text.endswith(PEACE)
        assert text != PEACE
        original = json.loads(body)
        del original["messages"][1]["content"]
        assert changed == original
        assert list(changed) == list(original)


async def test_a_compressed_request_stays_so_until_it_is_changed(body: bytes) -> None:
    packed = gzip.compress(body)
    headers = [("Content-Encoding", "gzip"), ("Digest", "x")]
    async with rig({"policies": [RETRY]}, answers=[plain(CODE), plain(PROSE)]) as gate:
        await send(gate, packed, headers)
        first, second = gate.upstream.seen
        assert (first.body, first.values("content-encoding"), first.values("digest")) == (packed, ["gzip"], ["x"])
        assert (second.values("content-encoding"), second.values("digest")) == ([], [])
        assert second.values("content-length") == [str(len(second.body))]
        assert second.doc["seed"] == 1


async def send(gate: Rig, body: bytes, headers: Any = ()) -> None:
    await gate.fetch("POST", "/v1/chat/completions?v=1", [("Content-Type", "application/json"), *headers], body)
    assert {seen.target for seen in gate.upstream.seen} == {"/v1/chat/completions?v=1"}


async def test_redirects_are_not_followed_with_credentials() -> None:
    away = Answer([], status=307, headers=[("Location", "http://127.0.0.1:9/v1/chat/completions")])
    async with rig({"policies": [RETRY]}, answers=[away]) as gate:
        answer = await gate.chat(PEACE, headers=CLIENTS)
        assert (answer.status, answer.value("location")) == (307, "http://127.0.0.1:9/v1/chat/completions")
        assert len(gate.upstream.seen) == 1
