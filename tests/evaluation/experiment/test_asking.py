"""One request by the official client: the same message plain and streamed, and everything that is no answer named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import AsyncOpenAI

from evaluation.experiment.asking import Arrived, NoAnswer, ask
from tests.proxy.fake_upstream import (
    SSE,
    Answer,
    FakeUpstream,
    Reset,
    completion,
    event,
    events,
    failing,
    message,
    plain,
    streamed,
)

REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
CALL = {"id": "c1", "type": "function", "function": {"name": "python", "arguments": '{"a": 1}'}}


async def asked(answer: Answer, *, stream: bool) -> Arrived:
    async with (
        FakeUpstream([answer]).serving() as fake,
        AsyncOpenAI(base_url=fake.url, api_key="none", max_retries=0) as client,
    ):
        return await ask(client, REQUEST, stream=stream)


@pytest.mark.parametrize("stream", [False, True])
async def test_text_arrives_the_same_way(stream: bool) -> None:
    text = "The Danube runs through Vienna and Budapest."
    arrived = await asked(streamed(text, usage=True) if stream else plain(text), stream=stream)
    assert (arrived.message["content"], arrived.message["role"], arrived.tokens) == (text, "assistant", 14)
    assert "date" in arrived.headers


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_arrive_the_same_way(stream: bool) -> None:
    pieces: list[dict[str, Any]] = [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "python", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a"'}},
        {"index": 0, "function": {"arguments": ": 1}"}},
    ]
    chunks = [*(event({"tool_calls": [piece]}) for piece in pieces), event({}, finish="tool_calls"), b"data: [DONE]\n\n"]
    whole = Answer([completion(message(None, tool_calls=[CALL]), finish="tool_calls")], length=True)
    arrived = await asked(Answer(chunks, headers=list(SSE)) if stream else whole, stream=stream)
    assert arrived.message["tool_calls"] == [CALL]


BROKEN = b'data: {"error": {"message": "no", "type": "server_error", "code": "boom"}}\n\n'


@pytest.mark.parametrize(
    ("answer", "stream", "why"),
    [
        (failing(429), False, "status 429"),
        (failing(500), True, "status 500"),
        (Answer([b"[]"], length=True), False, "no answer"),
        (Answer([json.dumps({"choices": []}).encode()], length=True), False, "no answer"),
        (Answer([b"data: [DONE]\n\n"], headers=list(SSE)), True, "no answer"),
        (Answer(events("A long answer that ends too soon.")[:2], headers=list(SSE)), True, "no answer"),
        (Answer([*events("A long answer.")[:2], BROKEN], headers=list(SSE)), True, "APIError"),
        (Answer([*events("A long answer.")[:2], Reset()], headers=list(SSE)), True, "ReadError"),
        (Answer(before=[Reset()]), False, "APIConnectionError"),
    ],
)
async def test_what_is_no_answer_is_named(answer: Answer, stream: bool, why: str) -> None:
    with pytest.raises(NoAnswer) as caught:
        await asked(answer, stream=stream)
    assert caught.value.why == why or (why == "ReadError" and "Error" in caught.value.why)
