"""Recorded exchanges as an upstream, in process and without a network: for tests, demos and reproductions, never for users.

One rule: the answer is selected by a match on the request received - first match in file order - so the same prompt gets the
same bad answer again, and only a changed prompt gets another. Ids, times and chunks are the same on every run.

The format of a line is `ReplayExchange`; `replay_file` reads a file, `replay_wire` makes the bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson

from proxy.config_model import Timeouts
from proxy.errors import InvalidRequest, ProtocolError, Timeout, Unavailable, render
from proxy.upstream.base import Headers, UpstreamRequest, Whole
from proxy.upstream.body import whole
from proxy.upstream.replay_file import ReplayExchange, read_exchanges
from proxy.upstream.replay_wire import CREATED, body_of, error_body, events_of
from proxy.wire import jsonbytes

_JUNK = b"\x16\x03\x01 this is not what was asked for\r\n"


class ReplayReply(Whole):
    """One recorded answer, played back; see `UpstreamReply`."""

    def __init__(self, status: int, chunks: list[bytes], exchange: ReplayExchange | None, content_type: str, total_s: float):
        self.status = status
        self.reason = "OK" if status == 200 else ""
        self.headers: Headers = [("Content-Type", content_type)]
        if not content_type.startswith("text/event-stream"):
            self.headers.append(("Content-Length", str(sum(map(len, chunks)))))
        self._chunks = chunks
        self._exchange = exchange
        self._total_s = total_s
        self._closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        exchange = self._exchange
        pause_s = exchange.chunk_ms / 1000 if exchange is not None else 0.0
        faulty = exchange is not None and exchange.fault in ("reset_after_bytes", "stall")
        left = exchange.after_bytes if exchange is not None and faulty else -1
        for index, chunk in enumerate(self._chunks):
            if pause_s and index:
                await asyncio.sleep(pause_s)
            if self._closed:
                return
            if faulty and len(chunk) >= left:
                if left:
                    yield chunk[:left]
                break
            left -= len(chunk)
            yield chunk
        if faulty:
            await self._fail()

    async def _fail(self) -> None:
        if self._exchange is not None and self._exchange.fault == "stall":
            await asyncio.sleep(self._total_s)
            raise Timeout("the upstream's answer took too long")
        raise ProtocolError("the upstream's answer broke off")

    def release(self) -> None:
        self._closed = True

    def abort(self) -> None:
        self._closed = True


class ReplayUpstream:
    """Answers from recorded exchanges. Reads its file when it is made: ConfigError names file, line and key."""

    def __init__(self, name: str, file: Path, timeouts: Timeouts | None = None, *, shown: str | None = None) -> None:
        self.name = name
        self.exchanges = read_exchanges(file, shown or str(file))
        self._timeouts = timeouts or Timeouts()

    async def open(self, request: UpstreamRequest) -> ReplayReply:
        total_s = self._timeouts.total_s if request.timeout_s is None else request.timeout_s
        try:
            body = await whole(request)
        except InvalidRequest as error:
            return self._plain(400, render(error), None, total_s)
        path = request.path.partition("?")[0]
        if request.method == "GET" and path == "/v1/models":
            return self._plain(200, self._models(), None, total_s)
        doc = _parsed(body)
        if doc is None:
            return self._plain(400, error_body("the body is no JSON object", "invalid_request_error", None), None, total_s)
        exchange = next((item for item in self.exchanges if item.match.takes(path, doc)), None)
        if exchange is None:
            message = "no recorded exchange matches this request"
            return self._plain(404, error_body(message, "invalid_request_error", "no_match"), None, total_s)
        return await self._play(exchange, doc, total_s)

    async def close(self) -> None:
        """Nothing is held."""

    async def _play(self, exchange: ReplayExchange, doc: dict[str, Any], total_s: float) -> ReplayReply:
        if exchange.fault == "refuse":
            raise Unavailable("the upstream cannot be connected to")
        if exchange.delay_ms:
            wait_s = min(self._timeouts.first_token_s, total_s)
            await asyncio.sleep(min(exchange.delay_ms / 1000, wait_s))
            if exchange.delay_ms / 1000 > wait_s:
                raise Timeout("the upstream sent no answer in time")
        if exchange.fault == "junk":
            return self._plain(exchange.status, _JUNK, exchange, total_s)
        if doc.get("stream") is True and exchange.status == 200 and exchange.body is None:
            chunks = _split(events_of(exchange, doc), exchange.chunk_bytes)
            return ReplayReply(200, chunks, exchange, "text/event-stream; charset=utf-8", total_s)
        return self._plain(exchange.status, body_of(exchange, doc), exchange, total_s)

    def _plain(self, status: int, body: bytes, exchange: ReplayExchange | None, total_s: float) -> ReplayReply:
        chunks = _split([body], exchange.chunk_bytes if exchange is not None else 0)
        return ReplayReply(status, chunks, exchange, "application/json", total_s)

    def _models(self) -> bytes:
        named = [item.match.model for item in self.exchanges if item.match.model and not set(item.match.model) & set("*?")]
        models = [
            {"id": model, "object": "model", "created": CREATED, "owned_by": "replay"}
            for model in dict.fromkeys([*named, "replay"])
        ]
        return orjson.dumps({"object": "list", "data": models})


def _parsed(body: bytes) -> dict[str, Any] | None:
    if not body:
        return {}
    try:
        doc = jsonbytes.load_text(body)
    except ValueError:
        return None
    return doc if isinstance(doc, dict) else None


def _split(chunks: list[bytes], size: int) -> list[bytes]:
    if not size:
        return chunks
    data = b"".join(chunks)
    return [data[start : start + size] for start in range(0, len(data), size)]
