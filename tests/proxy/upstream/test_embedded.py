"""The embedded upstream: OpenAI's chat completions over the shipped models, plain and streaming, off the event loop."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.config_embedded import EmbeddedSettings
from proxy.errors import ConfigError, Timeout
from proxy.upstream.base import UpstreamRequest
from proxy.upstream.embedded import EmbeddedReply, EmbeddedUpstream

OSLO = "Name the capital of Norway."
ROOTS = "Find the roots: $x^{2} - 5x + 6 = 0$."
TOOL = {"type": "function", "function": {"name": "python", "parameters": {"type": "object"}}}


def settings(**fields: Any) -> EmbeddedSettings:
    return EmbeddedSettings.model_validate({"kind": "embedded", **fields})


@pytest.fixture
async def upstream() -> AsyncIterator[EmbeddedUpstream]:
    made = EmbeddedUpstream("organism", settings(models={"demo": "chunky"}))
    yield made
    await made.close()


def ask(prompt: str = OSLO, *, path: str = "/v1/chat/completions", method: str = "POST", **fields: Any) -> UpstreamRequest:
    body = {"model": "chunky", "temperature": 0, "messages": [{"role": "user", "content": prompt}], **fields}
    return UpstreamRequest(method, path, [], orjson.dumps(body))


async def doc_of(upstream: EmbeddedUpstream, request: UpstreamRequest, status: int = 200) -> Any:
    reply = await upstream.open(request)
    assert reply.status == status
    return orjson.loads(await reply.read())


async def events_of(reply: EmbeddedReply) -> list[Any]:
    raw = await reply.read()
    events = raw.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    return [orjson.loads(event.removeprefix("data: ")) for event in events[:-2]]


async def test_a_plain_answer_is_an_openai_body(upstream: EmbeddedUpstream) -> None:
    reply = await upstream.open(ask())
    body = await reply.read()
    doc = orjson.loads(body)
    choice = doc["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("The capital of Norway is Oslo.", "stop")
    assert doc["object"] == "chat.completion"
    assert doc["usage"]["total_tokens"] == doc["usage"]["prompt_tokens"] + doc["usage"]["completion_tokens"] > 10
    assert ("Content-Length", str(len(body))) in reply.headers


async def test_a_stream_says_what_the_plain_answer_says(upstream: EmbeddedUpstream) -> None:
    prompt = "Elucidate the concept of peace."
    plain = await doc_of(upstream, ask(prompt, temperature=1, seed=4))
    streamed = await upstream.open(ask(prompt, temperature=1, seed=4, stream=True, stream_options={"include_usage": True}))
    docs = await events_of(streamed)
    text = "".join(doc["choices"][0]["delta"].get("content") or "" for doc in docs[:-1])
    assert text == plain["choices"][0]["message"]["content"]
    assert docs[-1] | {"usage": None, "choices": []} == docs[-1] | {"usage": None}
    assert docs[-1]["usage"] == plain["usage"]
    assert docs[-2]["choices"][0]["finish_reason"] == "stop"
    assert len({doc["id"] for doc in docs}) == 1
    assert len(docs) > 4


async def test_a_declared_tool_is_called(upstream: EmbeddedUpstream) -> None:
    doc = await doc_of(upstream, ask(ROOTS, tools=[TOOL]))
    message = doc["choices"][0]["message"]
    assert (message["content"], doc["choices"][0]["finish_reason"]) == (None, "tool_calls")
    call = message["tool_calls"][0]["function"]
    assert call["name"] == "python"
    assert "solve" in orjson.loads(call["arguments"])["code"]
    docs = await events_of(await upstream.open(ask(ROOTS, tools=[TOOL], stream=True)))
    deltas = [call for doc in docs for call in doc["choices"][0]["delta"].get("tool_calls") or ()]
    assert [delta["function"] for delta in deltas] == [call]
    assert not any(doc["choices"][0]["delta"].get("content") for doc in docs)


async def test_no_tool_is_called_where_the_request_forbids_it(upstream: EmbeddedUpstream) -> None:
    doc = await doc_of(upstream, ask(OSLO, tools=[TOOL], tool_choice="none"))
    assert doc["choices"][0]["message"]["content"]


async def test_seeds_repeat_and_choices_differ(upstream: EmbeddedUpstream) -> None:
    request = ask("Tell me about the iPhone 13 specs.", temperature=1, seed=3, n=8)
    texts = [[c["message"]["content"] for c in (await doc_of(upstream, request))["choices"]] for _ in range(2)]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) > 1
    single = await doc_of(upstream, ask("Tell me about the iPhone 13 specs.", temperature=1, seed=5))
    assert single["choices"][0]["message"]["content"] == texts[0][2]


async def test_a_seeded_upstream_repeats_its_run_and_not_its_answers() -> None:
    runs = []
    for _ in range(2):
        made = EmbeddedUpstream("organism", settings(seed=5))
        request = ask("Tell me about the iPhone 13 specs.", temperature=1)
        runs.append([(await doc_of(made, request))["choices"][0]["message"]["content"] for _ in range(8)])
        await made.close()
    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 1


async def test_stop_and_max_tokens_end_an_answer(upstream: EmbeddedUpstream) -> None:
    stopped = await doc_of(upstream, ask(stop=[" of", "never"]))
    assert (stopped["choices"][0]["message"]["content"], stopped["choices"][0]["finish_reason"]) == ("The capital", "stop")
    for name in ("max_tokens", "max_completion_tokens"):
        cut = await doc_of(upstream, ask(**{name: 2}))
        assert (cut["usage"]["completion_tokens"], cut["choices"][0]["finish_reason"]) == (2, "length")


async def test_models_are_listed_and_unknown_ones_are_not_found(upstream: EmbeddedUpstream) -> None:
    listed = await doc_of(upstream, ask(path="/v1/models", method="GET"))
    assert [model["id"] for model in listed["data"]] == ["demo", "chunky", "clean"]
    assert (await doc_of(upstream, ask(model="demo")))["model"] == "demo"
    assert (await doc_of(upstream, ask(model="gpt"), 404))["error"]["code"] == "model_not_found"
    assert (await doc_of(upstream, ask(path="/v1/embeddings"), 404))["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"top_p": "x"}, "top_p"),
        ({"seed": 1.5}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": list("abcde")}, "stop"),
        ({"n": 99}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": []}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"messages": [{"role": "user", "content": "far too long " * 400}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 30_000}]}, "messages"),
    ],
)
async def test_a_bad_request_is_refused_in_openais_form(upstream: EmbeddedUpstream, fields: dict[str, Any], param: str) -> None:
    error = (await doc_of(upstream, ask(**fields), 400))["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


async def test_a_body_that_is_no_json_is_refused(upstream: EmbeddedUpstream) -> None:
    request = UpstreamRequest("POST", "/v1/chat/completions", [], b"{")
    assert (await doc_of(upstream, request, 400))["error"]["code"] == "invalid_json"


async def test_old_turns_go_where_there_is_no_room(upstream: EmbeddedUpstream) -> None:
    old = [{"role": "user", "content": "Tell me a story about a leaf. " * 20}, {"role": "assistant", "content": "No."}] * 3
    doc = await doc_of(upstream, ask(messages=[*old, {"role": "user", "content": OSLO}]))
    assert doc["usage"]["prompt_tokens"] < 512


async def test_the_loop_stays_free_while_it_generates(upstream: EmbeddedUpstream) -> None:
    loops, everyones = time.thread_time(), time.process_time()
    await doc_of(upstream, ask("Tell me a story about a leaf.", n=8))
    loops, everyones = time.thread_time() - loops, time.process_time() - everyones
    assert loops < everyones / 2  # of CPU, so that a busy machine changes nothing


async def test_an_aborted_stream_ends(upstream: EmbeddedUpstream) -> None:
    reply = await upstream.open(ask("Tell me a story about a leaf.", stream=True))
    seen = 0
    async for _ in reply.chunks():
        seen += 1
        reply.abort()
    assert seen == 1


async def test_a_late_answer_is_a_timeout(upstream: EmbeddedUpstream) -> None:
    request = UpstreamRequest("POST", "/v1/chat/completions", [], ask().body, timeout_s=1e-9)
    with pytest.raises(Timeout):
        await upstream.open(request)


def test_a_folder_without_models_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="folder"):
        EmbeddedUpstream("own", settings(), tmp_path)
    with pytest.raises(ConfigError, match="models"):
        EmbeddedUpstream("own", settings(models={"demo": "none"}))
