"""The guard around all tests works."""

from __future__ import annotations

import socket

import pytest


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_a_test_cannot_leave_the_machine(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setblocking(False)
        with pytest.raises(PermissionError, match="tried to connect"):
            probe.connect((host, 9))
        with pytest.raises(PermissionError, match="tried to connect"):
            probe.connect_ex((host, 9))


def test_loopback_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
