"""What an upstream is made of, and what a gateway does when it fails: retries and breaker, guarded and untouched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.config import build
from proxy.errors import ConfigError
from proxy.upstream.breaking import Breaking
from proxy.upstream.hedging import Hedging
from proxy.upstream.making import make_upstream, uncounted
from proxy.upstream.openai import OpenAIUpstream
from proxy.upstream.retrying import Retrying
from tests.proxy.fake_upstream import Answer, Pause, Reset, event, failing, plain, streamed
from tests.proxy.rig import DANUBE, WEATHER, rig

GUARDED: dict[str, Any] = {"name": "guarded", "policies": ["rebuttal"]}
PLAIN: dict[str, Any] = {"name": "plain", "match": {"path_prefix": "/plain"}}
AGAIN = {"retries": {"times": 2, "backoff_s": 0.01}}
BREAKER = {"breaker": {"failures": 2, "open_s": 30}}


async def made(tmp_path: Path, **own: Any) -> Any:
    data = {
        "upstreams": {"up": {"kind": "openai", "url": "http://127.0.0.1:1", **own}},
        "routes": [{"name": "r", "upstream": "up"}],
    }
    settings = build(data, source="test", folder=tmp_path, env={})
    return await make_upstream("up", settings.config.upstreams["up"], settings, uncounted)


async def test_what_is_not_asked_for_is_not_there(tmp_path: Path) -> None:
    bare = await made(tmp_path)
    assert type(bare) is OpenAIUpstream
    both = await made(tmp_path, **AGAIN, **BREAKER)
    assert type(both) is Retrying
    assert type(both._upstream) is Breaking
    assert both.name == "up"
    await bare.close()
    await both.close()


@pytest.mark.parametrize("own", [{"hedge_after_s": 1.0}, {"hedge_after_s": 1.0, **AGAIN}])
async def test_hedges_and_retries_of_an_upstream_have_one_share(tmp_path: Path, own: dict[str, Any]) -> None:
    upstream = await made(tmp_path, **own)
    assert type(upstream) is Retrying
    assert type(upstream._upstream) is Hedging
    assert upstream._share is upstream._upstream._share
    await upstream.close()


async def test_an_upstream_that_hedged_its_share_away_is_not_retried() -> None:
    """A share of 1% is never filled again here: 20 second calls, hedges and retries together."""
    slow = Answer([b"{}"], before=[Pause(0.05)], status=500)
    both = {"hedge_after_s": 0.01, "retries": {"times": 1, "backoff_s": 0.0}}
    async with rig(GUARDED, answers=[slow], main=both, limits={"holdout": 0, "retry_share": 0.01}) as gate:
        for _ in range(25):
            assert (await gate.chat(WEATHER)).status == 500
        hedged = gate.metric("chunkguard_upstream_hedges_total", upstream="main")
        retried = gate.metric("chunkguard_upstream_retries_total", upstream="main")
        assert hedged > 0
        assert retried > 0
        assert 20 <= hedged + retried <= 22
        assert 25 + 20 <= len(gate.upstream.seen) <= 25 + 22


async def test_certificates_that_cannot_be_read_are_a_problem_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(ConfigError, match=r"upstreams\.up\.ca_file"):
            await made(tmp_path, ca_file=name)


@pytest.mark.parametrize("prefix", ["", "/plain"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_request_is_sent_again_byte_for_byte(prefix: str, stream: bool) -> None:
    answer = streamed(DANUBE) if stream else plain(DANUBE)
    async with rig(GUARDED, PLAIN, answers=[failing(429), failing(503), answer], main=AGAIN) as gate:
        got = await gate.chat(WEATHER, prefix=prefix, stream=stream)
        assert (got.status, got.body) == (200, answer.body)
        assert len({seen.body for seen in gate.upstream.seen}) == 1
        assert len(gate.upstream.seen) == 3
        assert gate.metric("chunkguard_upstream_retries_total", upstream="main", reason="refused") == 2


async def test_a_broken_answer_is_asked_for_again_where_the_guard_knows_that_it_may() -> None:
    async with rig(GUARDED, PLAIN, answers=[failing(500), plain(DANUBE)], main=AGAIN) as gate:
        assert (await gate.chat(WEATHER)).status == 200
        # Hosted tools may have acted, and a stored answer would be stored twice. An untouched route does not read the request.
        for prefix, fields in (("", {"tools": [{"type": "web_search"}]}), ("", {"store": True}), ("/plain", {})):
            gate.upstream.set(failing(500), plain(DANUBE))
            assert (await gate.chat(WEATHER, prefix=prefix, **fields)).status == 500
            assert len(gate.upstream.seen) == 1


async def test_nothing_is_sent_again_once_a_byte_has_left() -> None:
    cut = streamed(DANUBE)
    cut = type(cut)([event({"content": "The "}), Reset()], headers=cut.headers)
    async with rig(PLAIN, answers=[cut, streamed(DANUBE)], main=AGAIN) as gate:
        got = await gate.chat(WEATHER, prefix="/plain", stream=True)
        assert got.broken
        assert len(gate.upstream.seen) == 1


@pytest.mark.parametrize("prefix", ["", "/plain"])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_open_breaker_answers_at_once_with_a_standard_error(prefix: str, stream: bool) -> None:
    async with rig(GUARDED, PLAIN, answers=[failing(500)], main=BREAKER) as gate:
        assert [(await gate.chat(WEATHER, prefix=prefix, stream=stream)).status for _ in range(4)] == [500, 500, 503, 503]
        refused = await gate.chat(WEATHER, prefix=prefix, stream=stream)
        assert refused.doc["error"]["code"] == "upstream_circuit_open"
        assert int(refused.value("retry-after") or 0) >= 1
        assert len(gate.upstream.seen) == 2
        assert gate.metric("chunkguard_breaker_changes_total", upstream="main", state="open") == 1
        assert gate.metric("chunkguard_breaker_refused_total", upstream="main") == 3


async def test_where_the_breaker_opens_between_attempts_the_first_answer_is_sent() -> None:
    denial = plain("No, 5 + 8 = 13 is incorrect. The correct answer is 5 + 8 = 13.")
    opens = {"breaker": {"failures": 1, "open_s": 30}}
    async with rig(GUARDED, answers=[denial, failing(500)], main=opens, limits={"holdout": 0}) as gate:
        got = await gate.chat("Is 5+8=13?")
        assert (got.status, got.body) == (200, denial.body)
        assert got.own["attempts"] >= "2"
        assert len(gate.upstream.seen) == 2


async def test_an_open_breaker_lets_a_fallback_answer_at_once() -> None:
    both = {"kind": "fallback", "upstreams": ["main", "spare0"]}
    opens = {"breaker": {"failures": 2, "open_s": 30}}
    async with rig(
        {"policies": ["rebuttal"], "upstream": "both"},
        answers=[failing(500)],
        spares=[[plain(DANUBE)]],
        main=opens,
        upstreams={"both": both},
    ) as gate:
        for _ in range(6):
            got = await gate.chat(WEATHER)
            assert (got.status, got.body) == (200, plain(DANUBE).body)
        # The one that fails was asked until its breaker opened.
        assert (len(gate.upstream.seen), len(gate.spares[0].seen)) == (2, 6)
