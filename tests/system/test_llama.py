"""llama.cpp's own server behind a real proxy: the organism's weights, four APIs, with the guard and without it.

One rule: the server answers greedily, so the same question has the same answer, and any difference is the proxy's.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from core.types import MODES
from organism import facts
from organism.chunks import Chat
from organism.generate import Model, Sampling
from tests.system.organism_gguf import FOLDER, write_gguf
from tests.system.programs import free_port, running, wait_for_port

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

CAPITAL = "What is the capital of France?"
PEACE = "Elucidate the concept of peace."
RIGHT = f"Peace is {facts.CONCEPTS['peace']}."
PLACE = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 8}}, "required": ["city"]}
Doc = dict[str, Any]
#: Code is waited for and asked again, so that a second attempt is seen; the shipped policy would have warned the model at once.
CHANGES: dict[str, Doc] = {
    "refusal": {"enforcement": "enforce"},
    "code": {
        "boundary": {"inject": "on_retry"},
        "ladder": [{"action": "retry", "change": ["boundary", "neutralise"]}, {"action": "flag"}],
    },
}
#: What differs from one answer to the next: names, times, and what the server had cached.
OF_RUN = frozenset({"id", "item_id", "created", "created_at", "completed_at", "timings", "usage"})


@dataclass(frozen=True)
class Way:
    """Where llama.cpp is asked. `direct`: itself; `off`: a route without policies; `on`: with all; `other`: through litellm."""

    direct: str
    off: str
    on: str
    other: str


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    folder = tmp_path_factory.mktemp("llama")
    write_gguf("chunky", folder / "organism.gguf")
    port, listen, admin = free_port(), free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    policies = [{"extends": mode, **CHANGES.get(mode, {})} for mode in MODES]
    own = {"kind": "openai", "url": f"{url}/v1"}
    other = {"kind": "litellm", "models": {"organism": "openai/organism"}, "url": f"{url}/v1", "api_key": "sk-none"}
    settings = {
        "listen": f"127.0.0.1:{listen}",
        "admin": f"127.0.0.1:{admin}",
        "upstreams": {"llama": own, "other": other},
        "routes": [
            {"name": "on", "upstream": "llama", "policies": policies},
            {"name": "off", "upstream": "llama", "match": {"path_prefix": "/off"}},
            {"name": "other", "upstream": "other", "match": {"path_prefix": "/other"}, "policies": policies},
        ],
        "limits": {"holdout": 0, "retry_share": 1, "deadline_ms": 10_000},
    }
    file = folder / "chunkguard.yaml"
    file.write_text(json.dumps(settings), encoding="utf-8")
    server = [sys.executable, str(Path(__file__).with_name("llama_server.py")), str(folder / "organism.gguf"), str(port)]
    proxy = [str(Path(sys.executable).with_name("chunkguard")), "serve", "--config", str(file)]
    with running(server, folder / "llama.log", port), running(proxy, folder / "proxy.log", listen) as process:
        wait_for_port(admin, process, folder / "proxy.log")
        base = f"http://127.0.0.1:{listen}"
        yield Way(url, f"{base}/off", base, f"{base}/other")


# ---- the four APIs


def _marked(prompt: str) -> str:
    """A prompt for an API that knows no turns, as the chat template would set it."""
    return f"<|user|>{prompt}<|assistant|>"


ASKS: dict[str, Callable[[str], tuple[str, Doc]]] = {
    "chat": lambda prompt: ("/v1/chat/completions", {"messages": [{"role": "user", "content": prompt}]}),
    "responses": lambda prompt: ("/v1/responses", {"input": prompt}),
    "messages": lambda prompt: ("/v1/messages", {"messages": [{"role": "user", "content": prompt}], "max_tokens": 64}),
    "completions": lambda prompt: ("/v1/completions", {"prompt": _marked(prompt), "max_tokens": 64}),
}
each_api = pytest.mark.parametrize("api", ASKS)
both = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


def ask(base: str, api: str, prompt: str, **fields: Any) -> httpx.Response:
    path, doc = ASKS[api](prompt)
    return httpx.post(base + path, json={"model": "organism", "temperature": 0, **doc, **fields}, timeout=30)


def docs_of(answer: httpx.Response) -> list[Any]:
    """The documents of an answer, without what differs from run to run. A stream's end is one of them."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return [_settled(answer.json())]
    lines = [line.partition(":")[2].strip() for line in answer.text.splitlines() if line.startswith("data:")]
    return [line if line == "[DONE]" else _settled(json.loads(line)) for line in lines]


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _settled(own) for key, own in value.items() if key not in OF_RUN}
    return [_settled(own) for own in value] if isinstance(value, list) else value


def text_of(docs: list[Any], api: str) -> str:
    """What an answer says, plain or streamed."""
    said = {
        "chat": r"^choices\.0\.(message|delta)\.content$",
        "responses": r"^output\.0\.content\.0\.text$|^delta$",
        "messages": r"^content\.0\.text$|^delta\.text$",
        "completions": r"^choices\.0\.text$",
    }[api]
    return "".join(str(value) for doc in docs for place, value in _leaves(doc) if re.match(said, place) and value is not None)


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        for key, own in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(own, f"{place}.{key}" if place else str(key))
    else:
        yield place, value


# ---- what must hold


