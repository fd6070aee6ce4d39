"""What `chunkguard doctor` finds out about upstreams: name, connection, TLS, an answer, and how far the clocks are apart.

One rule: one GET without any key per upstream; whatever status comes back, the upstream is there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from ssl import SSLContext
from typing import Final, NamedTuple

import aiohttp
from yarl import URL

from proxy.config import Settings
from proxy.config_model import OpenAISettings
from proxy.config_rules import is_loopback
from proxy.doctor_finding import BAD, GOOD, POOR, Finding
from proxy.upstream.route_out import hop_to, trust

#: Seconds that clocks may be apart before signatures and certificates suffer.
SKEW_S: Final = 60
PATIENCE_S: Final = 10.0


class _Way(NamedTuple):
    """How an address is reached: what certificates are checked against (True: the system's), and through which proxy."""

    trusted: SSLContext | bool = True
    proxy: URL | None = None
    headers: dict[str, str] | None = None


_DIRECT: Final = _Way()


async def look(settings: Settings) -> list[Finding]:
    """One or more findings an upstream, moderation endpoint and trace receiver, asked side by side."""
    targets: dict[str, str] = {}
    ways: dict[str, _Way] = {}
    findings: list[Finding] = []
    for name, upstream in settings.config.upstreams.items():
        if upstream.kind == "replay":
            findings.append(Finding(f"upstream {name}", GOOD, "answers are recorded, nobody is asked"))
        elif upstream.kind == "embedded":
            findings.append(Finding(f"upstream {name}", GOOD, "the model runs in this process, nobody is asked"))
        elif upstream.kind == "fallback" or upstream.kind == "weighted":
            findings.append(Finding(f"upstream {name}", GOOD, f"stands for {', '.join(upstream.upstreams)}"))
        elif upstream.url is None:
            findings.append(Finding(f"upstream {name}", GOOD, "litellm knows the address of its provider: not asked"))
        else:
            targets[f"upstream {name}"] = upstream.url
            if isinstance(upstream, OpenAISettings):
                ways[f"upstream {name}"] = _way(settings, upstream)
    for route in settings.config.routes:
        if route.moderation is not None:
            targets[f"moderation of route {route.name}"] = route.moderation.url
    if settings.config.tracing is not None:
        targets["tracing"] = settings.config.tracing.endpoint
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        asked = await asyncio.gather(*[_ask(session, about, url, ways.get(about, _DIRECT)) for about, url in targets.items()])
    return [*findings, *[finding for found in asked for finding in found], *await _redis(settings)]


async def _redis(settings: Settings) -> list[Finding]:
    """Whether the store of limits answers. Its URL may hold a password: only host and port are shown."""
    own = settings.config.limit_store
    if own.kind != "redis" or own.url is None:
        return []
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    secret = own.url.get_secret_value()
    shown = f"{URL(secret).host}:{URL(secret).port or 6379}" if not secret.startswith("unix:") else "its socket"
    store = Redis.from_url(secret, socket_connect_timeout=PATIENCE_S, socket_timeout=PATIENCE_S)
    try:
        await store.execute_command("PING")  # type: ignore[no-untyped-call]
    except (RedisError, OSError, TimeoutError) as error:
        told = f"Redis at {shown} does not answer: {type(error).__name__}"
        return [
            Finding("limits of keys", BAD, told, f"is it running, and is the password right? until then: {own.failure_mode}")
        ]
    finally:
        await store.aclose()
    return [Finding("limits of keys", GOOD, f"Redis at {shown} answers")]


def _way(settings: Settings, own: OpenAISettings) -> _Way:
    """As requests to it go. Certificates that cannot be read are a finding of the detectors' warm-up."""
    hop = hop_to(own.url, own.proxy)
    try:
        trusted = trust(settings.path(own.ca_file) if own.ca_file is not None else None)
    except OSError:
        trusted = None
    return _Way(True if trusted is None else trusted, hop.url if hop else None, hop.headers if hop else None)


async def _ask(session: aiohttp.ClientSession, about: str, url: str, way: _Way) -> list[Finding]:
    began = time.perf_counter()
    try:
        async with session.get(
            url, allow_redirects=False, ssl=way.trusted, proxy=way.proxy, proxy_headers=way.headers
        ) as answer:
            took = time.perf_counter() - began
            found = [Finding(about, GOOD, f"{url} answers ({answer.status}) after {took * 1000:.0f} ms")]
            return [*found, *_skew(about, answer.headers), *_plain(about, url)]
    except aiohttp.ClientConnectorDNSError:
        return [
            Finding(about, BAD, f"{url}: the name is not known here", "check the spelling, and the name server of this host")
        ]
    except aiohttp.ClientConnectorCertificateError as error:
        return [
            Finding(
                about,
                BAD,
                f"{url}: its certificate is refused: {error.certificate_error}",
                "give the CA that signed it, or check the clock",
            )
        ]
    except aiohttp.ClientSSLError as error:
        return [Finding(about, BAD, f"{url}: TLS fails: {error}", "is it an http:// address?")]
    except TimeoutError:
        return [
            Finding(
                about,
                BAD,
                f"{url} does not answer within {PATIENCE_S:.0f} s",
                "a firewall or a proxy on the way? try the same from the host with curl",
            )
        ]
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return [Finding(about, BAD, f"{url} cannot be reached: {_words(error)}", "is it running, and is the port right?")]


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _skew(about: str, headers: Mapping[str, str]) -> list[Finding]:
    try:
        apart = time.time() - parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return []
    if abs(apart) <= SKEW_S:
        return []
    way = "ahead of" if apart > 0 else "behind"
    return [Finding("clock", POOR, f"this host's clock is {abs(apart):.0f} s {way} that of {about}", "keep it with NTP")]


def _plain(about: str, url: str) -> list[Finding]:
    if not url.startswith("http://") or is_loopback(url.removeprefix("http://").split("/")[0].rpartition(":")[0] + ":0"):
        return []
    return [Finding(about, POOR, f"{url} is not encrypted: prompts and keys can be read on the way", "use https://")]
