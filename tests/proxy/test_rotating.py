"""A file of lines: put aside by size and age, and a full disk costs lines and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from proxy import rotating
from proxy.rotating import RotatingFile


class Lost:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, count: int) -> None:
        self.count += count


def opened(file: Path, lost: Lost, **fields: float) -> RotatingFile:
    given = {"max_bytes": 1 << 20, "max_age_s": 1e9, "keep": 3, **fields}
    return RotatingFile(
        file, max_bytes=int(given["max_bytes"]), max_age_s=given["max_age_s"], keep=int(given["keep"]), on_lost=lost
    )


def test_lines_are_written_in_order_and_added_to_what_is_there(tmp_path: Path) -> None:
    file, lost = tmp_path / "d.jsonl", Lost()
    for start in (0, 500):
        log = opened(file, lost)
        for number in range(start, start + 500):
            log.offer(b"%d\n" % number)
        log.close()
    assert file.read_bytes().split() == [b"%d" % number for number in range(1000)]
    assert (lost.count, file.stat().st_mode & 0o777) == (0, 0o600)


def test_a_full_file_is_put_aside_and_only_some_are_kept(tmp_path: Path) -> None:
    file, lost = tmp_path / "d.jsonl", Lost()
    log = opened(file, lost, max_bytes=100, keep=2)
    for number in range(95):
        log.offer(b"line %04d\n" % number)  # ten bytes: ten lines a file
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.jsonl", "d.jsonl.1", "d.jsonl.2"]
    kept = b"".join((tmp_path / name).read_bytes() for name in ("d.jsonl.2", "d.jsonl.1", "d.jsonl"))
    assert kept.split(b"\n")[:-1] == [b"line %04d" % number for number in range(70, 95)]
    assert lost.count == 0


def test_an_old_file_is_put_aside(tmp_path: Path) -> None:
    file = tmp_path / "d.jsonl"
    log = opened(file, Lost(), max_age_s=0.05)
    log.offer(b"old\n")
    deadline = time.monotonic() + 10
    while not file.exists() or not file.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(0.1)
    log.offer(b"new\n")
    log.close()
    assert ((tmp_path / "d.jsonl.1").read_bytes(), file.read_bytes()) == (b"old\n", b"new\n")


def test_with_nothing_kept_the_old_lines_go(tmp_path: Path) -> None:
    log = opened(tmp_path / "d.jsonl", Lost(), max_bytes=10, keep=0)
    for number in range(5):
        log.offer(b"line %04d\n" % number)
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["d.jsonl"]
    assert (tmp_path / "d.jsonl").read_bytes() == b"line 0004\n"


def test_a_folder_that_comes_back_is_written_to_again(tmp_path: Path) -> None:
    file, lost = tmp_path / "gone" / "d.jsonl", Lost()
    log = opened(file, lost)
    log.offer(b"lost\n")
    deadline = time.monotonic() + 10
    while not lost.count:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    file.parent.mkdir()
    log.offer(b"kept\n")
    log.close()
    assert (file.read_bytes(), lost.count) == (b"kept\n", 1)


def test_on_a_full_disk_every_line_is_whole_or_lost(tmp_path: Path) -> None:
    """A real limit of the kernel: a write beyond it is cut short, the next fails."""
    code = (
        "import resource, signal, sys, pathlib\n"
        "from proxy.rotating import RotatingFile\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1005, 1005))\n"
        "lost = []\n"
        "log = RotatingFile(pathlib.Path(sys.argv[1]), max_bytes=10**9, max_age_s=1e9, keep=1, on_lost=lost.append)\n"
        "for n in range(150): log.offer(b'line %04d\\n' % n)\n"
        "log.close(); print(sum(lost))"
    )
    file = tmp_path / "d.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True, env=os.environ, timeout=30
    )
    assert file.read_bytes() == b"".join(b"line %04d\n" % number for number in range(100))
    assert done.stdout.strip() == "50"


def test_a_disk_that_hangs_never_holds_up_a_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotating, "QUEUE_LINES", 10)
    wait, write = threading.Event(), os.write

    def hang(out: int, data: bytes) -> int:
        wait.wait(20)
        return write(out, data)

    monkeypatch.setattr(rotating.os, "write", hang)
    lost = Lost()
    log = opened(tmp_path / "d.jsonl", lost)
    began = time.perf_counter()
    for number in range(5000):
        log.offer(b"%d\n" % number)
    assert time.perf_counter() - began < 5
    wait.set()
    log.close()
    assert lost.count >= 5000 - 10 - rotating.BATCH
    assert len((tmp_path / "d.jsonl").read_bytes().split()) == 5000 - lost.count
