"""Groups of upstreams before a real client: which upstream is asked, with whose key, and under which model name."""

from __future__ import annotations

from typing import Any

import pytest
from openai import APIStatusError

from proxy.upstream.fallback import FallbackUpstream
from proxy.upstream.weighted import WeightedUpstream
from tests.proxy.fake_upstream import failing, plain, streamed
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, PEACE, PROSE, WEATHER, Rig, rig, texts_of

BOTH = {"kind": "fallback", "upstreams": ["main", "spare0"]}


async def say(gate: Rig, prompt: str = WEATHER, model: str = "m", prefix: str = "") -> Any:
    async with gate.client(prefix) as client:
        return await client.chat.completions.create(model=model, messages=[{"role": "user", "content": prompt}])


async def test_the_spare_answers_with_its_own_key_and_its_own_name_of_the_model() -> None:
    spare = {"kind": "openai", "api_key": "sk-spare", "models": {"m": "spare-m"}}
    async with rig({}, answers=[failing(503)], spares=[[plain(DANUBE)]], upstreams={}) as other:
        url = other.spares[0].url
        fields: dict[str, Any] = {
            "upstreams": {"spare": {**spare, "url": url}, "both": {**BOTH, "upstreams": ["main", "spare"]}}
        }
        async with rig({"upstream": "both"}, answers=[failing(503)], **fields) as gate:
            answer = await say(gate)
            assert answer.choices[0].message.content == DANUBE
            (first,), (second,) = gate.upstream.seen, other.spares[0].seen
            assert first.values("authorization") == ["Bearer sk-client"]
            assert second.values("authorization") == ["Bearer sk-spare"]
            assert (first.doc["model"], second.doc["model"]) == ("m", "spare-m")
            assert isinstance(gate.app.gateway.snapshot.upstreams["both"], FallbackUpstream)
            assert gate.metric("chunkguard_upstream_moves_total") == 1
            assert gate.metric("chunkguard_upstream_moves_total", group="both", upstream="main", reason="status") == 1


async def test_a_guarded_stream_falls_back_before_its_first_byte() -> None:
    async with rig(
        {"upstream": "both", "policies": [CODE_POLICY]},
        answers=[failing(500)],
        spares=[[streamed(CODE), streamed(PROSE)]],
        upstreams={"both": BOTH},
    ) as gate:
        async with gate.client() as client:
            stream = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": PEACE}], stream=True)
            assert await texts_of(stream) == PROSE
        assert (len(gate.upstream.seen), len(gate.spares[0].seen)) == (2, 2)


async def test_a_group_may_be_a_rung_of_a_ladder() -> None:
    ladder = [{"action": "fallback", "upstream": "keyed"}, {"action": "flag"}]
    async with rig(
        {"policies": [{"extends": "code", "boundary": {"inject": "never"}, "ladder": ladder}]},
        answers=[plain(CODE)],
        spares=[[failing(503)], [plain(PROSE)]],
        upstreams={"keyed": {"kind": "fallback", "upstreams": ["spare0", "spare1"]}},
    ) as gate:
        assert (await say(gate, PEACE)).choices[0].message.content == PROSE
        assert [len(spare.seen) for spare in gate.spares] == [1, 1]
        assert gate.spares[1].seen[0].values("authorization") == ["Bearer sk-spare1"]


async def test_a_client_error_stays_the_first_ones() -> None:
    async with rig({"upstream": "both"}, answers=[failing(400)], spares=[[plain(DANUBE)]], upstreams={"both": BOTH}) as gate:
        with pytest.raises(APIStatusError) as caught:
            await say(gate)
        assert (caught.value.status_code, gate.spares[0].seen) == (400, [])


async def test_weights_share_a_route() -> None:
    shared = {"kind": "weighted", "upstreams": {"main": 1, "spare0": 1}}
    async with rig({"upstream": "w"}, answers=[plain(DANUBE)], spares=[[plain(PROSE)]], upstreams={"w": shared}) as gate:
        assert isinstance(gate.app.gateway.snapshot.upstreams["w"], WeightedUpstream)
        for _ in range(40):
            await say(gate)
        counts = len(gate.upstream.seen), len(gate.spares[0].seen)
        for upstream, count in zip(("main", "spare0"), counts, strict=True):
            assert gate.metric("chunkguard_upstream_shares_total", group="w", upstream=upstream) == count
        assert sum(counts) == 40
        assert min(counts) >= 5  # one in 10^6 fails by chance
