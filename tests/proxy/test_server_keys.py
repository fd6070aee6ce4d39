"""Client keys at the gateway: what they may use, how much, and what is told to whom."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from proxy.keys import hash_of, make_key
from tests.proxy.fake_upstream import JSON, USAGE, Answer, Seen, completion, failing, message, plain, streamed
from tests.proxy.rig import DANUBE, WEATHER, Rig, rig, until

#: One policy that acts, one route untouched.
GUARDED: dict[str, Any] = {"name": "guarded", "policies": ["rebuttal"]}
PLAIN: dict[str, Any] = {"name": "plain", "match": {"path_prefix": "/plain"}}
KEY, OTHER = "cg-" + "k" * 43, "cg-" + "o" * 43


def keys(**limits: int) -> dict[str, Any]:
    return {"app": {"key": hash_of(KEY), "limits": limits}, "other": OTHER}


async def ask(gate: Rig, key: str = KEY, prefix: str = "", **fields: Any) -> Any:
    return await gate.chat(WEATHER, prefix=prefix, headers=[("Authorization", f"Bearer {key}")], **fields)


@pytest.mark.parametrize("prefix", ["", "/plain"])
async def test_requests_beyond_the_limit_are_429_and_reach_nobody(prefix: str) -> None:
    async with rig(GUARDED, PLAIN, answers=[plain(DANUBE)], keys=keys(requests_per_minute=2)) as gate:
        answers = [await ask(gate, prefix=prefix) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert len(gate.upstream.seen) == 2
        assert [answer.value("x-ratelimit-remaining-requests") for answer in answers] == ["1", "0", "0"]
        assert answers[0].value("x-ratelimit-limit-requests") == "2"
        assert answers[0].value("x-ratelimit-reset-requests") == "30s"
        error = answers[2].doc["error"]
        assert (error["code"], error["type"], error["param"]) == ("rate_limit_exceeded", "rate_limit_error", None)
        assert 1 <= int(answers[2].value("retry-after")) <= 30
        # Another key is another bucket, and one without limits has none.
        other = await ask(gate, OTHER, prefix=prefix)
        assert (other.status, other.value("x-ratelimit-limit-requests")) == (200, None)
        assert gate.metric("chunkguard_key_requests_total", key="app", result="admitted") == 2
        assert gate.metric("chunkguard_key_requests_total", key="app", result="requests") == 1
        assert gate.metric("chunkguard_key_requests_total", key="other") == 0


async def test_official_clients_understand_the_refusals() -> None:
    limited = {"app": {"key": KEY, "limits": {"requests_per_minute": 1}, "routes": ["guarded"]}}
    async with rig(GUARDED, PLAIN, answers=[plain(DANUBE)], keys=limited) as gate:
        asked: list[Any] = [{"role": "user", "content": WEATHER}]
        async with gate.client(prefix="/plain", api_key=KEY) as client:
            with pytest.raises(openai.PermissionDeniedError) as denied:
                await client.chat.completions.create(model="m", messages=asked)
            assert denied.value.code == "permission_denied"
        async with gate.client(api_key=KEY) as client:
            with pytest.raises(openai.RateLimitError) as limit:
                await client.chat.completions.create(model="m", messages=asked)
            assert limit.value.code == "rate_limit_exceeded"
        async with anthropic.AsyncAnthropic(base_url=gate.origin, api_key=KEY, max_retries=0) as claude:
            with pytest.raises(anthropic.RateLimitError) as claudes:
                await claude.messages.create(model="m", max_tokens=9, messages=asked)
            body: Any = claudes.value.body
            assert (body["type"], body["error"]["type"]) == ("error", "rate_limit_error")
        async with anthropic.AsyncAnthropic(base_url=f"{gate.origin}/plain", api_key="cg-wrong", max_retries=0) as claude:
            with pytest.raises(anthropic.AuthenticationError):
                await claude.messages.create(model="m", max_tokens=9, messages=asked)


@pytest.mark.parametrize("prefix", ["", "/plain"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("reports", [False, True])
async def test_tokens_are_charged_as_reported_or_estimated(prefix: str, stream: bool, reports: bool) -> None:
    answer = streamed(DANUBE, usage=reports) if stream else plain(DANUBE, **({} if reports else {"usage": None}))
    async with rig(GUARDED, PLAIN, answers=[answer], keys=keys(tokens_per_minute=1000)) as gate:
        first = await ask(gate, prefix=prefix, stream=stream)
        assert first.status == 200
        size = len(gate.upstream.seen[0].body)
        await until(lambda: gate.metric("chunkguard_key_tokens_total", key="app") > 0)
        charged = gate.metric("chunkguard_key_tokens_total", key="app")
        expected = USAGE["total_tokens"] if reports else size // 4 + -(-len(DANUBE) // 4)
        assert charged == expected
        # Of the next request its own reservation is gone, and what the first one used; a minute gives back 17 a second.
        second = await ask(gate, prefix=prefix, stream=stream)
        left = int(second.value("x-ratelimit-remaining-tokens"))
        assert 0 <= left - (1000 - expected - size // 4) <= 5


async def test_a_compressed_answer_is_charged_too() -> None:
    body = gzip.compress(completion(message(DANUBE)))
    answer = Answer([body], headers=[*JSON, ("Content-Encoding", "gzip")], length=True)
    async with rig(PLAIN, answers=[answer], keys=keys(tokens_per_day=1000)) as gate:
        assert (await ask(gate, prefix="/plain")).body == body
        assert gate.metric("chunkguard_key_tokens_total", key="app") == USAGE["total_tokens"]


async def test_what_embeddings_report_is_charged() -> None:
    body = json.dumps({"data": [{"embedding": [0.1] * 2000}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}).encode()
    async with rig({}, answers=[Answer([body], length=True)], keys=keys(tokens_per_day=10)) as gate:
        headers = [("Authorization", f"Bearer {KEY}")]
        assert (await gate.fetch("POST", "/v1/embeddings", headers, b'{"input":"x"}')).body == body
        assert gate.metric("chunkguard_key_tokens_total", key="app") == 8


@pytest.mark.parametrize("prefix", ["", "/plain"])
async def test_a_failed_request_gives_its_reservation_back(prefix: str) -> None:
    async with rig(GUARDED, PLAIN, answers=[failing(500)], keys=keys(tokens_per_minute=60)) as gate:
        # Each reserves about 16 tokens: without giving back, the fifth would be refused.
        assert [(await ask(gate, prefix=prefix)).status for _ in range(8)] == [500] * 8
        gate.upstream.set(plain(DANUBE))
        assert (await ask(gate, prefix=prefix)).status == 200


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/v1/chat/completions", b"no json"),
        ("/v1/chat/completions", b"{}"),
        ("/v1/guard/check", b"{}"),
        ("/v1/guard/check", b'{"prompt": "Hi", "response": "Hello"}'),
        ("/elsewhere/v1/chat/completions", b'{"model": 3}'),
        ("/v1/files", b"x" * 40),
    ],
)
async def test_what_no_upstream_is_asked_gives_its_reservation_back(target: str, body: bytes) -> None:
    async with rig(GUARDED, answers=[plain(DANUBE)], keys=keys(tokens_per_minute=1000), main={"api_key": "sk-own"}) as gate:
        for _ in range(3):
            await gate.fetch("POST", target, [("api-key", KEY)], body + b" " * 1200)
        assert gate.upstream.seen == []
        assert int((await ask(gate)).value("x-ratelimit-remaining-tokens")) > 900


@pytest.mark.parametrize("prefix", ["", "/plain"])
async def test_a_used_up_budget_is_insufficient_quota(prefix: str) -> None:
    async with rig(GUARDED, PLAIN, answers=[plain(DANUBE)], keys=keys(tokens_per_month=20)) as gate:
        statuses = []
        for _ in range(3):
            statuses.append((await ask(gate, prefix=prefix)).status)
            await asyncio.sleep(0.05)
        assert statuses == [200, 200, 429]
        refused = await ask(gate, prefix=prefix)
        assert refused.doc["error"]["code"] == refused.doc["error"]["type"] == "insufficient_quota"
        assert int(refused.value("retry-after")) >= 1
        assert refused.value("x-should-retry") == "false"


async def test_retries_of_the_guard_are_charged_to_the_key() -> None:
    def denies_once(seen: Seen) -> Answer:
        return plain("No, 5 + 8 = 13 is incorrect. The correct answer is 5 + 8 = 13." if seen.asked == "Is 5+8=13?" else "Yes.")

    async with rig(GUARDED, keys=keys(tokens_per_day=1000), limits={"holdout": 0}) as gate:
        gate.upstream.respond = denies_once
        await gate.chat("Is 5+8=13?", headers=[("Authorization", f"Bearer {KEY}")])
        record = await gate.recorded()
        assert len(record.attempts) >= 2
        assert gate.metric("chunkguard_key_tokens_total", key="app") == USAGE["total_tokens"] * len(record.attempts)


async def test_what_a_provider_says_of_our_own_limits_is_not_passed_on() -> None:
    told = [*JSON, ("x-ratelimit-remaining-tokens", "149984"), ("anthropic-ratelimit-tokens-limit", "9"), ("X-Own", "1")]
    answer = Answer([completion(message(DANUBE))], headers=told, length=True)
    async with rig(PLAIN, answers=[answer], keys=keys(requests_per_minute=9)) as gate:
        limited, free = await ask(gate, prefix="/plain"), await ask(gate, OTHER, prefix="/plain")
        assert limited.value("x-ratelimit-remaining-tokens") is None
        assert limited.value("anthropic-ratelimit-tokens-limit") is None
        assert (limited.value("x-ratelimit-remaining-requests"), limited.value("x-own")) == ("8", "1")
        assert free.value("x-ratelimit-remaining-tokens") == "149984"


@pytest.mark.parametrize("path", ["/v1/messages", "/plain/v1/messages", "/v1/messages/count_tokens"])
async def test_clients_of_anthropics_api_are_told_in_its_own_headers(path: str) -> None:
    async with rig(GUARDED, PLAIN, answers=[failing(400)], keys=keys(requests_per_minute=1)) as gate:
        body = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}'
        first, refused = [await gate.fetch("POST", path, [*JSON, ("x-api-key", KEY)], body) for _ in range(2)]
        assert (first.status, refused.status) == (400, 429)
        for told in (first, refused):
            assert told.value("anthropic-ratelimit-requests-limit") == "1"
            assert told.value("anthropic-ratelimit-requests-remaining") == "0"
            full = datetime.fromisoformat(told.value("anthropic-ratelimit-requests-reset") or "")
            assert 0 < (full - datetime.now(UTC)).total_seconds() <= 61
            assert told.value("x-ratelimit-limit-requests") is None
        assert refused.doc["error"]["type"] == "rate_limit_error"
        assert int(refused.value("retry-after") or 0) >= 1


@pytest.mark.parametrize("target", ["/v1/chat/completions", "/plain/v1/chat/completions", "/v1/models", "/plain/x"])
async def test_a_key_may_use_its_routes_only(target: str) -> None:
    bound = {"app": {"key": KEY, "routes": ["plain"]}}
    async with rig(GUARDED, PLAIN, answers=[plain(DANUBE)], keys=bound) as gate:
        body = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
        answer = await gate.fetch("POST", target, [("api-key", KEY)], body)
        allowed = target.startswith("/plain")
        assert answer.status == (200 if allowed else 403)
        assert bool(gate.upstream.seen) is allowed


def secrets_in(gate: Rig, answers: Sequence[Any]) -> list[str]:
    """Where a key can be seen that must not be."""
    places = {
        "log": gate.log.getvalue().decode(),
        "metrics": gate.app.metrics.exposition().decode(),
        "records": repr(gate.records),
        "upstream": repr(gate.upstream.seen),
        "answers": repr(answers),
        "settings": repr(gate.app.settings),
    }
    return [name for name, text in places.items() for key in (KEY, OTHER, hash_of(KEY)) if key in text]


async def test_a_key_is_seen_nowhere() -> None:
    async with rig(GUARDED, PLAIN, answers=[plain(DANUBE)], keys=keys(requests_per_minute=3)) as gate:
        answers = [await ask(gate, key, prefix) for prefix in ("", "/plain") for key in (KEY, KEY, OTHER, "cg-wrong")]
        await until(lambda: len(gate.records) >= 3)
        assert secrets_in(gate, answers) == []


async def test_a_new_keys_file_is_served_without_a_restart(tmp_path: Path) -> None:
    first, second = make_key(), make_key()
    (tmp_path / "keys.yaml").write_text(f"one: {hash_of(first)}\n", encoding="utf-8")
    file = tmp_path / "chunkguard.yaml"
    async with rig(PLAIN, answers=[plain(DANUBE)], file=file, keys_file="keys.yaml") as gate:
        assert [(await ask(gate, key, "/plain")).status for key in (first, second)] == [200, 401]
        (tmp_path / "keys.yaml").write_text(f"two: {hash_of(second)}\n", encoding="utf-8")
        # The watch sees it, as it sees a change of the configuration itself.
        for _ in range(100):
            if (await ask(gate, second, "/plain")).status == 200:
                break
            await asyncio.sleep(0.1)
        assert [(await ask(gate, key, "/plain")).status for key in (first, second)] == [401, 200]
        # A file that lost its keys must not open the proxy.
        (tmp_path / "keys.yaml").write_text("", encoding="utf-8")
        assert (await gate.ask_admin("POST", "/-/reload")).status == 422
        assert (await ask(gate, first, "/plain")).status == 401


async def test_a_reload_keeps_what_keys_have_used(tmp_path: Path) -> None:
    file = tmp_path / "chunkguard.yaml"
    async with rig(PLAIN, answers=[plain(DANUBE)], file=file, keys=keys(requests_per_minute=1)) as gate:
        assert (await ask(gate, prefix="/plain")).status == 200
        assert (await gate.ask_admin("POST", "/-/reload")).status == 200
        assert (await ask(gate, prefix="/plain")).status == 429


@pytest.mark.parametrize("mode", ["fail_open", "fail_closed"])
async def test_without_redis_the_setting_decides_and_the_log_says_so(mode: str) -> None:
    store = {"kind": "redis", "url": "redis://:redis-word@127.0.0.1:1/0", "failure_mode": mode}
    async with rig(GUARDED, answers=[plain(DANUBE)], keys=keys(requests_per_minute=1), limit_store=store) as gate:
        answers = [await ask(gate) for _ in range(3)]
        if mode == "fail_open":
            assert [answer.status for answer in answers] == [200] * 3
            assert gate.metric("chunkguard_key_requests_total", key="app", result="uncounted") == 3
        else:
            assert [answer.status for answer in answers] == [503] * 3
            assert answers[0].doc["error"]["code"] == "limits_unavailable"
            assert answers[0].value("retry-after") == "1"
            assert gate.upstream.seen == []
        # A key without limits needs no Redis.
        assert (await ask(gate, OTHER)).status == 200
        lines = [json.loads(line) for line in gate.log.getvalue().splitlines()]
        assert {(line["logger"], line["kind"]) for line in lines if line["event"] == "library"} == {
            ("chunkguard.limits", "ConnectionError")
        }
        assert b"redis-word" not in gate.log.getvalue()
