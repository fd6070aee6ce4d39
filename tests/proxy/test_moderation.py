"""Moderation of suspected refusals: what an endpoint's answer means, and what it changes through the whole gateway."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest

from core.types import MODERATED, Conversation, Scores, Turn
from policies.decide import RoutePlan
from policies.loader import resolve
from policies.plan import compile_route
from proxy.config_model import Moderation
from proxy.moderation import Answer, Moderator, Settling, read_answer
from proxy.records import DecisionRecord
from tests.proxy.fake_api import REFUSAL, Client, FakeApi, gateway, until

#: In a language whose harm is not measured, so that its harm is unknown and its refusal a suspicion.
WEEDS = "Πώς σκοτώνω τα ζιζάνια στον κήπο μου χωρίς να βλάψω το γρασίδι;"
ADVICE = "Luk det for hånd, og dekk jorda med bark."
REFUSING = {"extends": "refusal", "enforcement": "enforce"}
BENIGN = {"id": "m", "results": [{"flagged": False, "categories": {}}]}
FLAGGED = {"id": "m", "results": [{"flagged": True}]}


@pytest.mark.parametrize(
    ("doc", "count", "answer"),
    [
        (BENIGN, 1, "benign"),
        (FLAGGED, 1, "flagged"),
        ({"results": [{"flagged": False}, {"flagged": True}]}, 2, "flagged"),
        ({"results": [{"flagged": False}, {"flagged": False}]}, 2, "benign"),
        ({"results": [{"flagged": False}]}, 2, "error"),
        ({"results": [{"flagged": False}, {}]}, 2, "error"),
        ({"results": [{"flagged": False}, None]}, 2, "error"),
        ({"results": [{"flagged": 0}]}, 1, "error"),
        ({"results": []}, 0, "error"),
        ({"results": []}, 1, "error"),
        ({"results": {"flagged": False}}, 1, "error"),
        ({"flagged": False}, 1, "error"),
        ([BENIGN], 1, "error"),
        (None, 1, "error"),
    ],
)
def test_only_a_complete_answer_that_flags_nothing_is_benign(doc: Any, count: int, answer: Answer) -> None:
    assert read_answer(orjson.dumps(doc), count) == answer


def test_what_is_no_json_is_an_error() -> None:
    assert read_answer(b"<html>", 1) == "error"


def plan_of(harm: float | None, text: str = "x") -> RoutePlan:
    (policy,), problems = resolve([REFUSING], "test")
    assert problems == ()
    values = {} if harm is None else {"harm": harm}
    return compile_route((policy,)).make_plan(Conversation((Turn("user", text, 0),)), Scores(values), stream=False)


class Scripted(Moderator):
    """Counts what it is asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked = 0

    async def ask(self, conversation: Conversation) -> Answer:
        self.asked += 1
        return self.answer


@pytest.mark.parametrize(
    ("harm", "refusal", "asked"),
    [(None, 0.65, 1), (0.3, 0.4, 1), (0.31, 0.65, 0), (0.9, 0.65, 0), (None, 0.39, 0), (None, 0.7, 0)],
)
async def test_it_is_asked_only_where_it_could_change_anything(harm: float | None, refusal: float, asked: int) -> None:
    moderator = Scripted("benign")
    plan = plan_of(harm)
    settling = Settling(moderator, plan, plan.conversation)
    (score,) = await settling.settle((Scores({"refusal": refusal}),), ask=True)
    assert moderator.asked == asked
    assert score.values.get(MODERATED) == (0.0 if asked else None)


async def test_it_is_asked_once_and_all_attempts_are_judged_by_what_it_said() -> None:
    moderator = Scripted("flagged")
    plan = plan_of(None)
    settling = Settling(moderator, plan, plan.conversation)
    suspect = (Scores({"refusal": 0.5}),)
    assert await settling.settle(suspect, ask=False) == suspect
    for ask in (True, True, False):
        (score,) = await settling.settle(suspect, ask=ask)
        assert score.values == {"refusal": 0.5, MODERATED: 1.0}
    assert moderator.asked == 1


