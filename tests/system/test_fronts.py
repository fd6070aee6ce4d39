"""The proxy behind Debian's nginx and behind Envoy with the files we ship: streams stay streams, and bytes stay the same.

One rule: the shipped files are used as they are, only their ports are replaced.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from tests.system.programs import DENIED, SLOW, Gateway, free_port, program, running

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

DEPLOY = Path(__file__).resolve().parent.parent.parent / "deploy"


def nginx(gateway: Gateway, port: int, folder: Path) -> list[str]:
    """The command that serves the shipped site; what it says of its own file comes first."""
    shipped = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    site = shipped.replace("127.0.0.1:8800", f"127.0.0.1:{gateway.port}").replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    assert str(port) in site
    assert str(gateway.port) in site
    temporary = "".join(f"{name}_temp_path {folder / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off;\nworker_processes 1;\npid {folder / 'pid'};\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{site}\n}}\n",
        encoding="utf-8",
    )
    command = [program("nginx"), "-p", str(folder), "-c", str(file)]
    done = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return command


def envoy(gateway: Gateway, port: int, folder: Path) -> list[str]:
    shipped = (DEPLOY / "envoy.yaml").read_text(encoding="utf-8")
    site = shipped.replace("port_value: 8800", f"port_value: {gateway.port}").replace("port_value: 8080", f"port_value: {port}")
    assert str(port) in site
    assert str(gateway.port) in site
    file = folder / "envoy.yaml"
    file.write_text(site, encoding="utf-8")
    command = [program("envoy"), "-c", str(file)]
    done = subprocess.run([*command, "--mode", "validate"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [*command, "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]


@pytest.fixture(scope="module", params=[nginx, envoy], ids=["nginx", "envoy"])
def edge(request: pytest.FixtureRequest, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a front before the proxy."""
    folder = tmp_path_factory.mktemp("front")
    port = free_port()
    with running(request.param(gateway, port, folder), folder / "front.log", port):
        yield f"http://127.0.0.1:{port}"


def body(prompt: str, *, stream: bool) -> dict[str, object]:
    return {"model": "recorded", "stream": stream, "messages": [{"role": "user", "content": prompt}]}


@pytest.mark.parametrize("stream", [False, True])
def test_answers_are_put_right_behind_a_front(edge: str, stream: bool) -> None:
    client = OpenAI(base_url=f"{edge}/v1", api_key="none", max_retries=0)
    if stream:
        chunks = client.chat.completions.create(model="recorded", messages=[{"role": "user", "content": DENIED}], stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    else:
        reply = client.chat.completions.create(model="recorded", messages=[{"role": "user", "content": DENIED}])
        text = reply.choices[0].message.content or ""
    assert text == "Yes, 4+7=11 is correct."


def test_a_stream_is_not_buffered_behind_a_front(edge: str) -> None:
    arrivals = []
    with httpx.stream("POST", f"{edge}/untouched/v1/chat/completions", json=body(SLOW, stream=True), timeout=30) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        arrivals = [time.monotonic() for _ in reply.iter_raw()]
    # Eight deltas, 100 ms apart: buffered, they would arrive together.
    assert arrivals[-1] - arrivals[0] > 0.4


@pytest.mark.parametrize("stream", [False, True])
def test_the_front_and_the_guard_keep_the_bytes(gateway: Gateway, edge: str, stream: bool) -> None:
    paths = (f"{gateway.url}/untouched", gateway.url, f"{edge}/untouched", edge)
    bodies = [
        httpx.post(f"{base}/v1/chat/completions", json=body("Name a colour.", stream=stream), timeout=30).content
        for base in paths
    ]
    assert len(set(bodies)) == 1
    assert b"Blue." in bodies[0]


def test_a_front_does_not_reach_the_admin_listener(edge: str) -> None:
    assert httpx.get(f"{edge}/metrics").status_code == 404
    assert httpx.get(f"{edge}/-/ready").status_code == 404
