"""The proxy that the system tests share: a real process before a replay upstream.

One rule: it is started as a user starts it, by the command and a file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.programs import EXCHANGES, Gateway, free_port, running, wait_for_port


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Its files import what only `make test-system` installs."""
    return True if "not system" in config.option.markexpr else None


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """`chunkguard serve` with the shipped rebuttal policy, and an untouched route under /untouched."""
    folder = tmp_path_factory.mktemp("gateway")
    port, admin_port = free_port(), free_port()
    exchanges = "".join(json.dumps(exchange) + "\n" for exchange in EXCHANGES)
    (folder / "exchanges.jsonl").write_text(exchanges, encoding="utf-8")
    settings = {
        "listen": f"127.0.0.1:{port}",
        "admin": f"127.0.0.1:{admin_port}",
        "upstreams": {"recorded": {"kind": "replay", "file": "exchanges.jsonl"}},
        "routes": [
            {"name": "untouched", "match": {"path_prefix": "/untouched"}, "upstream": "recorded"},
            {"name": "guarded", "upstream": "recorded", "policies": ["rebuttal"]},
        ],
        "limits": {"holdout": 0},
    }
    file = folder / "chunkguard.yaml"
    file.write_text(json.dumps(settings), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("chunkguard")), "serve", "--config", str(file)]
    with running(command, folder / "gateway.log", port) as process:
        wait_for_port(admin_port, process, folder / "gateway.log")
        yield Gateway(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}", port, admin_port)
