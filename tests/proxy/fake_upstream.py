"""A scripted OpenAI-compatible upstream on loopback that can also misbehave: a real aiohttp server, real sockets.

One rule: it does what its script says and remembers exactly what it was sent - nothing is answered that a test did not write.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

Headers = list[tuple[str, str]]
#: Fixed, so that two answers to two requests can be compared.
STAMP: Headers = [("Date", "Mon, 01 Jan 2024 00:00:00 GMT"), ("Server", "fake/1.0")]
JSON: Headers = [("Content-Type", "application/json")]
SSE: Headers = [("Content-Type", "text/event-stream; charset=utf-8"), ("X-Request-Id", "req-1")]
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Reset:
    """Break the connection off, with a RST."""


@dataclass(frozen=True)
class Wait:
    """Go on when the test says so."""

    event: asyncio.Event


@dataclass(frozen=True)
class Pause:
    """Go on after a while."""

    seconds: float


@dataclass(frozen=True)
class Hang:
    """Never go on; ends when the other side goes away, which sets `FakeUpstream.gone`."""


@dataclass(frozen=True)
class Junk:
    """Bytes on the bare connection, past HTTP; then it is closed."""

    data: bytes


Step = bytes | Reset | Wait | Pause | Hang | Junk


@dataclass(frozen=True)
class Answer:
    """One answer. `steps`: what happens after the head; `before`: what happens before it. `length`: Content-Length is sent."""

    steps: Sequence[Step] = ()
    status: int = 200
    headers: Headers = field(default_factory=lambda: list(JSON))
    before: Sequence[Step] = ()
    length: bool = False
    reason: str | None = None

    @property
    def body(self) -> bytes:
        return b"".join(step for step in self.steps if isinstance(step, bytes))


@dataclass(frozen=True)
class Seen:
    """A request exactly as it came. `target`: path and query."""

    method: str
    target: str
    headers: Headers
    body: bytes

    @property
    def doc(self) -> Any:
        return json.loads(self.body)

    def values(self, name: str) -> list[str]:
        return [value for own, value in self.headers if own.lower() == name.lower()]

    @property
    def asked(self) -> str:
        """The text of the last user message."""
        text: str = self.doc["messages"][-1]["content"]
        return text


@dataclass
class FakeUpstream:
    """Gives `answers` in turn, the last again and again, or what `respond` says. `seen`: all requests. `gone`: a hanging or
    streaming answer lost its reader."""

    answers: Sequence[Answer] = ()
    respond: Callable[[Seen], Answer] | None = None
    seen: list[Seen] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def set(self, *answers: Answer) -> None:
        """Begin anew with other answers."""
        self.answers = answers
        self.seen.clear()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
        seen = Seen(request.method, request.raw_path, headers, await request.read())
        self.seen.append(seen)
        self.began.set()
        answer = self.respond(seen) if self.respond else self.answers[min(len(self.seen), len(self.answers)) - 1]
        try:
            return await self._play(request, answer)
        except (asyncio.CancelledError, ConnectionError):
            self.gone.set()
            raise

    async def _play(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        own = {name.lower() for name, _ in answer.headers}
        headers = CIMultiDict([*answer.headers, *(item for item in STAMP if item[0].lower() not in own)])
        if answer.length:
            headers["Content-Length"] = str(len(answer.body))
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
        for step in answer.before:
            await self._step(request, response, step)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        for step in answer.steps:
            await self._step(request, response, step)
        await response.write_eof()
        return response

    @staticmethod
    async def _step(request: web.BaseRequest, response: web.StreamResponse, step: Step) -> None:
        match step:
            case bytes():
                await response.write(step)
                # Two turns of the loop: what was written is read before the next step, so cuts stay cuts.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            case Wait(event):
                await event.wait()
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Hang():
                await asyncio.Event().wait()
            case Reset():
                assert request.transport is not None
                request.transport.abort()
                raise ConnectionResetError
            case Junk(data):
                assert request.transport is not None
                request.transport.write(data)
                request.transport.close()
                raise ConnectionResetError

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeUpstream]:
        server = web.Server(self._handle, handler_cancellation=True, auto_decompress=False, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=512).start()
        self.port = int(runner.addresses[0][1])
        try:
            yield self
        finally:
            await runner.cleanup()


# ---- answers of the chat completions API

USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}


def message(text: str | None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **fields}


def completion(*messages: dict[str, Any], finish: str = "stop", **fields: Any) -> bytes:
    """The body of a plain answer, one choice a message."""
    choices = [
        {"index": index, "message": given, "logprobs": None, "finish_reason": finish} for index, given in enumerate(messages)
    ]
    doc = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": USAGE}
    return json.dumps({**doc, **fields}).encode()


def plain(*texts: str, **fields: Any) -> Answer:
    """A plain answer, one choice a text."""
    return Answer([completion(*map(message, texts), **fields)], length=True)


def event(delta: dict[str, Any], *, choice: int = 0, finish: str | None = None, **fields: Any) -> bytes:
    """One chunk of a streamed answer."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [{"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return b"data: " + json.dumps({**head, "choices": choices, **fields}).encode() + b"\n\n"


def events(*texts: str, usage: bool = False) -> list[bytes]:
    """The chunks of a streamed answer, one choice a text, a few words a chunk; [DONE] is the last."""
    chunks = [event({"role": "assistant", "content": ""}, choice=choice) for choice in range(len(texts))]
    for choice, text in enumerate(texts):
        words = text.split(" ")
        pieces = [" ".join(words[start : start + 3]) for start in range(0, len(words), 3)]
        chunks += [event({"content": (" " if at else "") + piece}, choice=choice) for at, piece in enumerate(pieces)]
    chunks += [event({}, choice=choice, finish="stop") for choice in range(len(texts))]
    if usage:
        chunks.append(
            b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":'
        )
        chunks[-1] += json.dumps(USAGE).encode() + b"}\n\n"
    return [*chunks, DONE]


def streamed(*texts: str, usage: bool = False, before: Sequence[Step] = ()) -> Answer:
    """A streamed answer."""
    return Answer(events(*texts, usage=usage), headers=list(SSE), before=before)


def said(text: str) -> Callable[[bool], Answer]:
    """The same answer, plain or streamed."""
    return lambda stream: streamed(text) if stream else plain(text)


def failing(status: int, code: str = "boom", **headers: str) -> Answer:
    """An error of the upstream."""
    body = json.dumps({"error": {"message": "no", "type": "server_error", "param": None, "code": code}}).encode()
    return Answer([body], status=status, headers=[*JSON, *((k.replace("_", "-"), v) for k, v in headers.items())], length=True)