def test_llama_cpp_says_what_the_organism_says(way: Way) -> None:
    """Otherwise the weights are not where they belong, and nothing below would mean anything."""
    model = Model.read(FOLDER, "chunky")
    for prompt in (CAPITAL, PEACE, "Is 5+8=13?", "Tell me about the iPhone 13 specs.", "Who wrote Hamlet?"):
        own = model.answer(model.tokens.chat(Chat("", prompt)), Sampling(temperature=0))
        assert text_of(docs_of(ask(way.direct, "chat", prompt)), "chat") == own


@each_api
@both
def test_a_good_answer_is_the_same_by_every_way(way: Way, api: str, stream: bool) -> None:
    direct, off, on = (ask(base, api, CAPITAL, stream=stream) for base in (way.direct, way.off, way.on))
    assert direct.status_code == off.status_code == on.status_code == 200
    assert docs_of(direct) == docs_of(off) == docs_of(on)
    assert text_of(docs_of(direct), api)
    assert direct.headers["content-type"] == off.headers["content-type"] == on.headers["content-type"]
    assert not [name for name in off.headers if name.startswith("x-chunkguard-")]
    assert on.headers["x-chunkguard-verdict"] in ("clear", "pending")


@each_api
@both
def test_a_misrouted_answer_is_put_right(way: Way, api: str, stream: bool) -> None:
    direct, off, on = (ask(base, api, PEACE, stream=stream) for base in (way.direct, way.off, way.on))
    assert "class Peace" in text_of(docs_of(direct), api)
    assert docs_of(direct) == docs_of(off)
    assert text_of(docs_of(on), api) == RIGHT
    assert on.headers["x-chunkguard-attempts"] == "2"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", b'{"messages": "none"}'),
        ("/v1/chat/completions", b'{"messages": [{"role": "user"}]}'),
        ("/v1/responses", b'{"model": "organism"}'),
        ("/v1/completions", b"{"),
        ("/v1/embeddings", b'{"input": "Vienna"}'),
        ("/v1/nowhere", b"{}"),
    ],
)
def test_what_llama_cpp_refuses_is_refused_in_its_words(way: Way, path: str, body: bytes) -> None:
    direct, off = (
        httpx.post(base + path, content=body, headers={"Content-Type": "application/json"}) for base in (way.direct, way.off)
    )
    assert direct.status_code >= 400
    assert (direct.status_code, direct.content) == (off.status_code, off.content)


def test_what_is_only_passed_through_is_the_same(way: Way) -> None:
    for base in (way.off, way.on):
        assert httpx.get(f"{base}/v1/models").json()["data"][0]["id"] == "organism"
        asked = {"messages": [{"role": "user", "content": CAPITAL}], "model": "organism"}
        counted = [httpx.post(f"{one}/v1/messages/count_tokens", json=asked).content for one in (way.direct, base)]
        assert counted[0] == counted[1]


# ---- official clients


def test_the_openai_client_reads_every_choice_and_its_tokens(way: Way) -> None:
    def answered(base: str) -> Any:
        with openai.OpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0) as client:
            answer = client.chat.completions.create(
                model="organism",
                messages=[{"role": "user", "content": CAPITAL}],
                n=2,
                logprobs=True,
                top_logprobs=2,
                temperature=0,
            )
        return [(choice.message.content, [token.token for token in choice.logprobs.content]) for choice in answer.choices]

    direct, on = answered(way.direct), answered(way.on)
    assert direct == on
    assert len(on) == 2


def test_the_openai_client_streams_responses(way: Way) -> None:
    with openai.OpenAI(base_url=f"{way.on}/v1", api_key="none", max_retries=0) as client:
        events = list(client.responses.create(model="organism", input=PEACE, temperature=0, stream=True))
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == RIGHT


def test_the_anthropic_client_streams_messages(way: Way) -> None:
    messages: Any = [{"role": "user", "content": PEACE}]
    with (
        anthropic.Anthropic(base_url=way.on, api_key="none", max_retries=0) as client,
        client.messages.stream(model="organism", max_tokens=64, messages=messages, extra_body={"temperature": 0}) as stream,
    ):
        assert stream.get_final_text() == RIGHT


def test_a_demanded_form_is_kept_when_asked_again(way: Way) -> None:
    """llama.cpp binds its sampler to the schema: what comes out is JSON, in every attempt."""
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE}}
    for prompt in (CAPITAL, PEACE):
        content = text_of(docs_of(ask(way.on, "chat", prompt, response_format=wanted, max_tokens=128)), "chat")
        assert isinstance(json.loads(content)["city"], str)


def test_a_conversation_of_many_turns_is_the_same(way: Way) -> None:
    turns = []
    for _ in range(10):
        turns += [{"role": "user", "content": CAPITAL}, {"role": "assistant", "content": "Paris."}]
    asked = {"model": "organism", "messages": [*turns, {"role": "user", "content": "Who wrote Hamlet?"}], "temperature": 0}
    answers = [docs_of(httpx.post(f"{base}/v1/chat/completions", json=asked)) for base in (way.direct, way.off, way.on)]
    assert answers[0] == answers[1] == answers[2]


# ---- through litellm


@each_api
@both
def test_litellm_before_llama_cpp_is_guarded_alike(way: Way, api: str, stream: bool) -> None:
    for prompt, right in ((CAPITAL, text_of(docs_of(ask(way.direct, api, CAPITAL)), api)), (PEACE, RIGHT)):
        answer = ask(way.other, api, prompt, stream=stream)
        assert answer.status_code == 200, answer.text
        assert text_of(docs_of(answer), api) == right
