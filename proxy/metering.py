"""Reads from a copy what an answer that no policy touches has cost, for keys that have token limits.

One rule: the bytes that pass are not touched and not waited for. What reports no usage is estimated from its size.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

from core.attempt import CHARACTERS_PER_TOKEN, Answer
from core.types import Usage
from proxy.errors import GuardError
from proxy.limiting.limiter import Grant
from proxy.routing import GUARDED, Endpoint
from proxy.upstream.base import Headers, Upstream, UpstreamReply, UpstreamRequest
from proxy.wire.codecs import CODECS
from proxy.wire.encoding import decode

#: Bytes of an answer that are kept to be read; of a longer one its size alone counts.
COPY_BYTES: Final = 1 << 20
#: Of a compressed one, when it is decoded: it is read on the event loop.
DECODED_BYTES: Final = 4 << 20
_TOTAL: Final = re.compile(rb'"total_tokens"\s*:\s*(\d{1,12})')


class Metered:
    """An upstream whose next reply is charged to a grant. Of one request."""

    def __init__(self, upstream: Upstream, endpoint: Endpoint, grant: Grant) -> None:
        self.name = upstream.name
        self._upstream = upstream
        self._endpoint = endpoint
        self._grant = grant

    async def open(self, request: UpstreamRequest) -> UpstreamReply:
        try:
            reply = await self._upstream.open(request)
        except BaseException:
            self._grant.charge(0)
            raise
        return _MeteredReply(reply, self._endpoint, self._grant)

    async def close(self) -> None:
        """The upstream is the route's, which closes it."""


class _MeteredReply:
    """A reply that passes as it is; see `UpstreamReply`. It is charged when it is released."""

    def __init__(self, reply: UpstreamReply, endpoint: Endpoint, grant: Grant) -> None:
        self._reply = reply
        self._endpoint = endpoint
        self._grant = grant
        self._copy: list[bytes] = []
        self._size = 0
        self.status = reply.status
        self.reason = reply.reason
        self.headers: Headers = reply.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._reply.chunks():
            self._keep(chunk)
            yield chunk

    async def read(self) -> bytes:
        body = await self._reply.read()
        self._keep(body)
        return body

    def release(self) -> None:
        self._reply.release()
        self._charge()

    def abort(self) -> None:
        self._reply.abort()
        self._charge()

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= COPY_BYTES:
            self._copy.append(data)

    def _charge(self) -> None:
        if self.status >= 300:
            self._grant.charge(0)
            return
        copy, self._copy = self._copy, []
        self._grant.charge(self._tokens(b"".join(copy)))

    def _tokens(self, copy: bytes) -> int:
        """What the answer has cost. Where it does not say so: what was reserved for the prompt, and the size of the answer."""
        by_size = self._grant.reserved + self._size // CHARACTERS_PER_TOKEN if self._endpoint in GUARDED else 0
        if self._size > COPY_BYTES:
            return by_size
        headers = {name.lower(): value for name, value in self.headers}
        encoding = headers.get("content-encoding", "")
        try:
            body = decode(copy, encoding, max_bytes=DECODED_BYTES) if encoding else copy
        except GuardError:
            return by_size
        if self._endpoint not in GUARDED:
            found = _TOTAL.findall(body[-4096:])
            return int(found[-1]) if found else 0
        usage = read_usage(body, self._endpoint, headers.get("content-type", "").startswith("text/event-stream"))
        if usage.estimated and not usage.prompt_tokens:
            return self._grant.reserved + usage.completion_tokens
        return usage.prompt_tokens + usage.completion_tokens


def read_usage(body: bytes, endpoint: Endpoint, streamed: bool) -> Usage:
    """Usage of a whole body, or of as much as came of it: as reported, else estimated from its text."""
    decoder = CODECS[endpoint].ReplyDecoder(streamed)
    answer = Answer()
    for piece in decoder.feed(body) + decoder.flush():
        answer.read(piece)
    return answer.total_usage()
