"""The litellm upstream against litellm itself, with its mocked answers: no network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.config_model import LiteLLMSettings
from proxy.errors import Timeout, UpstreamError
from proxy.upstream.base import UpstreamRequest
from proxy.upstream.litellm import LiteLLMReply, LiteLLMUpstream
from proxy.upstream.litellm_apis import CHAT

pytestmark = pytest.mark.filterwarnings("ignore")  # litellm warns at import and in use; those are not ours to mend

MODELS = {"gpt": "openai/gpt-4o-mini"}


def upstream(**options: Any) -> LiteLLMUpstream:
    settings = LiteLLMSettings.model_validate(
        {"kind": "litellm", "models": MODELS, "api_key": "sk-operator-1", "options": options}
    )
    return LiteLLMUpstream("other", settings)


def request(path: str = "/v1/chat/completions", method: str = "POST", **fields: Any) -> UpstreamRequest:
    body = {"model": "gpt", "messages": [{"role": "user", "content": "Name a river."}], **fields}
    return UpstreamRequest(method, path, [("Authorization", "Bearer sk-client-1")], orjson.dumps(body))


async def body_of(reply: LiteLLMReply) -> bytes:
    return b"".join([chunk async for chunk in reply.chunks()])


async def test_a_plain_answer_is_an_openai_body() -> None:
    reply = await upstream(mock_response="The Danube.").open(request())
    body = await body_of(reply)
    doc = orjson.loads(body)
    assert (reply.status, doc["object"], doc["choices"][0]["message"]["content"]) == (200, "chat.completion", "The Danube.")
    assert ("Content-Length", str(len(body))) in reply.headers


async def test_a_stream_is_openai_events_up_to_done() -> None:
    reply = await upstream(mock_response="The Danube flows through ten countries.").open(request(stream=True))
    events = (await body_of(reply)).split(b"\n\n")
    assert events[-2:] == [b"data: [DONE]", b""]
    docs = [orjson.loads(event.removeprefix(b"data: ")) for event in events[:-2]]
    text = "".join(doc["choices"][0]["delta"].get("content", "") for doc in docs)
    assert text == "The Danube flows through ten countries."
    assert {doc["object"] for doc in docs} == {"chat.completion.chunk"}
    assert docs[-1]["choices"][0]["finish_reason"] == "stop"
    assert "finish_reason" in docs[0]["choices"][0]


async def test_a_provider_refusal_is_a_reply_without_the_key() -> None:
    import litellm

    error = litellm.AuthenticationError("wrong key sk-operator-1", "openai", "gpt-4o-mini")  # type: ignore[attr-defined]
    reply = await upstream(mock_response=error).open(request())
    body = await body_of(reply)
    assert reply.status == 401
    assert b"sk-operator-1" not in body
    assert orjson.loads(body)["error"]["code"] == "authentication_error"


async def test_a_provider_timeout_is_a_timeout() -> None:
    import litellm

    error = litellm.Timeout("late", "gpt-4o-mini", "openai")  # type: ignore[attr-defined]
    with pytest.raises(Timeout):
        await upstream(mock_response=error).open(request())


async def test_a_stream_that_breaks_is_an_upstream_error() -> None:
    async def chunks() -> Any:
        raise RuntimeError("cut")
        yield

    reply = LiteLLMReply(200, stream=chunks(), total_at=float("inf"))
    with pytest.raises(UpstreamError):
        await body_of(reply)


@pytest.mark.parametrize(
    "name", ["api_base", "base_url", "api_key", "custom_llm_provider", "extra_headers", "mock_response", "aws_role_name"]
)
async def test_a_client_cannot_say_where_the_key_goes(name: str) -> None:
    reply = await upstream(mock_response="never").open(request(**{name: "http://127.0.0.1:9/v1"}))
    assert reply.status == 400
    assert orjson.loads(await body_of(reply))["error"]["param"] == name
    assert name not in CHAT.parameters


async def test_only_the_models_of_the_table_are_served() -> None:
    reply = await upstream(mock_response="never").open(request(model="anthropic/claude-sonnet-4-5"))
    assert (reply.status, orjson.loads(await body_of(reply))["error"]["code"]) == (404, "model_not_found")


async def test_other_paths_are_not_found_and_models_are_listed() -> None:
    assert (await upstream().open(request("/v1/images/generations"))).status == 404
    assert (await upstream().open(request("/v1/responses/resp_1", "GET"))).status == 404
    reply = await upstream().open(UpstreamRequest("GET", "/v1/models", []))
    assert [model["id"] for model in orjson.loads(await body_of(reply))["data"]] == ["gpt"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model": "gpt"}'])
async def test_a_body_that_is_no_chat_request_is_400(body: bytes) -> None:
    reply = await upstream().open(UpstreamRequest("POST", "/v1/chat/completions", [], body))
    assert reply.status == 400


def test_importing_the_upstream_imports_no_litellm() -> None:
    code = "import sys, proxy.upstream.litellm; print('litellm' in sys.modules)"
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "False"
