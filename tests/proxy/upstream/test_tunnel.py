"""The heads of an upgrade: what goes up, what is kept back, and what counts as an answer."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from yarl import URL

from proxy.errors import ProtocolError, Timeout, Unavailable, UpstreamError
from proxy.upstream.base import UpstreamRequest
from proxy.upstream.tunnel import open_tunnel, upgrade_headers

SENT = [
    ("Host", "client"), ("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket"), ("Authorization", "Bearer sk-client"),
    ("Sec-WebSocket-Key", "k"), ("Sec-WebSocket-Protocol", "realtime,OpenAI-Insecure-API-Key.sk-client , other"),
    ("x-chunkguard-x", "1"),
]  # fmt: skip
KEPT = [("Sec-WebSocket-Key", "k"), ("Sec-WebSocket-Protocol", "realtime, other")]
END = [("Upgrade", "websocket"), ("Connection", "Upgrade")]


def test_the_clients_own_upstream_sees_its_credentials() -> None:
    headers = upgrade_headers(UpstreamRequest("GET", "/", SENT), None)
    assert headers == [SENT[3], SENT[4], SENT[5], *END]


def test_every_other_sees_none_of_them() -> None:
    assert upgrade_headers(UpstreamRequest("GET", "/", SENT, credentials=False), None) == [*KEPT, *END]
    keyed = upgrade_headers(UpstreamRequest("GET", "/", SENT), "sk-own")
    assert keyed == [*KEPT, ("Authorization", "Bearer sk-own"), *END]


async def ask(answer: bytes | None, url: str = "http://127.0.0.1:{}/v1/realtime?model=a%20b") -> tuple[bytes, bytes, int]:
    asked: list[bytes] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is not None:
            writer.write(answer)
            writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        target = URL(url.format(server.sockets[0].getsockname()[1]), encoded=True)
        try:
            _, writer, head, status = await open_tunnel(target, "GET", END, connect_s=5, answer_s=2)
            writer.close()
        finally:
            await asyncio.wait_for(ended.wait(), 20)
            await asyncio.sleep(0)
        return asked[0], head, status


async def test_the_head_is_plain_and_the_answer_comes_as_it_was_sent() -> None:
    asked, head, status = await ask(b"HTTP/1.1 101 Odd\r\nX:  1\r\n\r\nbody")
    assert asked.startswith(b"GET /v1/realtime?model=a%20b HTTP/1.1\r\nHost: 127.0.0.1:")
    assert asked.endswith(b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    assert (head, status) == (b"HTTP/1.1 101 Odd\r\nX:  1\r\n\r\n", 101)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"SSH-2.0\r\n\r\n", ProtocolError),
        (b"HTTP/1.1 what\r\n\r\n", ProtocolError),
        (b"HTTP/1.1 101 cut", ProtocolError),
        (b"HTTP/1.1 101 x\r\n" + b"x: y\r\n" * 30_000, ProtocolError),
        (None, Timeout),
    ],
)
async def test_what_is_no_answer_is_an_error(answer: bytes | None, kind: type[UpstreamError]) -> None:
    with pytest.raises(kind):
        await ask(answer)


async def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await open_tunnel(URL("http://127.0.0.1:9/"), "GET", [], connect_s=5, answer_s=5)
