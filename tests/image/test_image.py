"""The container image, built from the shipped Dockerfile without a network, and run as an orchestrator would: not root, nothing
writable but /tmp.

One rule: no step of the Dockerfile is repeated here. What is built and what is run is read from it and from the image. There is
no engine and no registry: Debian's buildah builds, a Debian of debootstrap stands in for the official Python image.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system.programs import free_port, program

pytestmark = [pytest.mark.image, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parent.parent.parent
BASE = "localhost/chunkguard-base"
IMAGE = "localhost/chunkguard-test"
ENV = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}


def run(*command: str | Path, **options: Any) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=ENV, check=False, **options)
    assert done.returncode == 0, f"{shlex.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout.strip()


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image of Debian's own Python under the names that the official image gives it."""
    root = tmp_path_factory.mktemp("base") / "root"
    packages = "python3,python3-venv,ca-certificates"
    run(program("debootstrap"), "--variant=minbase", f"--include={packages}", "bookworm", root, "http://deb.debian.org/debian")
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    made = run("buildah", "from", "scratch")
    run("buildah", "copy", "-q", made, root, "/")
    run("buildah", "config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", made)
    run("buildah", "commit", "-q", "--rm", made, BASE)
    return BASE


@pytest.fixture(scope="session")
def image(base: str) -> Iterator[dict[str, Any]]:
    """The configuration of the image, which was built with no network at all."""
    wheels = ROOT / "build" / "wheels"
    assert any(wheels.glob("*.whl")), "run `make test-image`, which fetches the wheels"
    arguments = ["--build-context", f"wheels={wheels}", "--build-arg", "PIP_NO_INDEX=1", "--build-arg", f"PYTHON_IMAGE={base}"]
    command = ["unshare", "-n", "buildah", "bud", "--format", "docker", "--isolation", "chroot", *arguments]
    run(*command, "-t", IMAGE, "-f", ROOT / "deploy" / "Dockerfile", ROOT)
    try:
        config: dict[str, Any] = json.loads(run("buildah", "inspect", "--type", "image", IMAGE))["Docker"]["config"]
        yield config
    finally:
        subprocess.run(["buildah", "rmi", "-f", IMAGE, BASE], capture_output=True, env=ENV, check=False)


@contextmanager
def container(config: dict[str, Any], settings: str, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A process in the image: its user, its environment, a read-only root, a fresh /tmp, and the configuration file."""
    made = run("buildah", "from", IMAGE)
    root = Path(run("buildah", "mount", made))
    (root / "etc/chunkguard").mkdir()
    (root / "etc/chunkguard/chunkguard.yaml").write_text(settings, encoding="utf-8")
    inside = ["chroot", f"--userspec={config['User']}", str(root), "env", "-i", *config["Env"], "ADMIN_KEY=a-key", *command]
    script = (
        f"mount --bind {root} {root} && mount -t proc proc {root}/proc && mount -t tmpfs tmpfs {root}/tmp"
        f" && mount -o remount,ro,bind {root} && exec {shlex.join(inside)}"
    )
    process = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENV
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        run("buildah", "rm", made)


def settings_of(port: int, admin_port: int) -> str:
    return json.dumps({
        "listen": f"127.0.0.1:{port}",
        "admin": f"127.0.0.1:{admin_port}",
        "workers": 2,
        "upstreams": {"nobody": {"kind": "openai", "url": "http://127.0.0.1:9/v1"}},
        "routes": [{"name": "r", "upstream": "nobody", "policies": ["rebuttal", "code"]}],
    })  # fmt: skip


def test_the_image_serves_without_root_on_a_read_only_root(image: dict[str, Any]) -> None:
    port, admin_port = free_port(), free_port()
    with container(image, settings_of(port, admin_port), *image["Entrypoint"], *image["Cmd"]) as process:
        end = time.monotonic() + 120
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{admin_port}/-/ready").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < end
            time.sleep(0.1)
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        assert "Uid:\t10001\t10001" in status
        row = {"prompt": "Is 5+8=13?", "response": "No, 5+8=13 is incorrect. 5+8=13 is right."}
        verdict = httpx.post(f"http://127.0.0.1:{port}/v1/guard/check", json=row, timeout=30)
        assert (verdict.status_code, verdict.json()["verdict"]) == (200, "misrouted")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def test_nothing_of_the_image_can_be_written_and_no_installer_is_left(image: dict[str, Any]) -> None:
    code = (
        "import importlib.util as u, os, pathlib, sys\n"
        "def can(path):\n"
        "    try: pathlib.Path(path).write_text('x'); return True\n"
        "    except OSError: return False\n"
        "print([p for p in ('/x', '/opt/chunkguard/x', '/etc/x', '/var/tmp/x', '/tmp/x') if can(p)],\n"
        "      [m for m in ('pip', 'setuptools', 'pytest', 'hatchling') if u.find_spec(m)], os.getuid())"
    )
    with container(image, "", "python", "-c", code) as process:
        output, _ = process.communicate(timeout=60)
    assert output.strip() == "['/tmp/x'] [] 10001"


def test_the_health_check_of_the_image_tells_life_from_death(image: dict[str, Any]) -> None:
    kind, *command = image["Healthcheck"]["Test"]
    assert (kind, command[0]) == ("CMD", "python")
    own = [sys.executable, *command[1:]]
    port = int("".join(filter(str.isdigit, command[-1].rpartition(":")[2].partition("/")[0])))
    assert f"{port}/tcp" in image["ExposedPorts"]
    assert subprocess.run(own, capture_output=True, check=False).returncode != 0
    with container(image, settings_of(free_port(), port), *image["Entrypoint"], *image["Cmd"]) as process:
        end = time.monotonic() + 120
        while subprocess.run(own, capture_output=True, check=False).returncode:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.2)
