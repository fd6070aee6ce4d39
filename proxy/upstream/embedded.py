"""The organism as an upstream: a tiny language model in this process, behind OpenAI's chat completions. For demos and tests.

One rule: the event loop never computes. Tokenising and every step of a model run on the upstream's own thread, a few tokens a
turn, so that requests share it and one that is given up ends soon.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from organism.generate import Model, Sampling
from organism.pieces import Pieces
from organism.prompts import CALL
from organism.tokens import Tokens
from proxy.config_embedded import EmbeddedSettings
from proxy.errors import ConfigError, InvalidRequest, Problem, Timeout, error_document, render
from proxy.upstream.base import Headers, UpstreamRequest, Whole
from proxy.upstream.body import whole
from proxy.upstream.embedded_wire import Asked, Choice, Envelope, call_of, prompt_ids, read_request

T = TypeVar("T")

_CHAT: Final = "/v1/chat/completions"
#: Tokens of one turn on the thread: some 4 ms of work for one change of threads.
_TURN: Final = 8


class _Answer:
    """One choice under way. `text`: so far; `tokens`: of it; `reason`: why it ended, None until then."""

    def __init__(self, model: Model, ids: list[int], asked: Asked, index: int) -> None:
        own = asked.sampling
        self._source = model.generate(ids, Sampling(own.temperature, own.top_p, own.seed + index, own.most))
        self._pieces = Pieces(model.tokens, asked.stops)
        self._end = model.tokens.end
        self.text = ""
        self.tokens = 0
        self.reason: str | None = None

    @property
    def choice(self) -> Choice:
        return Choice(self.text, self.tokens, self.reason or "length")

    def turn(self) -> str:
        """The text of a few more tokens."""
        given = "".join(self._step() for _ in range(_TURN) if self.reason is None)
        self.text += given
        if self.reason == "stop" and self.text.startswith(CALL) and not self._pieces.stopped:
            self.reason = "tool_calls"
        return given

    def _step(self) -> str:
        token = next(self._source, None)
        if token is None or token == self._end:
            self.reason = "length" if token is None else "stop"
            return self._pieces.flush()
        self.tokens += 1
        piece = self._pieces.feed(token)
        if self._pieces.stopped:
            self.reason = "stop"
        return piece


class EmbeddedReply(Whole):
    """One answer; see `UpstreamReply`. `events`: of a stream, else None and `body` is all of it."""

    def __init__(self, status: int, body: bytes = b"", events: AsyncIterator[bytes] | None = None) -> None:
        self.status = status
        self.reason = "OK" if status == 200 else ""
        kind = "application/json" if events is None else "text/event-stream; charset=utf-8"
        self.headers: Headers = [("Content-Type", kind)]
        if events is None:
            self.headers.append(("Content-Length", str(len(body))))
        self._body = body
        self._events = events
        self._closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        if self._events is None:
            if self._body:
                yield self._body
            return
        async for event in self._events:
            if self._closed:
                return
            yield event

    def release(self) -> None:
        self._closed = True

    def abort(self) -> None:
        """No further token is computed: a stream computes only what is asked of it."""
        self._closed = True


class EmbeddedUpstream:
    """Chat completions of the organism's models. Other paths are answered 404, `GET /v1/models` with the models of the folder.

    Reads its folder when it is made: ConfigError names what is missing or broken. `folder`: None for the shipped models."""

    def __init__(self, name: str, settings: EmbeddedSettings, folder: Path | None = None) -> None:
        self.name = name
        self._settings = settings
        self._models, self._fingerprint = _read(name, folder)
        strange = sorted(set(settings.models.values()) - self._models.keys())
        if strange:
            raise ConfigError(
                [Problem("upstreams", f"{name}.models", f"there is no model {strange[0]!r}; there are {sorted(self._models)}")]
            )
        self._seen: Counter[bytes] = Counter()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"embedded-{name}")

    async def open(self, request: UpstreamRequest) -> EmbeddedReply:
        path = request.path.partition("?")[0]
        if (request.method, path) == ("GET", "/v1/models"):
            return EmbeddedReply(200, self._listed())
        if (request.method, path) != ("POST", _CHAT):
            return _refusal(404, "this upstream answers chat completions only", "not_found")
        total_s = self._settings.total_s
        until = asyncio.get_running_loop().time() + min(total_s, request.timeout_s or total_s)
        try:
            body = await whole(request)
            asked = await self._compute(lambda: read_request(body, self._seed(body)))
            model = self._models.get(self._settings.models.get(asked.model, asked.model))
            if model is None:
                return _refusal(404, f"The model {asked.model!r} does not exist.", "model_not_found", "model")
            ids = await self._compute(lambda: prompt_ids(asked, model.tokens))
        except InvalidRequest as error:
            return EmbeddedReply(400, render(error))
        answers = [_Answer(model, ids, asked, index) for index in range(asked.choices)]
        envelope = Envelope(f"chatcmpl-{secrets.token_hex(12)}", int(time.time()), asked.model, self._fingerprint)
        if asked.stream:
            return EmbeddedReply(200, events=self._events(answers, asked, envelope, len(ids), until))
        for answer in answers:
            while answer.reason is None:
                await self._turn(answer, until)
        return EmbeddedReply(200, envelope.whole([answer.choice for answer in answers], len(ids)))

    def _seed(self, body: bytes) -> int:
        """The seed of a request that gives none."""
        if self._settings.seed is None:
            return secrets.randbits(62)
        digest = hashlib.sha256(body).digest()
        self._seen[digest] += 1
        text = f"{self._settings.seed}/{self._seen[digest]}/".encode() + digest
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _compute(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _turn(self, answer: _Answer, until: float) -> str:
        if asyncio.get_running_loop().time() > until:
            raise Timeout("the upstream's answer took too long")
        return await self._compute(answer.turn)

    async def _events(
        self, answers: list[_Answer], asked: Asked, envelope: Envelope, prompt: int, until: float
    ) -> AsyncIterator[bytes]:
        usage = asked.include_usage
        for index, answer in enumerate(answers):
            yield envelope.event(index, {"role": "assistant", "content": ""}, None, with_usage=usage)
            while answer.reason is None:
                piece = await self._turn(answer, until)
                # A call is held until it is whole: its name and arguments are one delta.
                if piece and not answer.text.startswith(CALL):
                    yield envelope.event(index, {"content": piece}, None, with_usage=usage)
            if (call := call_of(answer.text, index)) is not None:
                yield envelope.event(index, {"tool_calls": [{"index": 0, **call}]}, None, with_usage=usage)
            yield envelope.event(index, {}, answer.reason, with_usage=usage)
        if usage:
            yield envelope.usage_event(prompt, sum(answer.tokens for answer in answers))
        yield b"data: [DONE]\n\n"

    def _listed(self) -> bytes:
        names = dict.fromkeys((*self._settings.models, *self._models))
        models = [{"id": name, "object": "model", "created": 0, "owned_by": self.name} for name in names]
        return orjson.dumps({"object": "list", "data": models})


def _read(name: str, folder: Path | None) -> tuple[dict[str, Model], str]:
    """The models of a folder by the names of their files, and what tells this folder from others."""
    place: Any = folder if folder is not None else resources.files("organism") / "models"
    digest = hashlib.sha256()
    try:
        data = (place / "tokenizer.json").read_bytes()
        digest.update(data)
        tokens = Tokens(data)
        models = {}
        for file in _graphs(place):
            graph = file.read_bytes()
            digest.update(graph)
            models[file.name.removesuffix(".onnx")] = Model(graph, tokens)
    except (OSError, ValueError) as error:
        raise ConfigError([Problem("upstreams", f"{name}.folder", f"holds no models of this kind: {error}")]) from error
    if not models:
        raise ConfigError([Problem("upstreams", f"{name}.folder", "holds no .onnx file")])
    return models, f"fp_{digest.hexdigest()[:12]}"


def _graphs(place: Any) -> Iterator[Any]:
    yield from sorted((file for file in place.iterdir() if file.name.endswith(".onnx")), key=lambda file: str(file.name))


def _refusal(status: int, message: str, code: str, param: str | None = None) -> EmbeddedReply:
    return EmbeddedReply(status, orjson.dumps(error_document(message, type="invalid_request_error", code=code, param=param)))