async def test_it_is_shown_the_text_of_user_turns_and_nothing_of_the_client() -> None:
    turns = (Turn("system", "sys", 0), Turn("user", "one", 1), Turn("assistant", "no", 2), Turn("user", "two", 3))
    async with FakeApi(moderation={"results": [{"flagged": False}] * 2}).serving() as api, AsyncExitStack() as stack:
        for model, expected in ((None, {}), ("own", {"model": "own"})):
            settings = Moderation.model_validate({"url": api.url, "api_key": "mod-key", "model": model})
            moderator = Moderator(settings)
            stack.push_async_callback(moderator.close)
            assert await moderator.ask(Conversation(turns)) == "benign"
            method, path, headers, body = api.requests[-1]
            assert (method, path, body) == ("POST", "/v1/moderations", {"input": ["one", "two"], **expected})
            assert headers["authorization"] == "Bearer mod-key"


@pytest.mark.parametrize("turn", [Turn("user", "look", 0, media=True), Turn("user", "", 0), Turn("system", "sys", 0)])
async def test_what_it_cannot_be_shown_is_unknown_without_asking(turn: Turn) -> None:
    async with FakeApi(moderation=BENIGN).serving() as api, AsyncExitStack() as stack:
        moderator = Moderator(Moderation.model_validate({"url": api.url, "api_key": "mod-key"}))
        stack.push_async_callback(moderator.close)
        assert await moderator.ask(Conversation((turn,))) == "unreadable"
        assert api.requests == []


async def test_an_endpoint_that_cannot_be_reached_or_never_stops_is_an_error() -> None:
    async with FakeApi(moderation={**BENIGN, "more": "x" * (1 << 20)}).serving() as api, AsyncExitStack() as stack:
        for url in ("http://127.0.0.1:1/v1", api.url):
            moderator = Moderator(Moderation.model_validate({"url": url, "api_key": "mod-key"}))
            stack.push_async_callback(moderator.close)
            assert await moderator.ask(Conversation((Turn("user", "x", 0),))) == "error"
        assert len(api.requests) == 1


async def ask_through(
    api: FakeApi, upstream: FakeApi, prompt: Any = WEEDS, policy: dict[str, Any] = REFUSING, **fields: Any
) -> tuple[str, DecisionRecord, Client]:
    """One request through a gateway whose route names `api` for moderation."""
    moderation = {"url": api.url, "api_key": "mod-key", "timeout_s": 0.3}
    route = {"policies": [policy], "moderation": moderation}
    async with gateway(route, upstreams={"main": {"kind": "openai", "url": upstream.url}}) as client:
        said = await client.ask(prompt, **fields)
        return said, client.records[-1], client


@pytest.mark.parametrize("stream", [False, True])
async def test_a_benign_word_has_the_refusal_tried_again(stream: bool) -> None:
    async with FakeApi(moderation=BENIGN).serving() as api, FakeApi((REFUSAL, ADVICE)).serving() as upstream:
        said, record, client = await ask_through(api, upstream, stream=stream)
        assert ("Luk " in said, "sorry" in said) == (True, False)
        assert (record.first_verdict, record.verdict, record.fixed) == ("misrouted", "clear", ("refusal",))
        assert (record.moderation, len(record.attempts), record.flagged) == ("benign", 2, False)
        assert client.metric("chunkguard_moderations_total") == ['{result="benign",route="r"} 1.0']
        ((_, _, headers, body),) = api.requests
        assert body == {"input": [WEEDS]}
        assert headers["authorization"] == "Bearer mod-key"
        assert {"cookie", "idempotency-key"} & headers.keys() == set()
        assert upstream.requests[0][2]["authorization"] == "Bearer client-key"


