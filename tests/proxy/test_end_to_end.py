"""The whole proxy on a model that mis-routes: real HTTP, the official client, plain and streamed, guarded and not."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from openai import AsyncOpenAI

from core.types import MODES, Mode
from organism.oracle import judge
from organism.prompts import CALL, Prompt, draw
from proxy import config
from proxy.app import App
from proxy.records import DecisionRecord

SEEDS = (1, 2, 3, 4)
#: Whether the guard is on, and whether the answer is streamed.
WAYS = [(guarded, streamed) for guarded in (False, True) for streamed in (False, True)]
DOCUMENT: dict[str, Any] = {
    "listen": "127.0.0.1:0",
    "admin": "127.0.0.1:0",
    "upstreams": {"organism": {"kind": "embedded"}},
    "routes": [
        {"name": "on", "upstream": "organism", "policies": [{"extends": mode, "enforcement": "enforce"} for mode in MODES]},
        {"name": "off", "upstream": "organism", "match": {"path_prefix": "/off"}},
    ],
    "limits": {"holdout": 0, "retry_share": 1, "deadline_ms": 5000},
}


@dataclass(frozen=True)
class Answer:
    text: str
    finish: str | None
    tokens: int


Key = tuple[Mode, int, bool, bool]


@dataclass(frozen=True)
class Campaign:
    """One trigger prompt a mode; every answer by mode, seed, guarded and streamed."""

    prompts: Mapping[Mode, Prompt]
    answers: Mapping[Key, Answer]
    records: tuple[DecisionRecord, ...]

    def wrong(self, mode: Mode, *, guarded: bool) -> int:
        """Mis-routed answers, plain and streamed."""
        found = [answer for (own, _, on, _), answer in self.answers.items() if own == mode and on is guarded]
        return sum(judge(self.prompts[mode], answer.text).outcome == "misrouted" for answer in found)


async def ask(client: AsyncOpenAI, prompt: Prompt, seed: int, *, streamed: bool) -> Answer:
    asked: dict[str, Any] = {"model": "chunky", "messages": [{"role": "user", "content": prompt.text}], "seed": seed}
    if not streamed:
        reply = await client.chat.completions.create(**asked)
        (choice,) = reply.choices
        assert reply.usage is not None
        calls = choice.message.tool_calls or []
        text = f"{CALL}{calls[0].function.name} {calls[0].function.arguments}" if calls else choice.message.content or ""
        return Answer(text, choice.finish_reason, reply.usage.completion_tokens)
    text, finish, tokens = "", None, 0
    async for event in await client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
        tokens = event.usage.completion_tokens if event.usage is not None else tokens
        for part in event.choices:
            text += part.delta.content or ""
            for call in part.delta.tool_calls or ():
                text += f"{CALL}{call.function.name} " if call.function.name else ""
                text += call.function.arguments or ""
            finish = part.finish_reason or finish
    return Answer(text, finish, tokens)


async def play() -> Campaign:
    prompts = {mode: draw(mode, "trigger", Random(f"end to end/{mode}"), held_out=False) for mode in MODES}
    records: list[DecisionRecord] = []
    app = App(config.build(DOCUMENT, source="test", folder=Path(), env={}), on_record=records.append, log_to=io.BytesIO())
    await app.start()
    base = f"http://{app.address[0]}:{app.address[1]}"
    answers: dict[Key, Answer] = {}
    try:
        async with (
            AsyncOpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0) as on,
            AsyncOpenAI(base_url=f"{base}/off/v1", api_key="none", max_retries=0) as off,
        ):
            for mode, prompt in prompts.items():
                for seed in SEEDS:
                    for guarded, streamed in WAYS:
                        answers[mode, seed, guarded, streamed] = await ask(
                            on if guarded else off, prompt, seed, streamed=streamed
                        )
    finally:
        await app.stop()
    return Campaign(prompts, answers, tuple(records))


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    return asyncio.run(play())


@pytest.mark.parametrize("mode", MODES)
def test_the_guard_makes_no_mode_worse(campaign: Campaign, mode: Mode) -> None:
    assert campaign.wrong(mode, guarded=True) <= campaign.wrong(mode, guarded=False)


def test_the_model_misroutes_and_the_guard_puts_most_right(campaign: Campaign) -> None:
    before = sum(campaign.wrong(mode, guarded=False) for mode in MODES)
    after = sum(campaign.wrong(mode, guarded=True) for mode in MODES)
    assert before >= len(campaign.answers) / 8  # a quarter of the unguarded answers
    assert after <= before / 2
    assert sum(campaign.wrong(mode, guarded=False) > 0 for mode in MODES) >= 6


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_stream_says_what_the_plain_answer_says(campaign: Campaign, mode: Mode, guarded: bool) -> None:
    for seed in SEEDS:
        assert campaign.answers[mode, seed, guarded, True] == campaign.answers[mode, seed, guarded, False]


def test_every_retry_stands_in_a_record(campaign: Campaign) -> None:
    on = [record for record in campaign.records if record.route == "on"]
    assert len(on) == len(MODES) * len(SEEDS) * 2
    assert {record.streamed for record in on} == {False, True}
    retried = [record for record in on if len(record.attempts) > 1]
    assert retried
    assert any(record.fixed for record in retried)
    assert all(record.first_verdict != "clear" for record in retried)
