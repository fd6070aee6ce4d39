"""An OpenAI-compatible HTTP upstream: one pooled aiohttp session, bytes through.

One rule: a connection goes back to the pool only after a whole body was read from it; every other end closes it.

A pooled connection may have been closed by the upstream just as a request was written to it. Such a request is sent again, on
another connection and twice at most, when all of this holds: the connection had been used before, not a byte of an answer came,
it was lost within a second of being taken (an upstream that dies while it generates takes longer), and the body is in hand. The
upstream may in theory have read the request, so a generation may be paid twice; no tool has run and no byte was released.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from proxy.config_model import OpenAISettings
from proxy.errors import ProtocolError, Timeout, Unavailable, UpstreamError
from proxy.upstream.base import Body, Headers, UpstreamRequest, Whole, end_to_end, request_headers
from proxy.upstream.body import with_model
from proxy.upstream.connection import Attempt, Connector, attempt_now
from proxy.upstream.post import Posted, Poster
from proxy.upstream.route_out import hop_to, trust
from proxy.upstream.tunnel import open_tunnel, upgrade_headers

#: aiohttp would add these by itself; an upstream must see what the client sent and no more.
_NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
#: Longest status line or header field of a reply, in bytes; some gateways put whole policies into headers.
_MAX_FIELD = 65_536
#: aiohttp warns when it is given more bytes than this at once; larger bodies are written in slices.
_SLICE = 1_048_576
#: How often a request is sent again at most: the next connection of the pool may be as stale as the first.
_RESENT = 2


class OpenAIReply(Whole):
    """A reply under way; see `UpstreamReply`."""

    def __init__(self, response: aiohttp.ClientResponse | Posted, attempt: Attempt) -> None:
        self._response = response
        self._attempt = attempt
        attempt.content = response.content
        self.status = response.status
        self.reason = response.reason or ""
        self.headers: Headers = end_to_end(list(response.headers.items()))

    async def chunks(self) -> AsyncIterator[bytes]:
        content, attempt = self._response.content, self._attempt
        try:
            chunk = await content.readany()
            attempt.begun()
            while chunk and not attempt.expired:
                yield chunk
                attempt.waiting = True
                chunk = await content.readany()
                attempt.waiting = False
            if attempt.expired:
                # A body without a length ends with its connection, so cutting it looks like an end.
                raise Timeout(attempt.expired)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.abort()
            if attempt.expired:
                raise Timeout(attempt.expired) from None
            if isinstance(error, TimeoutError):
                raise Timeout("the upstream's answer took too long") from None
            raise ProtocolError("the upstream's answer broke off") from error
        except BaseException:
            self.abort()
            raise
        self.release()

    async def read(self) -> bytes:
        content = self._response.content
        if content.is_eof() and content.exception() is None and not self._attempt.expired:
            # It came with the head, as nearly every plain answer does: nothing is waited for.
            body = content.read_nowait()
            self.release()
            return body
        return await super().read()

    def release(self) -> None:
        if self._response.content.is_eof() and self._response.content.exception() is None:
            # aiohttp gave the connection back at the end of the body; this is only for a body of length 0.
            self._attempt.settle()
            self._response.release()
        else:
            self.abort()

    def abort(self) -> None:
        self._attempt.settle()
        self._response.close()


class OpenAIUpstream:
    """Requests to one OpenAI-compatible API. Must be made inside a running event loop."""

    def __init__(self, name: str, settings: OpenAISettings, folder: Path = Path()) -> None:
        """`folder`: what files of the settings are relative to. Raises OSError for certificates that cannot be read."""
        self.name = name
        self._settings = settings
        self._timeouts = settings.timeouts
        self._api_key = settings.api_key.get_secret_value() if settings.api_key is not None else None
        self._limit = _limit(self._timeouts.total_s, self._timeouts.connect_s)
        self._versioned, self._plain = _bases(settings.url)
        self._trusted = ca = trust(folder / settings.ca_file if settings.ca_file is not None else None)
        self._hop = hop_to(settings.url, settings.proxy)
        self._session = aiohttp.ClientSession(
            connector=Connector(
                ssl=ca if ca is not None else True, limit=settings.pool_size, keepalive_timeout=settings.pool_idle_s
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NOT_ADDED,
            max_line_size=_MAX_FIELD,
            max_field_size=_MAX_FIELD,
            trust_env=False,
        )
        self._poster = Poster(self._session, URL(self._versioned), _MAX_FIELD)

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
        if self._settings.models:
            request = await with_model(request, self._settings.models)
        headers = self._headers(request)
        body = request.body
        attempt = Attempt(loop, self._timeouts.first_token_s, self._timeouts.between_tokens_s)
        attempt_now.set(attempt)
        try:
            # aiohttp holds the connect and the total time, over the whole body.
            return OpenAIReply(await self._send(request.method, url, headers, body, limit), attempt)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            attempt.settle()
            raise _mapped(error, attempt) from error
        except BaseException:
            attempt.settle()
            raise

    async def upgrade(self, request: UpstreamRequest) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes, int]:
        """As `Upgradable` says. Raises Unavailable where the way out leads through an HTTP proxy."""
        if self._hop is not None:
            raise Unavailable("sessions do not go through an HTTP proxy")
        limits = self._timeouts
        url = URL(self.url_of(request.path), encoded=True)
        headers = upgrade_headers(request, self._api_key)
        return await open_tunnel(
            url, request.method, headers, trusted=self._trusted, connect_s=limits.connect_s, answer_s=limits.first_token_s
        )

    async def close(self) -> None:
        await self._session.close()

    async def _send(
        self, method: str, url: URL, headers: CIMultiDict[str], body: Body, limit: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse | Posted:
        for _ in range(_RESENT):
            try:
                return await self._ask(method, url, headers, body, limit)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError):
                if not attempt_now.get().stale or isinstance(body, AsyncIterator):
                    raise
        return await self._ask(method, url, headers, body, limit)

    async def _ask(
        self, method: str, url: URL, headers: CIMultiDict[str], body: Body, limit: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse | Posted:
        if self._hop is not None:
            if url.scheme == "http":
                headers.extend(self._hop.headers)  # the proxy reads the request itself
            return await self._session.request(
                method,
                url,
                headers=headers,
                data=_data(body),
                allow_redirects=False,
                timeout=limit,
                proxy=self._hop.url,
                proxy_headers=self._hop.headers,
            )
        if isinstance(body, bytes) and self._poster.takes(method, url, len(body)):
            return await self._poster.post(url.raw_path_qs, headers, body, limit)
        return await self._session.request(method, url, headers=headers, data=_data(body), allow_redirects=False, timeout=limit)

    def _headers(self, request: UpstreamRequest) -> CIMultiDict[str]:
        headers = CIMultiDict(request_headers(request, drop_credentials=self._api_key is not None))
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        if isinstance(request.body, bytes) and len(request.body) > _SLICE:
            headers["Content-Length"] = str(len(request.body))
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


def _mapped(error: Exception, attempt: Attempt) -> UpstreamError:
    if attempt.expired:
        return Timeout(attempt.expired)
    if isinstance(error, TimeoutError):
        early = isinstance(error, aiohttp.ConnectionTimeoutError) or not attempt.connected_at
        if early:
            return Timeout("no connection to the upstream in time", began=False)
        return Timeout("the upstream sent no answer in time")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Unavailable("the upstream's host name is not known", began=False)
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unavailable("the upstream cannot be connected to", began=False)
    if isinstance(error, aiohttp.ServerDisconnectedError) and isinstance(error.message, str):
        return Unavailable("the upstream closed the connection without an answer")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return ProtocolError("the upstream's answer is not HTTP")
    if isinstance(error, aiohttp.ClientError | OSError):
        return Unavailable("the connection to the upstream was lost")
    return ProtocolError("the request cannot be put to the upstream")