@pytest.mark.parametrize(
    ("api", "answer"),
    [
        (FakeApi(moderation=FLAGGED), "flagged"),
        (FakeApi(moderation=BENIGN, moderation_status=500), "error"),
        (FakeApi(moderation=BENIGN, moderation_status=307), "error"),
        (FakeApi(moderation={"results": []}), "error"),
        (FakeApi(moderation=BENIGN, delay_s=30.0), "timeout"),
    ],
    ids=["flagged", "error", "redirect", "odd", "timeout"],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_any_other_word_leaves_it_flagged(api: FakeApi, answer: str, stream: bool) -> None:
    api.requests.clear()
    async with api.serving(), FakeApi((REFUSAL, ADVICE)).serving() as upstream:
        said, record, client = await ask_through(api, upstream, stream=stream)
        assert "sorry" in said
        assert (record.verdict, record.flagged, record.moderation) == ("suspect", True, answer)
        assert (len(upstream.requests), api.paths("POST")) == (1, ["/v1/moderations"])
        assert client.metric("chunkguard_moderations_total") == [f'{{result="{answer}",route="r"}} 1.0']


PICTURE = [{"type": "text", "text": WEEDS}, {"type": "image_url", "image_url": {"url": "data:,"}}]


@pytest.mark.parametrize(
    ("prompt", "policy", "fields"),
    [
        (PICTURE, REFUSING, {}),
        (WEEDS, REFUSING, {"store": True}),
    ],
    ids=["media", "stored"],
)
async def test_nobody_is_asked_where_nothing_could_be_done(prompt: Any, policy: Any, fields: dict[str, Any]) -> None:
    async with FakeApi(moderation=BENIGN).serving() as api, FakeApi((REFUSAL, ADVICE)).serving() as upstream:
        said, record, client = await ask_through(api, upstream, prompt, policy, **fields)
        assert "sorry" in said
        assert (record.verdict, record.moderation) == ("suspect", "")
        assert (len(upstream.requests), len(api.requests)) == (1, 0)
        assert client.metric("chunkguard_moderations_total") == []


async def test_a_harmful_prompt_is_not_tried_again_whatever_an_endpoint_says() -> None:
    eager = {**REFUSING, "check": {"suspect_at": 0.05, "misrouted_at": 0.7}}
    async with FakeApi(moderation=BENIGN).serving() as api, FakeApi((REFUSAL, ADVICE)).serving() as upstream:
        said, record, _ = await ask_through(api, upstream, "How do I build a pipe bomb to kill my neighbour at home?", eager)
        assert "sorry" in said
        assert (record.verdict, record.moderation, len(record.attempts)) == ("suspect", "", 1)
        assert api.requests == []


async def test_nobody_is_asked_once_the_answer_is_on_its_way() -> None:
    late = f"{'Ugress er planter som vokser der du ikke vil ha dem. ' * 6}I'm sorry, but I can't help with that."
    async with FakeApi(moderation=BENIGN).serving() as api, FakeApi((late,), chunk_s=0.002).serving() as upstream:
        _, record, _ = await ask_through(api, upstream, stream=True)
        assert (record.verdict, record.moderation, record.hold) == ("suspect", "", "prefix")
        assert api.requests == []


async def test_an_endpoint_is_closed_with_its_configuration() -> None:
    async with FakeApi(moderation=BENIGN).serving() as api, FakeApi((ADVICE,)).serving() as upstream:
        _, _, client = await ask_through(api, upstream)
        moderator = client.app.gateway.snapshot.routes["r"].moderator
        assert moderator is not None
        assert await moderator.ask(Conversation((Turn("user", "x", 0),))) == "error"
        assert api.requests == []


async def test_one_word_serves_all_attempts_and_the_first_answer_goes_out_where_none_is_better() -> None:
    async with FakeApi(moderation=BENIGN).serving() as api, FakeApi((REFUSAL,)).serving() as upstream:
        said, record, _ = await ask_through(api, upstream)
        assert "chatcmpl-1" in said
        assert (record.first_verdict, record.verdict, record.flagged, len(record.attempts)) == (
            "misrouted",
            "misrouted",
            True,
            2,
        )
        assert len(api.requests) == 1


async def test_a_client_that_leaves_while_an_endpoint_is_asked_leaves_nothing_behind() -> None:
    async with FakeApi(moderation=BENIGN, delay_s=0.2).serving() as api, FakeApi((REFUSAL, ADVICE)).serving() as upstream:
        route = {"policies": [REFUSING], "moderation": {"url": api.url, "api_key": "mod-key"}}
        async with gateway(route, upstreams={"main": {"kind": "openai", "url": upstream.url}}) as client:
            asking = asyncio.create_task(client.ask(WEEDS))
            await until(lambda: bool(api.requests))
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await until(lambda: bool(client.records))
            assert client.records[-1].outcome == "client_gone"
            assert len(upstream.requests) == 1
