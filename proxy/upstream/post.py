"""One POST whose body is in hand, on a pooled connection: written in one piece, its answer taken from the parser.

One rule: what goes over the wire, and what a failure is, are as with aiohttp's own session, whose connections, parser and
timer these are. Left out is what a gateway has no use for - redirects, cookies, proxies, a task that writes the body -
which is a third of what a request through the bare session costs.
"""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.helpers import TimeoutHandle
from aiohttp.http import HttpProcessingError, StreamWriter
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

#: Bytes of a body that a socket takes at once, so that nothing is left to be written when the answer has ended.
WRITTEN_AT_ONCE = 65_536


class Posted:
    """A reply whose head has arrived: what of `aiohttp.ClientResponse` a forwarder uses."""

    __slots__ = ("_connection", "content", "headers", "reason", "status")

    def __init__(
        self,
        connection: aiohttp.connector.Connection,
        status: int,
        reason: str,
        headers: CIMultiDictProxy[str],
        content: aiohttp.StreamReader,
    ) -> None:
        self._connection = connection
        self.status = status
        self.reason = reason
        self.headers = headers
        self.content = content
        content.on_eof(connection.release)

    def release(self) -> None:
        """Give the connection back. It was already, if the body was read to its end."""
        self._connection.release()

    def close(self) -> None:
        """Break the connection off, unless it was given back."""
        self._connection.close()


class Poster:
    """Sends POST requests to one origin."""

    def __init__(self, session: aiohttp.ClientSession, base: URL, max_field: int) -> None:
        """`base`: any URL of the origin. `session`: of its connector and loop. `max_field`: bytes of a header line at most."""
        connector = session.connector
        assert connector is not None
        self._connector = connector
        self._loop = asyncio.get_running_loop()
        self._max_field = max_field
        # What the connector asks about a request is the same of all: where it goes.
        self._place = ClientRequest("POST", base, loop=self._loop, session=session)
        self._host = self._place.headers["Host"]
        self._authority = base.raw_authority

    def takes(self, method: str, url: URL, size: int) -> bool:
        """Whether `post` may send this request, with a body of `size` bytes."""
        return method == "POST" and size <= WRITTEN_AT_ONCE and url.raw_authority == self._authority

    async def post(self, target: str, headers: CIMultiDict[str], body: bytes, limit: aiohttp.ClientTimeout) -> Posted:
        """Send `body` to `target` (path and query). Raises aiohttp.ClientError, OSError, TimeoutError as the session does."""
        limiter = TimeoutHandle(self._loop, limit.total, ceil_threshold=limit.ceil_threshold)
        handle = limiter.start()
        try:
            timer = limiter.timer()
            with timer:
                connection = await self._connect(limit)
                if handle is not None:
                    connection.add_callback(handle.cancel)
                try:
                    protocol = connection.protocol
                    assert protocol is not None
                    protocol.set_response_params(
                        timer=timer,
                        read_until_eof=True,
                        auto_decompress=False,
                        timeout_ceil_threshold=limit.ceil_threshold,
                        max_line_size=self._max_field,
                        max_field_size=self._max_field,
                    )
                    writer = StreamWriter(protocol, self._loop)
                    await writer.write_headers(f"POST {target} HTTP/1.1", self._head(headers, body))
                    await writer.write(body, drain=False)
                    message, content = await protocol.read()
                    while 100 <= message.code < 200 and message.code != 101:
                        message, content = await protocol.read()
                except HttpProcessingError as error:
                    connection.close()
                    raise aiohttp.ClientPayloadError(error.message) from error
                except BaseException:
                    connection.close()
                    raise
        except BaseException:
            if handle is not None:
                handle.cancel()
            raise
        return Posted(connection, message.code, message.reason, message.headers, content)

    async def _connect(self, limit: aiohttp.ClientTimeout) -> aiohttp.connector.Connection:
        try:
            return await self._connector.connect(self._place, [], limit)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError("no connection in time") from error

    def _head(self, headers: CIMultiDict[str], body: bytes) -> CIMultiDict[str]:
        head: CIMultiDict[str] = CIMultiDict(Host=self._host)
        head.extend(headers)
        head["Content-Length"] = str(len(body))
        return head
