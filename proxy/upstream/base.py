"""The seam between the gateway and whatever answers: one request in, a head and raw body bytes out.

One rule: an upstream hands over the bytes as they came - not decompressed, not re-chunked, no redirect followed - and says
every failure as an `UpstreamError`: Unavailable (no connection, or lost before the head), Timeout, ProtocolError (bad framing,
cut body). An error status is a reply, not an error.
"""

from __future__ import annotations

import re
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Container, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import orjson

from core.values import frozen
from proxy.errors import NotFound
from proxy.wire import jsonbytes

Headers = list[tuple[str, str]]
Body = bytes | AsyncIterator[bytes] | None

#: What tells an upstream who the client is; it goes to the route's primary upstream only.
CREDENTIALS = frozenset({
    "api-key", "authorization", "cookie", "ocp-apim-subscription-key", "openai-organization", "openai-project",
    "x-amz-security-token", "x-api-key", "x-goog-api-key",
})  # fmt: skip
#: What describes exactly the bytes of a body, and is wrong of any others.
OF_BYTES = frozenset({"content-digest", "content-encoding", "content-length", "content-md5", "digest", "etag"})
#: Of one connection, not of the message (RFC 9110, 7.6.1).
HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info", "proxy-authorization", "proxy-connection",
    "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip

#: The connection to the upstream has its own host and its own 100-continue; a body in hand has its own length.
_OURS = frozenset({"host", "expect"})
_OURS_IN_HAND = _OURS | {"content-length"}


@frozen
class UpstreamRequest:
    """What to ask. `path`: after the route's prefix, with its query exactly as sent. `headers`: as the client sent them.

    `body`: bytes, or an iterator for a body that is streamed through, or None. `timeout_s`: instead of the configured total.
    `credentials`: whether the client's may go along (the route's own upstream, and no client keys of ours). `rerunnable`:
    running it twice does no harm but cost: no hosted tools, nothing that is stored."""

    method: str
    path: str
    headers: Sequence[tuple[str, str]]
    body: Body = None
    timeout_s: float | None = None
    credentials: bool = True
    rerunnable: bool = False


class Whole:
    """Mixin: `read` by way of `chunks`."""

    def chunks(self) -> AsyncIterator[bytes]:
        raise NotImplementedError

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])


class UpstreamReply(Protocol):
    """A reply whose head has arrived. End it with `release` or `abort`, whatever happens; both may be called twice."""

    @property
    def status(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def headers(self) -> Headers:
        """End-to-end headers, in order, as sent; Content-Length among them where the upstream gave one."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The raw body as it arrives; iterate once. Raises Timeout and ProtocolError."""
        ...

    async def read(self) -> bytes:
        """The raw body as a whole, in place of `chunks`."""
        ...

    def release(self) -> None:
        """Done: keeps the connection for others if the body was read to its end, else closes it."""
        ...

    def abort(self) -> None:
        """Closes the connection now, so that the upstream stops generating."""
        ...


class Upstream(Protocol):
    """Something that answers requests."""

    @property
    def name(self) -> str: ...

    async def open(self, request: UpstreamRequest) -> UpstreamReply:
        """Send a request and wait for the reply's head. Raises UpstreamError; cancelling it closes the connection."""
        ...

    async def close(self) -> None:
        """Give all connections back. No request may be under way."""
        ...


@runtime_checkable
class Upgradable(Protocol):
    """An upstream that can pass a connection on which HTTP is left."""

    async def upgrade(self, request: UpstreamRequest) -> tuple[StreamReader, StreamWriter, bytes, int]:
        """Ask for the upgrade; gives the connection, the head of the answer as it came, and its status; a connection whose
        status is not 101 ends behind the answer. Close the writer. Raises UpstreamError."""
        ...


async def upgraded(upstream: Upstream, request: UpstreamRequest) -> tuple[StreamReader, StreamWriter, bytes, int]:
    """As `Upgradable.upgrade`, of any upstream. Raises NotFound where it speaks nothing but HTTP."""
    if not isinstance(upstream, Upgradable):
        raise NotFound("this upstream takes no other protocol than HTTP")
    return await upstream.upgrade(request)


def for_member(request: UpstreamRequest, place: int) -> UpstreamRequest:
    """A request as the member at this place of a group may see it: the client's credentials are the first one's alone."""
    return request if place == 0 or not request.credentials else replace(request, credentials=False)


def without(headers: Sequence[tuple[str, str]], names: Container[str]) -> Headers:
    """The headers but those of `names` (lower case)."""
    return [header for header in headers if header[0].lower() not in names]


def end_to_end(headers: Sequence[tuple[str, str]]) -> Headers:
    """The headers without those of the connection, and without what `Connection` names as its own (RFC 9110, 7.6.1)."""
    dropped: set[str] | frozenset[str] = HOP_BY_HOP
    for name, value in headers:
        if len(name) == 10 and name.lower() == "connection":
            dropped = dropped | {token.strip().lower() for token in value.split(",")}
    return without(headers, dropped)


def request_headers(request: UpstreamRequest, *, drop_credentials: bool) -> Headers:
    """What of the client's headers goes to an upstream: end to end, no `x-chunkguard-*`, credentials only where they may."""
    dropped = _OURS_IN_HAND if isinstance(request.body, bytes) or request.body is None else _OURS
    if drop_credentials or not request.credentials:
        dropped = dropped | CREDENTIALS
    return [
        header
        for header in end_to_end(request.headers)
        if (lowered := header[0].lower()) not in dropped and not lowered.startswith("x-chunkguard-")
    ]


def rename_model(body: Body, models: Mapping[str, str]) -> Body:
    """A JSON body with its model renamed by the table. Only those bytes change where they can be told apart."""
    if not models or not isinstance(body, bytes):
        return body
    try:
        doc = jsonbytes.load_exact(body)
    except ValueError:
        return body
    model = doc.get("model") if isinstance(doc, dict) else None
    if not isinstance(model, str) or model not in models:
        return body
    new = orjson.dumps(models[model])
    found = list(re.finditer(rb'"model"\s*:\s*' + re.escape(orjson.dumps(model)), body))
    if len(found) == 1:
        end = found[0].end()
        return body[: end - len(orjson.dumps(model))] + new + body[end:]
    return jsonbytes.dump({**doc, "model": models[model]})
