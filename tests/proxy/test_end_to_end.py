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

#: Seeds among which a mode's first mis-routed and first right answer without the guard are looked for.
SEEDS = range(1, 13)
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


#: Mode, whether the unguarded answer is mis-routed, whether the guard is on, whether it is streamed.
Key = tuple[Mode, bool, bool, bool]


@dataclass(frozen=True)
class Campaign:
    """One trigger prompt a mode, with one seed that mis-routes and one that does not; every answer to them."""

    prompts: Mapping[Mode, Prompt]
    answers: Mapping[Key, Answer]
    records: tuple[DecisionRecord, ...]

    def outcomes(self, *, wrong: bool, guarded: bool) -> list[str]:
        """The oracle's, of the plain answers of all modes."""
        return [judge(self.prompts[mode], self.answers[mode, wrong, guarded, False].text).outcome for mode in MODES]


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


async def find_seeds(client: AsyncOpenAI, prompt: Prompt) -> dict[bool, int]:
    """A seed whose unguarded answer is mis-routed (True), and one whose is right (False)."""
    found: dict[bool, int] = {}
    for seed in SEEDS:
        outcome = judge(prompt, (await ask(client, prompt, seed, streamed=False)).text).outcome
        if outcome != "broken":
            found.setdefault(outcome == "misrouted", seed)
        if len(found) == 2:
            return found
    raise AssertionError(f"{prompt.text!r} is always or never mis-routed")


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
                for wrong, seed in (await find_seeds(off, prompt)).items():
                    for guarded, streamed in WAYS:
                        answers[mode, wrong, guarded, streamed] = await ask(
                            on if guarded else off, prompt, seed, streamed=streamed
                        )
    finally:
        await app.stop()
    return Campaign(prompts, answers, tuple(records))


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    return asyncio.run(play())


def test_every_mode_misroutes_and_the_guard_puts_most_right(campaign: Campaign) -> None:
    assert campaign.outcomes(wrong=True, guarded=False) == ["misrouted"] * len(MODES)
    assert campaign.outcomes(wrong=True, guarded=True).count("right") > len(MODES) / 2


def test_the_guard_leaves_most_right_answers_right(campaign: Campaign) -> None:
    assert campaign.outcomes(wrong=False, guarded=False) == ["right"] * len(MODES)
    assert campaign.outcomes(wrong=False, guarded=True).count("right") >= len(MODES) - 2


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_stream_says_what_the_plain_answer_says(campaign: Campaign, mode: Mode, guarded: bool) -> None:
    for wrong in (False, True):
        assert campaign.answers[mode, wrong, guarded, True] == campaign.answers[mode, wrong, guarded, False]


def test_every_retry_stands_in_a_record(campaign: Campaign) -> None:
    on = [record for record in campaign.records if record.route == "on"]
    assert len(on) == len(MODES) * 2 * 2
    assert {record.streamed for record in on} == {False, True}
    retried = [record for record in on if len(record.attempts) > 1]
    assert retried
    assert any(record.fixed for record in retried)
    assert all(record.first_verdict != "clear" for record in retried)
