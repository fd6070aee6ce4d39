"""What is only passed through, as the official clients ask for it: pictures, sound, files, batches, moderations, embeddings.

One rule: every request is sent to the upstream itself and through a guarded route; both get the same, and so does the client.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from tests.proxy.fake_upstream import JSON, Answer, Seen
from tests.proxy.rig import CODE_POLICY, Rig, rig

SOUND = bytes(range(256)) * 2000
PICTURE = b"\x89PNG\r\n\x1a\n" + SOUND


def doc(**fields: Any) -> Answer:
    return Answer([json.dumps(fields).encode()], headers=[*JSON, ("x-request-id", "req_1")], length=True)


BATCH = {
    "id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": "file_1", "status": "validating",
    "completion_window": "24h", "created_at": 1,
}  # fmt: skip
FILE = {
    "id": "file_1",
    "object": "file",
    "bytes": 3,
    "created_at": 1,
    "filename": "a.jsonl",
    "purpose": "batch",
    "status": "processed",
}
#: What is asked -> (the call, its answer).
ASKED: dict[str, tuple[Callable[[AsyncOpenAI], Any], Answer]] = {
    "embeddings": (
        lambda client: client.embeddings.create(model="m", input=["a", "b"], dimensions=2),
        doc(object="list", data=[{"object": "embedding", "index": 0, "embedding": "AACAPwAAAMA="}], model="m"),
    ),
    "moderations": (
        lambda client: client.moderations.create(model="m", input="text"),
        doc(id="modr_1", model="m", results=[{"flagged": False, "categories": {}, "category_scores": {}}]),
    ),
    "images": (
        lambda client: client.images.generate(model="m", prompt="Elucidate the concept of peace.", n=1, size="256x256"),
        doc(created=1, data=[{"b64_json": "QUJD" * 100_000}]),
    ),
    "image edits": (
        lambda client: client.images.edit(model="m", image=("a.png", PICTURE, "image/png"), prompt="brighter"),
        doc(created=1, data=[{"url": "http://127.0.0.1/a.png"}]),
    ),
    "speech": (
        lambda client: client.audio.speech.create(model="m", voice="alloy", input="Elucidate the concept of peace."),
        Answer([SOUND[:1000], SOUND[1000:]], headers=[("Content-Type", "audio/mpeg")]),
    ),
    "transcriptions": (
        lambda client: client.audio.transcriptions.create(model="m", file=("a.wav", SOUND, "audio/wav")),
        doc(text="Elucidate the concept of peace."),
    ),
    "upload": (
        lambda client: client.files.create(file=("a.jsonl", b"{}\n", "application/jsonl"), purpose="batch"),
        doc(**FILE),
    ),
    "content": (
        lambda client: client.files.content("file_1"),
        Answer([SOUND], headers=[("Content-Type", "application/octet-stream")], length=True),
    ),
    "batch": (
        lambda client: client.batches.create(
            completion_window="24h", endpoint="/v1/chat/completions", input_file_id="file_1", metadata={"a": "b"}
        ),
        doc(**BATCH),
    ),
    "cancel a batch": (lambda client: client.batches.cancel("batch_1"), doc(**BATCH)),
    "model": (lambda client: client.models.retrieve("ft:gpt-4o:org::id"), doc(id="m", object="model", created=1, owned_by="x")),
}
#: Of a connection or of one run.
OF_RUN = frozenset({"host", "connection", "content-length", "transfer-encoding", "x-stainless-read-timeout", "idempotency-key"})


def told(seen: Seen) -> tuple[Any, ...]:
    """A request without what every run makes anew: the boundary between the parts of a form."""
    kind = "".join(seen.values("content-type"))
    boundary = kind.partition("boundary=")[2].encode()
    body = seen.body.replace(boundary, b"#") if boundary else seen.body
    headers = sorted((name.lower(), re.sub("boundary=.*", "boundary=#", value)) for name, value in seen.headers)
    return seen.method, seen.target, [header for header in headers if header[0] not in OF_RUN], body


def read(answer: Any) -> Any:
    return answer.content if isinstance(answer, openai.HttpxBinaryResponseContent) else answer.model_dump()


async def ask(base: str, call: Callable[[AsyncOpenAI], Any]) -> Any:
    async with AsyncOpenAI(base_url=f"{base}/v1", api_key="sk-client", max_retries=0) as client:
        return read(await call(client))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Rig]:
    guarded = {"name": "guarded", "match": {"path_prefix": "/guarded"}, "policies": [CODE_POLICY]}
    async with rig({}, guarded) as running:
        yield running


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("prefix", ["", "/guarded"], ids=["untouched", "guarded"])
@pytest.mark.asyncio(loop_scope="module")
async def test_it_comes_through_as_it_is(gate: Rig, name: str, prefix: str) -> None:
    call, answer = ASKED[name]
    gate.upstream.set(answer)
    direct = await ask(f"http://127.0.0.1:{gate.upstream.port}", call)
    through = await ask(f"{gate.origin}{prefix}", call)
    assert through == direct
    assert through
    first, second = gate.upstream.seen
    assert told(second) == told(first)
    assert gate.records == []  # nothing of it was judged
