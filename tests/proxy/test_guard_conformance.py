"""Every documented field, item and event through every kind of route: untouched, observed, enforced with nothing firing, and
with a policy that fires.

One rule: identical means status and bytes. The shapes are the official clients' own types (see samples).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from anthropic.types import Message, RawMessageStreamEvent
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from core.types import MODES
from tests.proxy.apis import COMPLETIONS, MESSAGES, RESPONSES, Api, named
from tests.proxy.fake_upstream import DONE, SSE, Answer
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, PEACE, WEATHER, Rig, rig
from tests.proxy.samples import members, samples
from tests.proxy.test_guard_bad_input import CHAT

ROUTES = ["", "/observe", "/enforce", "/prefix"]
#: At most so many documents of one shape; the forms of all its fields are spread over them.
MOST = 150
#: Events that end a stream, and one that says that the provider failed.
LAST = frozenset({"response.completed", "response.failed", "response.incomplete", "error", "message_stop"})

module_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Rig]:
    def under(name: str, policies: Any) -> dict[str, Any]:
        return {"name": name, "match": {"path_prefix": f"/{name}"}, "policies": policies}

    held = [{"extends": mode, "hold": {"default": "all"}} for mode in ("rebuttal", "code", "math")]
    prefix = [{"extends": "rebuttal", "hold": {"default": {"kind": "prefix", "chars": 4}}}]
    observed = [{"extends": mode, "enforcement": "observe"} for mode in MODES]
    fires = under("fires", [CODE_POLICY])
    limits = {"retry_share": 1}
    async with rig(
        {}, under("observe", observed), under("enforce", held), under("prefix", prefix), fires, limits=limits
    ) as running:
        yield running


async def compare(gate: Rig, api: Api, answer: Answer, what: Any, **fields: Any) -> None:
    gate.upstream.set(answer)
    headers = [("Content-Type", "application/json")]
    direct = await gate.direct("POST", api.path, headers, api.body(WEATHER, **fields))
    for prefix in ROUTES:
        through = await gate.fetch("POST", f"{prefix}{api.path}", headers, api.body(WEATHER, **fields))
        assert (through.status, through.body) == (direct.status, direct.body), (prefix, what)


def spread(found: Sequence[Any]) -> Sequence[Any]:
    return found if len(found) <= MOST else found[:: -(-len(found) // MOST)]


PLAIN = [(CHAT, ChatCompletion), (COMPLETIONS, Completion), (MESSAGES, Message), (RESPONSES, Response)]


@module_loop
@pytest.mark.parametrize(("api", "shape"), PLAIN, ids=[api.name for api, _ in PLAIN])
async def test_every_plain_shape_is_identical(gate: Rig, api: Api, shape: Any) -> None:
    found = list(samples(shape))
    assert len(found) >= 15
    for doc in spread(found):
        await compare(gate, api, Answer([json.dumps(doc).encode()], length=True), doc)


def chunks(shape: Any) -> Iterator[tuple[str, list[bytes]]]:
    """Streams of the APIs whose events have no names."""
    for doc in spread(list(samples(shape))):
        data = b"data: " + json.dumps(doc).encode() + b"\n\n"
        yield json.dumps(doc), [data, *(CHAT if shape is ChatCompletionChunk else COMPLETIONS).stream(DANUBE)]


def streams(api: Api, union: Any) -> Iterator[tuple[str, list[bytes]]]:
    """A stream with each documented event at a place where it may stand."""
    usual = list(api.stream(DANUBE))
    for model in members(union):
        for doc in spread(list(samples(model)))[::3] if model.__name__.startswith("Response") else samples(model):
            event = named(doc)
            yield json.dumps(doc), [*usual[:-1], event] if doc["type"] in LAST else [usual[0], event, *usual[1:]]


STREAMS = [
    (CHAT, list(chunks(ChatCompletionChunk))),
    (COMPLETIONS, list(chunks(Completion))),
    (MESSAGES, list(streams(MESSAGES, RawMessageStreamEvent))),
    (RESPONSES, list(streams(RESPONSES, ResponseStreamEvent))),
]


@module_loop
@pytest.mark.parametrize(("api", "given"), STREAMS, ids=[api.name for api, _ in STREAMS])
async def test_every_event_is_identical(gate: Rig, api: Api, given: list[tuple[str, list[bytes]]]) -> None:
    assert len(given) >= 15
    for what, events in given:
        await compare(gate, api, Answer(events, headers=list(SSE)), what[:300], stream=True)


async def fire(gate: Rig, api: Api, answer: Answer, what: Any, **fields: Any) -> bool:
    """A mis-routed answer first, this one when it is asked again: the client gets one of the two as it came, and the guard's
    headers. Gives whether it was the second."""
    headers = [("Content-Type", "application/json")]
    first = api.answer(CODE, bool(fields.get("stream")))
    gate.upstream.set(answer)
    direct = await gate.direct("POST", api.path, headers, api.body(WEATHER, **fields))
    gate.upstream.set(first, answer)
    through = await gate.fetch("POST", f"/fires{api.path}", headers, api.body(PEACE, **fields))
    assert through.status == 200, what
    assert through.body in (first.body, direct.body), what
    assert len([seen for seen in gate.upstream.seen if seen.method == "POST"]) == 2, what
    assert through.own["attempts"] == "2", what
    kept = {name.lower() for name, _ in through.headers} - {"transfer-encoding", "content-length"}
    assert {name for name in kept if not name.startswith("x-chunkguard-")} == {name.lower() for name, _ in direct.headers} - {
        "transfer-encoding",
        "content-length",
    }, what
    return through.body == direct.body


@module_loop
@pytest.mark.parametrize(("api", "shape"), PLAIN, ids=[api.name for api, _ in PLAIN])
async def test_with_a_policy_firing_the_better_answer_comes_as_it_was_given(gate: Rig, api: Api, shape: Any) -> None:
    found = spread(list(samples(shape)))[::3]
    better = [await fire(gate, api, Answer([json.dumps(doc).encode()], length=True), doc) for doc in found]
    assert sum(better) > len(better) / 2  # the others are no whole answers, or none that is better


@module_loop
@pytest.mark.parametrize(("api", "given"), STREAMS, ids=[api.name for api, _ in STREAMS])
async def test_with_a_policy_firing_every_event_comes_as_it_was_given(
    gate: Rig, api: Api, given: list[tuple[str, list[bytes]]]
) -> None:
    found = given[:: max(1, len(given) // 50)]
    better = [await fire(gate, api, Answer(events, headers=list(SSE)), what[:300], stream=True) for what, events in found]
    assert sum(better) > len(better) / 2


def test_every_event_of_the_clients_is_among_them() -> None:
    names = {json.loads(what)["type"] for what, _ in STREAMS[3][1]}
    assert len(names) == len(members(ResponseStreamEvent)) >= 50
    assert {json.loads(what)["type"] for what, _ in STREAMS[2][1]} == {
        "message_start", "message_delta", "message_stop", "content_block_start", "content_block_delta", "content_block_stop",
    }  # fmt: skip
    assert DONE in STREAMS[0][1][0][1]
