"""The way out: HTTP proxies by setting and environment, and upstreams with certificates of their own."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from proxy.config_model import OpenAISettings
from proxy.errors import Unavailable
from proxy.upstream.openai import OpenAIUpstream
from proxy.upstream.route_out import hop_to
from tests.proxy.upstream.test_openai import post, read

ENVIRONMENT = {"http": "http://plain:1", "https": "http://user:p%40ss@secure:2", "no": "internal.example,.corp"}


@pytest.mark.parametrize(
    ("url", "setting", "proxy"),
    [
        ("https://api.example.com/v1", None, "http://secure:2"),
        ("http://api.example.com/v1", None, "http://plain:1"),
        ("https://internal.example/v1", None, None),
        ("https://a.corp/v1", None, None),
        ("https://127.0.0.1:8443/v1", None, None),
        ("http://localhost:1/v1", None, None),
        ("http://[::1]:1/v1", None, None),
        ("https://api.example.com/v1", "none", None),
        ("https://api.example.com/v1", "http://own:3", "http://own:3"),
        ("http://127.0.0.1:1/v1", "http://own:3", "http://own:3"),
    ],
)
def test_which_proxy_is_taken(url: str, setting: str | None, proxy: str | None) -> None:
    hop = hop_to(url, setting, ENVIRONMENT)
    assert (str(hop.url) if hop else None) == proxy


def test_what_a_proxy_is_shown_leaves_its_url() -> None:
    hop = hop_to("https://api.example.com", None, ENVIRONMENT)
    assert hop is not None
    shown = base64.b64encode(b"user:p@ss").decode()
    assert (str(hop.url), hop.headers) == ("http://secure:2", {"Proxy-Authorization": f"Basic {shown}"})


def test_the_environment_of_the_process_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "b.example")
    hop = hop_to("https://a.example", None)
    assert hop is not None
    assert str(hop.url) == "http://proxy.example:3128"
    assert hop_to("https://b.example", None) is None


@asynccontextmanager
async def serving_tls(ca: trustme.CA) -> AsyncIterator[int]:
    """An upstream with a certificate of this authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=await request.read(), headers={"X-Seen": request.headers.get("Proxy-Authorization", "none")})

    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def tunnelling(heads: list[bytes]) -> AsyncIterator[int]:
    """An HTTP proxy that opens tunnels on loopback, and keeps what it was asked."""
    pipes: set[asyncio.Task[None]] = set()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        port = int(head.split(b" ")[1].rpartition(b":")[2])
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        tasks = [asyncio.create_task(pipe(reader, back)), asyncio.create_task(pipe(there, writer))]
        pipes.update(tasks)
        await asyncio.wait(tasks)

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*pipes)


def make(port: int, folder: Path, **settings: Any) -> OpenAIUpstream:
    own = OpenAISettings.model_validate({"kind": "openai", "url": f"https://127.0.0.1:{port}/v1", **settings})
    return OpenAIUpstream("up", own, folder)


async def test_an_upstream_of_an_own_authority_is_trusted_where_the_file_says_so(tmp_path: Path) -> None:
    ca = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(ca.cert_pem.bytes())
    (tmp_path / "other.pem").write_bytes(trustme.CA().cert_pem.bytes())
    async with serving_tls(ca) as port:
        trusting = make(port, tmp_path, ca_file="ca.pem")
        assert await read(await trusting.open(post())) == post().body
        await trusting.close()
        for settings in ({}, {"ca_file": "other.pem"}):
            strict = make(port, tmp_path, **settings)
            with pytest.raises(Unavailable) as caught:
                await strict.open(post())
            # A certificate that is not trusted will not be trusted the next time; but nothing was sent.
            assert not caught.value.began
            await strict.close()


async def test_certificates_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        make(1, tmp_path, ca_file="missing.pem")


async def test_a_request_goes_through_the_proxy_which_sees_none_of_it(tmp_path: Path) -> None:
    ca, heads = trustme.CA(), list[bytes]()
    (tmp_path / "ca.pem").write_bytes(ca.cert_pem.bytes())
    async with serving_tls(ca) as port, tunnelling(heads) as proxy:
        upstream = make(port, tmp_path, ca_file="ca.pem", proxy=f"http://me:secret@127.0.0.1:{proxy}")
        reply = await upstream.open(post(headers=(("Authorization", "Bearer sk-client"),)))
        assert await read(reply) == post().body
        assert dict(reply.headers)["X-Seen"] == "none"
        await upstream.close()
    assert len(heads) == 1
    assert heads[0].startswith(f"CONNECT 127.0.0.1:{port} ".encode())
    assert base64.b64encode(b"me:secret") in heads[0]
    assert b"sk-client" not in heads[0]


async def test_a_plain_upstream_is_asked_for_through_the_proxy(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    async def proxy(request: web.BaseRequest) -> web.StreamResponse:
        asked.append((request.raw_path, request.headers.get("Proxy-Authorization", "")))
        return web.Response(body=await request.read())

    runner = web.ServerRunner(web.Server(proxy))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    own = {"kind": "openai", "url": "http://model.example/v1", "proxy": f"http://me:secret@127.0.0.1:{runner.addresses[0][1]}"}
    upstream = OpenAIUpstream("up", OpenAISettings.model_validate(own))
    assert await read(await upstream.open(post())) == post().body
    await upstream.close()
    await runner.cleanup()
    shown = base64.b64encode(b"me:secret").decode()
    assert asked == [("http://model.example/v1/chat/completions", f"Basic {shown}")]


async def test_a_proxy_that_is_gone_is_an_upstream_that_is_gone(tmp_path: Path) -> None:
    upstream = make(1, tmp_path, proxy="http://127.0.0.1:1")
    with pytest.raises(Unavailable):
        await upstream.open(post())
    await upstream.close()
