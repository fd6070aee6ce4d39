"""OpenAI's realtime client before a server that speaks realtime events, itself and through the proxy."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from openai import AsyncOpenAI
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.proxy.rig import CODE_POLICY, Rig, rig

Doc = dict[str, Any]
#: More than any buffer between the two: half a minute of audio.
AUDIO = base64.b64encode(bytes(range(256)) * 6000).decode()
SESSION: Doc = {"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": "gpt-realtime", "tools": []}
CONVERSATION = "conv_1"


def _item(asked: Doc) -> Doc:
    return {"object": "realtime.item", "id": "item_1", "status": "completed", **asked["item"]}


def _response(status: str, **fields: Any) -> Doc:
    return {"object": "realtime.response", "id": "resp_1", "status": status, "conversation_id": CONVERSATION, **fields}


def _spoken(asked: Doc) -> list[Doc]:
    at = {"response_id": "resp_1", "item_id": "item_2", "output_index": 0, "content_index": 0}
    done = {"object": "realtime.item", "id": "item_2", "type": "message", "role": "assistant", "status": "completed"}
    done["content"] = [{"type": "output_text", "text": "The Danube."}]  # type: ignore[assignment]
    usage = {"total_tokens": 7, "input_tokens": 4, "output_tokens": 3}
    return [
        {"type": "response.created", "response": _response("in_progress", output=[])},
        *({"type": "response.output_text.delta", **at, "delta": word} for word in ("The", " Danube", ".")),
        {"type": "response.output_text.done", **at, "text": "The Danube."},
        {"type": "response.done", "response": _response("completed", output=[done], usage=usage)},
    ]


#: What a client says -> what the server answers, as OpenAI documents it.
ANSWERS: dict[str, Callable[[Doc], list[Doc]]] = {
    "session.update": lambda asked: [{"type": "session.updated", "session": {**SESSION, **asked["session"]}}],
    "conversation.item.create": lambda asked: [
        {"type": "conversation.item.added", "previous_item_id": None, "item": _item(asked)}
    ],
    "input_audio_buffer.append": lambda asked: [],
    "input_audio_buffer.commit": lambda asked: [
        {"type": "input_audio_buffer.committed", "previous_item_id": None, "item_id": "item_1"}
    ],
    "response.create": _spoken,
}


class Realtime:
    """The server. `heard`: every event of a client; `heads`: of each handshake."""

    def __init__(self) -> None:
        self.heard: list[Doc] = []
        self.heads: list[dict[str, str]] = []
        self.port = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.heads.append({name.lower(): value for name, value in request.headers.items()} | {"target": request.raw_path})
        if request.query.get("model") != "gpt-realtime":
            return web.json_response({"error": {"message": "no such model", "code": "model_not_found"}}, status=404)
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        number = 0
        await socket.send_json({"type": "session.created", "event_id": "event_0", "session": SESSION})
        async for message in socket:
            asked = json.loads(message.data)
            self.heard.append(asked)
            if asked["type"] == "response.cancel":
                await socket.close(code=1011, message=b"server went down")
                break
            for answer in ANSWERS[asked["type"]](asked):
                number += 1
                await socket.send_json({"event_id": f"event_{number}", **answer})
        return socket


@asynccontextmanager
async def realtime(*routes: Doc, **fields: Any) -> AsyncIterator[tuple[Rig, Realtime]]:
    server = Realtime()
    runner = web.ServerRunner(web.Server(server.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    own = {"kind": "openai", "url": f"http://127.0.0.1:{server.port}/v1", **fields.pop("own", {})}
    try:
        async with rig(*(routes or ({"upstream": "ws"},)), upstreams={"ws": own}, **fields) as gate:
            yield gate, server
    finally:
        await runner.cleanup()


def client_of(base: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{base}/v1", api_key="sk-client", max_retries=0)


async def talk(base: str) -> list[Doc]:
    """A whole conversation; every event that the client was told, as the client's own objects say it."""
    told: list[Doc] = []
    async with client_of(base) as client, client.realtime.connect(model="gpt-realtime") as connection:
        told.append((await connection.recv()).model_dump())
        await connection.session.update(
            session={"type": "realtime", "output_modalities": ["text"], "instructions": "Be brief."}
        )
        told.append((await connection.recv()).model_dump())
        await connection.input_audio_buffer.append(audio=AUDIO)
        await connection.input_audio_buffer.commit()
        told.append((await connection.recv()).model_dump())
        content: Any = [{"type": "input_text", "text": "Elucidate the river of Vienna."}]
        await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        told.append((await connection.recv()).model_dump())
        await connection.response.create()
        while told[-1]["type"] != "response.done":
            told.append((await connection.recv()).model_dump())
    return told


@pytest.mark.parametrize("policies", [[], [CODE_POLICY]], ids=["off", "on"])
async def test_a_conversation_is_the_same_as_without_the_proxy(policies: list[Doc]) -> None:
    async with realtime({"upstream": "ws", "policies": policies}) as (gate, server):
        direct = await talk(f"http://127.0.0.1:{server.port}")
        through = await talk(gate.origin)
        assert through == direct
        assert [event["type"] for event in through][:2] == ["session.created", "session.updated"]
        assert "".join(event["delta"] for event in through if event["type"] == "response.output_text.delta") == "The Danube."
        half = len(server.heard) // 2
        assert server.heard[:half] == server.heard[half:]
        assert server.heard[1]["audio"] == AUDIO
        direct_head, through_head = server.heads
        for head in server.heads:
            for name in ("host", "sec-websocket-key"):
                head.pop(name)
        assert through_head == direct_head
        assert through_head["authorization"] == "Bearer sk-client"


async def test_a_configured_key_takes_the_clients_place() -> None:
    rules = {"allow": ["GET /v1/realtime"]}
    async with realtime(own={"api_key": "sk-operator"}, pass_through=rules) as (gate, server):
        assert (await talk(gate.origin))[-1]["type"] == "response.done"
        (head,) = server.heads
        assert head["authorization"] == "Bearer sk-operator"
        assert "sk-client" not in str(head)


async def test_a_refused_session_is_refused_as_without_the_proxy() -> None:
    async with realtime() as (gate, server):
        seen = []
        for base in (f"http://127.0.0.1:{server.port}", gate.origin):
            async with client_of(base) as client:
                with pytest.raises(InvalidStatus) as caught:
                    async with client.realtime.connect(model="unknown"):
                        pass
            seen.append((caught.value.response.status_code, caught.value.response.body))
        assert seen[0] == seen[1]
        assert seen[0][0] == 404


async def test_a_server_that_ends_the_session_says_why() -> None:
    async with realtime() as (gate, server):
        for base in (f"http://127.0.0.1:{server.port}", gate.origin):
            async with client_of(base) as client, client.realtime.connect(model="gpt-realtime", max_retries=0) as connection:
                await connection.recv()
                await connection.response.cancel()
                with pytest.raises(ConnectionClosedError) as caught:
                    await asyncio.wait_for(connection.recv(), 10)
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1011, "server went down")


async def test_many_sessions_at_once_are_kept_apart() -> None:
    async with realtime() as (gate, server):
        told = await asyncio.gather(*(talk(gate.origin) for _ in range(8)))
        assert all(one == told[0] for one in told)
        assert len(server.heads) == 8
