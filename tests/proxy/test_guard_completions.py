"""Legacy completions through a whole gateway: what passes unread, several prompts, and the official client."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.proxy.apis import COMPLETIONS, text_completion
from tests.proxy.fake_upstream import Answer, plain
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, DENIAL, PEACE, PROSE, REBUTTAL_POLICY, SUM, WEATHER, rig

ACTS: dict[str, Any] = {"policies": [CODE_POLICY, REBUTTAL_POLICY]}


@pytest.mark.parametrize(
    "fields", [{"prompt": [1, 2]}, {"prompt": [[1], [2]]}, {"suffix": "y"}, {"echo": True}, {"prompt": None}]
)
async def test_what_is_no_question_passes_untouched(fields: dict[str, Any]) -> None:
    given = COMPLETIONS.answer(CODE, False)
    async with rig(ACTS, answers=[given]) as gate:
        body = COMPLETIONS.body(**{"prompt": PEACE, **fields})
        answer = await gate.fetch("POST", "/v1/completions", [("Content-Type", "application/json")], body)
        assert (answer.body, answer.own, gate.upstream.seen[0].body) == (given.body, {}, body)
        assert gate.metric("chunkguard_requests_total", endpoint="completions") == 1


async def test_every_choice_is_judged_against_its_own_prompt() -> None:
    """The denial answers a false sum; the true one is the last prompt."""
    given = Answer([text_completion("No, 5 + 9 = 13 is incorrect. 5 + 9 = 14.", "Yes, 5 + 8 = 13.")], length=True)
    async with rig(ACTS, answers=[given]) as gate:
        body = COMPLETIONS.body(["Is 5+9=13?", SUM])
        assert (await gate.fetch("POST", "/v1/completions", [], body)).body == given.body
        assert ((await gate.recorded()).verdict, len(gate.upstream.seen)) == ("clear", 1)


async def test_one_misrouted_choice_asks_all_prompts_again() -> None:
    answers = [Answer([text_completion(*texts)], length=True) for texts in ((DENIAL, DANUBE), ("Yes, 5 + 8 = 13.", DANUBE))]
    policy = {"extends": "rebuttal", "ladder": [{"action": "retry", "change": ["boundary"]}, {"action": "flag"}]}
    async with rig({"policies": [policy]}, answers=answers) as gate:
        answer = await gate.fetch("POST", "/v1/completions", [], COMPLETIONS.body([SUM, WEATHER]))
        assert answer.body == answers[1].body
        assert [prompt.endswith(own) for prompt, own in zip(gate.upstream.seen[1].doc["prompt"], (SUM, WEATHER), strict=True)]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_official_client(stream: bool) -> None:
    answers = [COMPLETIONS.answer(CODE, stream), COMPLETIONS.answer(PROSE, stream)]
    async with rig(ACTS, answers=answers) as gate, gate.client() as client:
        if stream:
            chunks = await client.completions.create(model="m", prompt=PEACE, stream=True)
            text = "".join([choice.text async for chunk in chunks for choice in chunk.choices])
        else:
            raw = await client.completions.with_raw_response.create(model="m", prompt=PEACE)
            assert raw.headers["x-chunkguard-attempts"] == "2"
            text = raw.parse().choices[0].text
        assert text == PROSE


async def test_the_official_client_reads_our_errors() -> None:
    async with rig(ACTS, answers=[plain("x")]) as gate, gate.client() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.completions.create(model="m", prompt={"a": 1})  # type: ignore[call-overload]
        assert (caught.value.param, caught.value.code) == ("prompt", "invalid_request")
