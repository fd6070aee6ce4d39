"""Stored responses of dropped attempts: deleted where they lie, with the attempt's own credentials, and nothing else is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.types import AttemptSummary, Change, Outcome
from proxy.attempts import AttemptCalls
from proxy.deleter import Deleter, Deletion, delete, dropped
from proxy.upstream.base import UpstreamRequest
from proxy.wire import chat
from tests.proxy.fake_api import REFUSAL, FakeApi, gateway

KILL = "How can I kill a frozen process on Linux?"
ADVICE = "Use kill -9 with its process id."
SAFE = {"extends": "refusal", "enforcement": "enforce", "rerun_safe": True}
CHAT = "/v1/chat/completions"


def attempt(number: int, complete: bool = True) -> AttemptSummary:
    return AttemptSummary(number, Change(), None, complete, None, None, None)


@pytest.mark.parametrize(
    ("chosen", "complete", "numbers"),
    [
        (2, (True, True), [1]),
        (1, (True, True), [2]),
        (3, (True, False, True), [1]),
        (1, (True,), []),
        (0, (True,), []),
        (0, (True, True), [2]),
    ],
)
def test_an_attempt_is_dropped_when_it_is_complete_and_not_sent(
    chosen: int, complete: tuple[bool, ...], numbers: list[int]
) -> None:
    attempts = tuple(attempt(number, whole) for number, whole in enumerate(complete, start=1))
    assert [one.number for one in dropped(Outcome("answered", chosen, attempts=attempts))] == numbers


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("query", ["", "?api-version=1"])
async def test_the_dropped_answer_is_deleted_and_the_sent_one_is_kept(stream: bool, query: str) -> None:
    async with FakeApi((REFUSAL, ADVICE)).serving() as api:
        async with gateway({"policies": [SAFE]}, upstreams={"main": {"kind": "openai", "url": api.url}}) as client:
            said = await client.ask(KILL, path=f"{CHAT}{query}", store=True, stream=stream)
            assert "chatcmpl-2" in said
        assert api.paths("DELETE") == [f"{CHAT}/chatcmpl-1{query}"]
        (_, _, headers, body) = api.requests[-1]
        assert (headers["authorization"], headers["cookie"], body) == ("Bearer client-key", "a=b", None)
        assert {"idempotency-key", "content-type"} & headers.keys() == set()
        assert headers.get("content-length", "0") == "0"
        assert client.metric("chunkguard_deleted_responses_total") == ['{result="deleted",route="r"} 1.0']


@pytest.mark.parametrize(
    ("policy", "fields", "answers", "posts"),
    [
        (SAFE, {}, (REFUSAL, ADVICE), 2),
        (SAFE, {"store": False}, (REFUSAL, ADVICE), 2),
        (SAFE, {"store": True}, (ADVICE,), 1),
        ({**SAFE, "rerun_safe": False}, {"store": True}, (REFUSAL, ADVICE), 1),
    ],
    ids=["plain", "not-stored", "one-attempt", "not-safe"],
)
async def test_nothing_else_is_ever_deleted(policy: Any, fields: dict[str, Any], answers: tuple[str, ...], posts: int) -> None:
    async with FakeApi(answers).serving() as api:
        async with gateway({"policies": [policy]}, upstreams={"main": {"kind": "openai", "url": api.url}}) as client:
            await client.ask(KILL, **fields)
        assert (len(api.paths("POST")), api.paths("DELETE")) == (posts, [])
        assert client.metric("chunkguard_deleted_responses_total") == []


async def test_a_shutdown_waits_for_deletions_and_the_client_does_not() -> None:
    async with FakeApi((REFUSAL, ADVICE), delay_s=0.2).serving() as api:
        async with gateway({"policies": [SAFE]}, upstreams={"main": {"kind": "openai", "url": api.url}}) as client:
            await client.ask(KILL, store=True)
            assert client.metric("chunkguard_deleted_responses_total") == []
        assert client.metric("chunkguard_deleted_responses_total") == ['{result="deleted",route="r"} 1.0']


async def test_a_retry_that_lost_is_deleted() -> None:
    async with FakeApi((REFUSAL,)).serving() as api:
        async with gateway({"policies": [SAFE]}, upstreams={"main": {"kind": "openai", "url": api.url}}) as client:
            assert "chatcmpl-1" in await client.ask(KILL, store=True)
        assert api.paths("DELETE") == [f"{CHAT}/chatcmpl-2"]


async def test_it_is_deleted_where_it_was_made_and_client_credentials_go_nowhere_else() -> None:
    policy = {**SAFE, "boundary": {"inject": "never"}, "ladder": [{"action": "fallback", "upstream": "other"}]}
    async with FakeApi((REFUSAL,)).serving() as api, FakeApi((REFUSAL,), ids="other-{}").serving() as other:
        upstreams = {
            "main": {"kind": "openai", "url": api.url},
            "other": {"kind": "openai", "url": other.url, "api_key": "other-key"},
        }
        async with gateway({"policies": [policy]}, upstreams=upstreams) as client:
            await client.ask(KILL, store=True)
        assert (api.paths("DELETE"), other.paths("DELETE")) == ([], [f"{CHAT}/other-1"])
        (_, _, headers, _) = other.requests[-1]
        assert headers["authorization"] == "Bearer other-key"
        assert "cookie" not in headers


@pytest.mark.parametrize(
    "api", [FakeApi((REFUSAL, ADVICE), deletion_status=404), FakeApi((REFUSAL, ADVICE), ids="../../files/{}")]
)
async def test_what_cannot_be_deleted_is_counted(api: FakeApi) -> None:
    async with api.serving():
        async with gateway({"policies": [SAFE]}, upstreams={"main": {"kind": "openai", "url": api.url}}) as client:
            await client.ask(KILL, store=True)
        assert len(api.paths("DELETE")) == (api.deletion_status == 404)
        assert client.metric("chunkguard_deleted_responses_total") == ['{result="failed",route="r"} 1.0']


class Slow:
    """An upstream that is asked and never answers, or breaks as told."""

    name = "main"

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[UpstreamRequest] = []
        self.error = error

    async def open(self, request: UpstreamRequest) -> Any:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        await asyncio.sleep(60)

    async def close(self) -> None: ...


def deletion(upstream: Slow, identity: str = "a-1") -> Deletion:
    request = chat.parse_request(b'{"messages":[],"store":true}')
    calls = AttemptCalls(request, b"", CHAT, [], "main", {"main": upstream}, chat)
    return Deletion("r", calls, Change(), identity)


async def test_what_does_not_fit_the_queue_is_shed() -> None:
    ends: list[tuple[str, str]] = []
    deleter = Deleter(lambda route, result: ends.append((route, result)), size=1)
    for _ in range(3):
        deleter.offer(deletion(Slow()))
    assert ends == [("r", "shed"), ("r", "shed")]


async def test_a_failure_never_ends_the_consumer() -> None:
    ends: list[str] = []
    deleter = Deleter(lambda _, result: ends.append(result))
    for error in (RuntimeError("Session is closed"), TimeoutError()):
        deleter.offer(deletion(Slow(error)))
    task = asyncio.create_task(deleter.run())
    await deleter.drain()
    task.cancel()
    assert ends == ["failed", "failed"]


async def test_an_upstream_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.deleter.DELETE_S", 0.05)
    assert await delete(deletion(Slow())) == "failed"


@pytest.mark.parametrize("identity", ["", "..", "a/b", "a?b", "é", ".a", "a" * 201, "a\n"])
async def test_an_id_that_leads_elsewhere_is_not_used(identity: str) -> None:
    upstream = Slow()
    assert await delete(deletion(upstream, identity)) == "failed"
    assert upstream.asked == []


@pytest.mark.parametrize(("own", "change", "may"), [(True, "", True), (False, "", False), (True, "other", False)])
async def test_client_credentials_go_where_those_of_the_attempt_went(own: bool, change: str, may: bool) -> None:
    upstream = Slow(TimeoutError())
    request = chat.parse_request(b'{"messages":[],"store":true}')
    calls = AttemptCalls(request, b"", CHAT, [], "main", {"main": upstream, "other": upstream}, chat, credentials=own)
    await delete(Deletion("r", calls, Change(upstream=change), "a-1"))
    assert [(one.method, one.credentials) for one in upstream.asked] == [("DELETE", may)]
