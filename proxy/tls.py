"""TLS on the public listener, with certificates that may be renewed while it serves.

One rule: a certificate that cannot be used changes nothing. A new one is read into a context of its own, off the event loop;
then handshakes that begin take it, by one assignment. Connections that are open keep theirs.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from proxy.config import Settings
from proxy.errors import ConfigError, Problem


class ListenerTLS:
    """What the listener shows. `context` is the same for as long as it listens."""

    def __init__(self) -> None:
        self._current: ssl.SSLContext | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Called for every handshake, also for those that name no server.
        self.context.sni_callback = self._choose

    def swap(self, current: ssl.SSLContext) -> None:
        """Show this one from the next handshake on."""
        self._current = current

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, outer: ssl.SSLContext) -> None:
        assert self._current is not None
        connection.context = self._current


async def read(settings: Settings) -> ssl.SSLContext | None:
    """The context of a configuration's certificate, None where it has none. Raises ConfigError."""
    tls = settings.config.tls
    if tls is None:
        return None
    cert, key = settings.path(tls.cert_file), settings.path(tls.key_file)
    try:
        return await asyncio.to_thread(_context, cert, key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        # The text of OpenSSL names the reason, and nothing of the key.
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "cannot be read"
        raise ConfigError([Problem(settings.source, "tls", f"certificate or key cannot be used: {reason}")]) from None


def _context(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # An empty password: a key that has one is an error, instead of a question on the terminal.
    context.load_cert_chain(cert, key, password="")
    return context
