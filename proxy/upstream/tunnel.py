"""A bare connection to an upstream for an upgrade: the request's head goes up, the answer's head comes back as it was sent.

One rule: the client's credentials are kept back here as everywhere; a browser hides its key among the subprotocols.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from typing import Final

from yarl import URL

from proxy.errors import ProtocolError, Timeout, Unavailable
from proxy.upstream.base import Headers, UpstreamRequest, request_headers

_MAX_HEAD: Final = 65_536
#: Browsers cannot set headers on a WebSocket, so OpenAI takes these as subprotocols.
_SECRET_PROTOCOLS: Final = ("openai-insecure-api-key.", "openai-organization.", "openai-project.")


def upgrade_headers(request: UpstreamRequest, api_key: str | None) -> Headers:
    """The headers of an upgrade as the upstream may see them; `api_key` replaces the client's credentials."""
    theirs = api_key is not None or not request.credentials
    headers = request_headers(request, drop_credentials=theirs)
    if theirs:
        headers = [
            (name, _without_secrets(value) if name.lower() == "sec-websocket-protocol" else value) for name, value in headers
        ]
    kept = [(name, value) for name, value in request.headers if name.lower() == "upgrade"]
    key = [("Authorization", f"Bearer {api_key}")] if api_key is not None else []
    return [*headers, *key, *kept, ("Connection", "Upgrade")]


async def open_tunnel(
    url: URL, method: str, headers: Headers, *, trusted: ssl.SSLContext | None = None, connect_s: float, answer_s: float
) -> tuple[StreamReader, StreamWriter, bytes, int]:
    """As `Upgradable.upgrade`. `trusted`: what certificates are checked against, None = the system's. `connect_s`: seconds for
    the connection; `answer_s`: for the head of the answer behind it."""
    secure = (trusted or ssl.create_default_context()) if url.scheme == "https" else None
    assert url.host is not None
    try:
        async with asyncio.timeout(connect_s):
            reader, writer = await asyncio.open_connection(url.host, url.port, ssl=secure, limit=_MAX_HEAD)
    except TimeoutError:
        raise Timeout("no connection to the upstream in time") from None
    except OSError as error:
        raise Unavailable("the upstream cannot be connected to") from error
    try:
        async with asyncio.timeout(answer_s):
            writer.write(_head(url, method, headers))
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            return reader, writer, head, _status(head)
    except TimeoutError:
        writer.close()
        raise Timeout("the upstream sent no answer in time") from None
    except (OSError, EOFError, asyncio.LimitOverrunError, ValueError) as error:
        writer.close()
        raise ProtocolError("the upstream's answer is not HTTP") from error
    except BaseException:
        writer.close()
        raise


def _head(url: URL, method: str, headers: Sequence[tuple[str, str]]) -> bytes:
    host = url.host_subcomponent if url.is_default_port() else f"{url.host_subcomponent}:{url.port}"
    lines = [f"{method} {url.raw_path_qs} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def _status(head: bytes) -> int:
    version, _, rest = head.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise ValueError("no HTTP")
    return int(rest[:3])


def _without_secrets(value: str) -> str:
    offered = [token.strip() for token in value.split(",")]
    return ", ".join(token for token in offered if not token.lower().startswith(_SECRET_PROTOCOLS))
