"""Listeners that workers share."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from proxy.listeners import bind


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
def test_all_listen_on_one_address(address: str) -> None:
    with ExitStack() as stack:
        made = [stack.enter_context(listener) for listener in bind(address, 3)]
        (port,) = {listener.getsockname()[1] for listener in made}
        with socket.create_connection((address.rpartition(":")[0].strip("[]"), port)):
            pass


def test_a_port_of_another_proxy_is_refused() -> None:
    with ExitStack() as stack:
        (first,) = [stack.enter_context(listener) for listener in bind("127.0.0.1:0", 1)]
        with pytest.raises(OSError, match="in use"):
            bind(f"127.0.0.1:{first.getsockname()[1]}", 2)
