"""Other providers through litellm, each a real server on loopback that speaks its own wire, before OpenAI's own client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest

from proxy.upstream.litellm import DROPPED
from tests.clients.shapes import Content
from tests.proxy.fake_upstream import Answer, FakeUpstream, Junk
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, PEACE, PROSE, WEATHER, Rig, rig
from tests.proxy.upstream.providers import GEMINI, PROVIDERS, Provider

pytestmark = pytest.mark.filterwarnings("ignore")  # litellm warns at import and in use; those are not ours to mend

each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
both = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
TOOL: Any = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": PARAMETERS, "strict": True},
}


@asynccontextmanager
async def before(provider: Provider, *answers: Answer, **route: Any) -> AsyncIterator[tuple[Rig, FakeUpstream]]:
    """A gateway before a provider's server. Blocking is not watched for: litellm does."""
    server = FakeUpstream(answers)
    async with server.serving():
        found = provider.options(f"http://127.0.0.1:{server.port}")
        other = {"kind": "litellm", "models": {"m": provider.model}, **found}
        other["options"] = {**other.get("options", {}), **route.pop("options", {})}
        async with rig({"upstream": "other", **route}, upstreams={"other": other}, blocking=False) as gate:
            yield gate, server


async def ask(gate: Rig, prompt: str = WEATHER, **fields: Any) -> Any:
    """The answer, of a stream the list of its chunks."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}]
    async with gate.client() as client:
        answer = await client.chat.completions.create(model="m", **{"messages": messages, **fields})
        return [chunk async for chunk in answer] if fields.get("stream") else answer


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@each_provider
async def test_a_plain_answer_has_its_text_its_usage_and_its_request_id(provider: Provider) -> None:
    async with before(provider, provider.answer(Content(DANUBE), False)) as (gate, server):
        async with gate.client() as client:
            raw = await client.chat.completions.with_raw_response.create(
                model="m", messages=[{"role": "user", "content": WEATHER}]
            )
        answer = raw.parse()
        assert answer.choices[0].message.content == DANUBE
        assert answer.choices[0].finish_reason == "stop"
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == provider.tokens  # type: ignore[union-attr]
        assert raw.headers.get("request-id") == ("req-9" if provider is not GEMINI else None)  # litellm keeps none of it
        assert provider.key(server.seen[0]) == "sk-operator"
        assert "sk-client" not in str(server.seen[0])


@each_provider
async def test_a_stream_has_its_text_and_its_usage(provider: Provider) -> None:
    async with before(provider, provider.answer(Content(DANUBE), True)) as (gate, server):
        chunks = await ask(gate, stream=True, stream_options={"include_usage": True})
        assert text_of(chunks) == DANUBE
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        last = chunks[-1]
        assert (last.choices, last.usage.prompt_tokens, last.usage.completion_tokens) == ([], *provider.tokens)
        assert "Be brief." in provider.told(server.seen[0].doc)


@each_provider
@both
async def test_a_tool_call_comes_through(provider: Provider, stream: bool) -> None:
    content = Content(call=("get_weather", '{"city": "Vienna"}'))
    async with before(provider, provider.answer(content, stream)) as (gate, server):
        if stream:
            async with gate.client() as client:
                messages: Any = [{"role": "user", "content": WEATHER}]
                async with client.chat.completions.stream(model="m", messages=messages, tools=[TOOL]) as events:
                    answer: Any = await events.get_final_completion()
        else:
            answer = await ask(gate, tools=[TOOL])
        (call,) = answer.choices[0].message.tool_calls
        assert (call.function.name, call.function.arguments.replace(" ", "")) == ("get_weather", '{"city":"Vienna"}')
        assert answer.choices[0].finish_reason == "tool_calls"
        assert "get_weather" in str(server.seen[0].doc)


@each_provider
async def test_reasoning_is_reasoning(provider: Provider) -> None:
    async with before(provider, provider.answer(Content(DANUBE, reasoning="Rivers."), False)) as (gate, _):
        message = (await ask(gate)).choices[0].message
        assert (message.content, message.reasoning_content) == (DANUBE, "Rivers.")


@each_provider
@both
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (503, openai.InternalServerError),
    ],
)
async def test_a_refusal_keeps_status_message_and_retry_after(
    provider: Provider, stream: bool, status: int, kind: type[openai.APIStatusError]
) -> None:
    failing = provider.failing(status, "not so fast", Retry_After="7", request_id="req-9")
    async with before(provider, failing) as (gate, server):
        with pytest.raises(kind) as caught:
            await ask(gate, stream=stream)
        assert caught.value.body["message"] == "not so fast"  # type: ignore[index]
        assert caught.value.response.headers["retry-after"] == "7"
        assert caught.value.status_code == status
        assert len(server.seen) == 1  # litellm asks once: retries are the policy's


@each_provider
async def test_a_stream_that_is_lost_is_no_complete_answer(provider: Provider) -> None:
    async with before(provider, provider.cut(Content(DANUBE), Junk(b""))) as (gate, _):
        with pytest.raises((openai.APIError, httpx.RemoteProtocolError)):
            await ask(gate, stream=True)


@each_provider
@both
async def test_a_misrouted_answer_is_asked_again(provider: Provider, stream: bool) -> None:
    answers = [provider.answer(Content(text), stream) for text in (CODE, PROSE)]
    async with before(provider, *answers, policies=[CODE_POLICY]) as (gate, server):
        answer = await ask(gate, PEACE, stream=stream)
        text = text_of(answer) if stream else answer.choices[0].message.content
        assert text == PROSE
        assert len(server.seen) == 2
        assert "Elucidate" not in str(provider.told(server.seen[1].doc))


@each_provider
async def test_what_the_provider_was_not_told_is_said(provider: Provider) -> None:
    async with before(provider, provider.answer(Content(DANUBE), False)) as (gate, server):
        fields = {"metadata": {"team": "a"}, "temperature": 0.5, "user": "u-1"}
        async with gate.client() as client:
            raw = await client.chat.completions.with_raw_response.create(
                model="m",
                messages=[{"role": "user", "content": WEATHER}],
                **fields,  # type: ignore[arg-type]
            )
        dropped = set(raw.headers[DROPPED].split(", "))
        assert "metadata" in dropped
        assert "temperature" not in dropped
        assert ("user" in dropped) == ("u-1" not in server.seen[0].body.decode())


@each_provider
async def test_a_parameter_that_the_provider_lacks_is_refused_or_dropped_aloud(provider: Provider) -> None:
    lacking = {"anthropic": {"seed": 1}, "gemini": {"logit_bias": {"1": 2}}, "bedrock": {"seed": 1}}[provider.name]
    (name,) = lacking
    async with before(provider, provider.answer(Content(DANUBE), False)) as (gate, server):
        with pytest.raises(openai.BadRequestError, match=name):
            await ask(gate, **lacking)
        assert server.seen == []
    async with before(provider, provider.answer(Content(DANUBE), False), options={"drop_params": True}) as (gate, _):
        async with gate.client() as client:
            raw = await client.chat.completions.with_raw_response.create(
                model="m",
                messages=[{"role": "user", "content": WEATHER}],
                **lacking,  # type: ignore[arg-type]
            )
        assert raw.headers[DROPPED] == name
