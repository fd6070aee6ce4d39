"""TLS on the listener: real certificates, renewed while it serves."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from proxy.config import build
from proxy.errors import ConfigError
from proxy.tls import read
from tests.proxy.fake_upstream import Wait, event, plain, streamed
from tests.proxy.rig import DANUBE, WEATHER, Rig, rig

ROUTE: dict[str, Any] = {}


def write(ca: trustme.CA, folder: Path) -> trustme.LeafCert:
    issued = ca.issue_cert("127.0.0.1", "localhost")
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    # The key first: whoever reads between the two finds a pair that does not fit, and keeps the old one.
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
    (folder / "cert.pem").write_bytes(chain)
    return issued


def trusting(*authorities: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for authority in authorities:
        authority.configure_trust(context)
    return context


def secured(folder: Path) -> dict[str, Any]:
    (folder / "chunkguard.yaml").touch()
    return {"file": folder / "chunkguard.yaml", "tls": {"cert_file": "cert.pem", "key_file": "key.pem"}}


async def serial(gate: Rig, context: ssl.SSLContext) -> int:
    """The serial number of the certificate that a new connection is shown."""
    from cryptography import x509

    _, writer = await asyncio.open_connection(*gate.app.address, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(shown).serial_number


async def test_clients_that_trust_the_authority_are_served_and_others_are_not(tmp_path: Path) -> None:
    ours, other = trustme.CA(), trustme.CA()
    write(ours, tmp_path)
    async with rig(ROUTE, answers=[plain(DANUBE)], **secured(tmp_path)) as gate:
        url = f"https://{gate.app.address[0]}:{gate.app.address[1]}/v1/chat/completions"
        body = {"model": "m", "messages": [{"role": "user", "content": WEATHER}]}
        async with gate.session.post(url, json=body, ssl=trusting(ours)) as reply:
            assert (reply.status, (await reply.json())["choices"][0]["message"]["content"]) == (200, DANUBE)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await gate.session.post(url, json=body, ssl=trusting(other))
        with pytest.raises(aiohttp.ClientError):
            await gate.session.post(url.replace("https", "http"), json=body)
        # The listener lives on after all that.
        async with gate.session.post(url, json=body, ssl=trusting(ours)) as reply:
            assert reply.status == 200


async def test_old_protocols_are_refused(tmp_path: Path) -> None:
    ours = trustme.CA()
    write(ours, tmp_path)
    async with rig(ROUTE, answers=[plain(DANUBE)], **secured(tmp_path)) as gate:
        old = trusting(ours)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("DEFAULT@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(*gate.app.address, ssl=old)


async def test_a_renewed_certificate_is_shown_without_a_restart_and_open_streams_go_on(tmp_path: Path) -> None:
    ours = trustme.CA()
    write(ours, tmp_path)
    more = asyncio.Event()
    slow = streamed(DANUBE)
    slow = type(slow)([event({"content": "The "}), Wait(more), *slow.steps[1:]], headers=slow.headers)
    context = trusting(ours)
    async with rig(ROUTE, answers=[slow], **secured(tmp_path)) as gate:
        first = await serial(gate, context)
        url = f"https://{gate.app.address[0]}:{gate.app.address[1]}/v1/chat/completions"
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": WEATHER}]}
        async with gate.session.post(url, json=body, ssl=context) as reply:
            await reply.content.readany()
            write(ours, tmp_path)
            # The watch sees the files.
            for _ in range(100):
                if await serial(gate, context) != first:
                    break
                await asyncio.sleep(0.1)
            assert await serial(gate, context) != first
            more.set()
            assert (await reply.read()).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("broken", ["cert.pem", "key.pem"])
async def test_a_certificate_that_cannot_be_used_changes_nothing(tmp_path: Path, broken: str) -> None:
    ours = trustme.CA()
    write(ours, tmp_path)
    context = trusting(ours)
    async with rig(ROUTE, answers=[plain(DANUBE)], **secured(tmp_path)) as gate:
        first = await serial(gate, context)
        (tmp_path / broken).write_bytes(ours.issue_cert("127.0.0.1").private_key_pem.bytes())
        reloaded = await gate.ask_admin("POST", "/-/reload")
        assert reloaded.status == 422
        assert reloaded.doc["problems"][0]["key"] == "tls"
        assert await serial(gate, context) == first


async def test_a_start_without_a_usable_certificate_says_why(tmp_path: Path) -> None:
    data = {
        "upstreams": {"up": {"kind": "openai", "url": "http://127.0.0.1:1"}},
        "routes": [{"name": "r", "upstream": "up"}],
        "tls": {"cert_file": "cert.pem", "key_file": "key.pem"},
    }
    settings = build(data, source="test", folder=tmp_path, env={})
    with pytest.raises(ConfigError, match="certificate or key cannot be used: No such file"):
        await read(settings)
    issued = write(trustme.CA(), tmp_path)
    (tmp_path / "key.pem").write_bytes(trustme.CA().issue_cert("x").private_key_pem.bytes())
    with pytest.raises(ConfigError) as caught:
        await read(settings)
    assert issued.private_key_pem.bytes().decode()[30:60] not in str(caught.value)
