"""The way out to an upstream: through which HTTP proxy, and which certificates it must show.

One rule: what the environment says (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`) is read once, when the upstream is made, and never
sends a loopback address abroad. `~/.netrc` is not read: it would add credentials that nobody configured.
"""

from __future__ import annotations

import base64
import ipaddress
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from yarl import URL


class Hop(NamedTuple):
    """An HTTP proxy, and what it is shown."""

    url: URL
    headers: dict[str, str]


def hop_to(url: str, setting: str | None, environment: Mapping[str, str] | None = None) -> Hop | None:
    """The proxy on the way to `url`. `setting`: its URL, `none`, or None for what the environment says. `environment`: proxies
    by scheme, and `no`; the process's by default."""
    target = URL(url)
    found = setting
    if setting is None:
        proxies = dict(getproxies_environment() if environment is None else environment)
        found = proxies.get(target.scheme)
        if _is_loopback(target.host or "") or proxy_bypass_environment(target.host or "", proxies):
            found = None
    if not found or found == "none":
        return None
    proxy = URL(found if "://" in found else f"http://{found}")
    headers = {}
    if proxy.user is not None:
        shown = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
        headers["Proxy-Authorization"] = f"Basic {shown}"
    return Hop(proxy.with_user(None), headers)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def trust(file: Path | None) -> ssl.SSLContext | None:
    """What an upstream's certificate is checked against: the file's certificates, None = the system's. Raises OSError."""
    return None if file is None else ssl.create_default_context(cafile=str(file))
