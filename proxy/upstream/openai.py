"""An OpenAI-compatible HTTP upstream: one pooled aiohttp session, bytes through.

One rule: a connection goes back to the pool only after a whole body was read from it; every other end closes it.

A pooled connection may have been closed by the upstream just as a request was written to it. Such a request is sent once
more, on another connection, when all of this holds: the connection had been used before, not a byte of an answer came, it was
lost within a second of being taken (an upstream that dies while it generates takes longer), and the body is in hand. The
upstream may in theory have read the request, so a generation may be paid twice; no tool has run and no byte was released.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from proxy.config_model import OpenAISettings
from proxy.errors import ProtocolError, Timeout, Unavailable, UpstreamError
from proxy.upstream.base import Body, Headers, UpstreamRequest, end_to_end, rename_model, request_headers

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

#: aiohttp would add these by itself; an upstream must see what the client sent and no more.
_NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
#: Longest status line or header field of a reply, in bytes; some gateways put whole policies into headers.
_MAX_FIELD = 65_536
#: aiohttp warns when it is given more bytes than this at once; larger bodies are written in slices.
_SLICE = 1_048_576
_STALE_WITHIN_S = 1.0


class _Attempt:
    """What the connector tells about one request: when it got its connection, and whether that one was new."""

    __slots__ = ("connected_at", "first_token_s", "loop", "new", "timeout")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: asyncio.Timeout, first_token_s: float) -> None:
        self.loop = loop
        self.timeout = timeout
        self.first_token_s = first_token_s
        self.connected_at = 0.0
        self.new = False

    def connected(self) -> None:
        self.connected_at = self.loop.time()
        self.timeout.reschedule(self.first_at)

    @property
    def first_at(self) -> float:
        return self.connected_at + self.first_token_s


_attempt: ContextVar[_Attempt] = ContextVar("_attempt")


class _Connector(aiohttp.TCPConnector):
    # The names of the parameters are aiohttp's.
    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> Connection:
        attempt = _attempt.get()
        attempt.new = False
        connection = await super().connect(req, traces, timeout)
        attempt.connected()
        return connection

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> ResponseHandler:
        _attempt.get().new = True
        return await super()._create_connection(req, traces, timeout)


class OpenAIReply:
    """A reply under way; see `UpstreamReply`."""

    def __init__(self, response: aiohttp.ClientResponse, attempt: _Attempt) -> None:
        self._response = response
        self._attempt = attempt
        self.status = response.status
        self.reason = response.reason or ""
        self.headers: Headers = end_to_end(list(response.headers.items()))

    async def chunks(self) -> AsyncIterator[bytes]:
        content = self._response.content
        try:
            if not (content.total_bytes or content.is_eof()):
                # Most small bodies come with their head and need no timer here.
                await self._first_byte()
            chunk = await content.readany()
            while chunk:
                yield chunk
                chunk = await content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.abort()
            if isinstance(error, TimeoutError):
                raise Timeout("the upstream's answer took too long") from None
            raise ProtocolError("the upstream's answer broke off") from error
        except BaseException:
            self.abort()
            raise
        self.release()

    async def _first_byte(self) -> None:
        try:
            async with asyncio.timeout_at(self._attempt.first_at):
                await self._response.content.wait_eof_or_data()
        except TimeoutError:
            raise Timeout("the upstream sent no byte of its answer in time") from None

    def release(self) -> None:
        if self._response.content.is_eof() and self._response.content.exception() is None:
            # aiohttp gave the connection back at the end of the body; this is only for a body of length 0.
            self._response.release()
        else:
            self.abort()

    def abort(self) -> None:
        self._response.close()


class OpenAIUpstream:
    """Requests to one OpenAI-compatible API. Must be made inside a running event loop."""

    def __init__(self, name: str, settings: OpenAISettings) -> None:
        self.name = name
        self._settings = settings
        self._timeouts = settings.timeouts
        self._api_key = settings.api_key.get_secret_value() if settings.api_key is not None else None
        self._limit = _limit(self._timeouts.total_s, self._timeouts.connect_s)
        self._versioned, self._plain = _bases(settings.url)
        self._session = aiohttp.ClientSession(
            connector=_Connector(
                limit=settings.pool_size, ttl_dns_cache=60, keepalive_timeout=settings.pool_idle_s, enable_cleanup_closed=False
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NOT_ADDED,
            max_line_size=_MAX_FIELD,
            max_field_size=_MAX_FIELD,
            trust_env=False,
        )

    def url_of(self, path: str) -> str:
        """The upstream's URL for a client's path (with query): `/v1/x` under the base URL, others beside its `/v1`."""
        if path.startswith("/v1") and path[3:4] in ("", "/", "?"):
            return f"{self._versioned}{path[3:]}"
        return f"{self._plain}{path}"

    async def open(self, request: UpstreamRequest) -> OpenAIReply:
        loop = asyncio.get_running_loop()
        total_s = self._timeouts.total_s if request.timeout_s is None else min(request.timeout_s, self._timeouts.total_s)
        limit = self._limit
        if total_s < self._timeouts.total_s:
            limit = _limit(max(total_s, 0.001), self._timeouts.connect_s)
        url = URL(self.url_of(request.path), encoded=True)
        headers = self._headers(request)
        body = rename_model(request.body, self._settings.models)
        try:
            # aiohttp holds the connect and the total time, over the whole body; the rest is ours.
            async with asyncio.timeout(None) as timeout:
                attempt = _Attempt(loop, timeout, self._timeouts.first_token_s)
                _attempt.set(attempt)
                return OpenAIReply(await self._send(request.method, url, headers, body, limit), attempt)
        except TimeoutError as error:
            raise Timeout(_late(error, attempt)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _mapped(error) from error

    async def close(self) -> None:
        await self._session.close()

    async def _send(
        self, method: str, url: URL, headers: CIMultiDict[str], body: Body, limit: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        attempt = _attempt.get()
        try:
            return await self._session.request(
                method, url, headers=headers, data=_data(body), allow_redirects=False, timeout=limit
            )
        except aiohttp.ServerDisconnectedError as error:
            # `message` is a parsed head where part of one came, a text where nothing did.
            nothing_came = isinstance(error.message, str)
            prompt = attempt.loop.time() - attempt.connected_at < _STALE_WITHIN_S
            if attempt.new or not nothing_came or not prompt or isinstance(body, AsyncIterator):
                raise
        return await self._session.request(
            method, url, headers=headers, data=_data(body), allow_redirects=False, timeout=limit
        )

    def _headers(self, request: UpstreamRequest) -> CIMultiDict[str]:
        headers = CIMultiDict(request_headers(request, drop_credentials=self._api_key is not None))
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        if isinstance(request.body, bytes) and len(request.body) > _SLICE:
            headers["Content-Length"] = str(len(rename_model(request.body, self._settings.models)))  # type: ignore[arg-type]
        return headers


def _limit(total_s: float, connect_s: float) -> aiohttp.ClientTimeout:
    # aiohttp would round times over five seconds up to whole ones.
    return aiohttp.ClientTimeout(total=total_s, connect=connect_s, ceil_threshold=float("inf"))


def _bases(url: str) -> tuple[str, str]:
    """What `/v1` of a client's path becomes, and what stands before every other path."""
    url = url.rstrip("/")
    if URL(url).path in ("", "/"):
        return f"{url}/v1", url
    return url, url.removesuffix("/v1")


def _data(body: Body) -> object:
    if isinstance(body, bytes) and len(body) > _SLICE:
        return _slices(body)
    return body


async def _slices(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _SLICE):
        yield body[start : start + _SLICE]


def _late(error: TimeoutError, attempt: _Attempt) -> str:
    if isinstance(error, aiohttp.ConnectionTimeoutError) or not attempt.connected_at:
        return "no connection to the upstream in time"
    return "the upstream sent no answer in time"


def _mapped(error: Exception) -> UpstreamError:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Unavailable("the upstream's host name is not known")
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unavailable("the upstream cannot be connected to")
    if isinstance(error, aiohttp.ServerDisconnectedError) and isinstance(error.message, str):
        return Unavailable("the upstream closed the connection without an answer")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return ProtocolError("the upstream's answer is not HTTP")
    if isinstance(error, aiohttp.ClientError | OSError):
        return Unavailable("the connection to the upstream was lost")
    return ProtocolError("the request cannot be put to the upstream")
