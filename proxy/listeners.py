"""Listening sockets that several workers share.

One rule: an address that somebody else uses is refused, also where the kernel would let us join.
"""

from __future__ import annotations

import socket
from typing import Any

from proxy.server import BACKLOG


def bind(address: str, count: int) -> list[socket.socket]:
    """As many listeners of one address, between which the kernel shares connections. Raises OSError."""
    host, _, port = address.rpartition(":")
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, target = found[0]
    listeners: list[socket.socket] = []
    try:
        _check_free(family, target)
        for _ in range(count):
            listener = socket.socket(family, kind, protocol)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(target)
            listener.listen(BACKLOG)
            target = listener.getsockname()
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _check_free(family: int, target: Any) -> None:
    """SO_REUSEPORT would join another proxy of this user silently. Raises OSError."""
    if not target[1]:
        return
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(target)
