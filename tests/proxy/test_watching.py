"""Changes of files: written, replaced, gone for a moment, and other files than before."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from proxy import watching
from proxy.watching import changes


async def seen(files: list[Path], seconds: float = 1.5) -> int:
    """How many changes there were in a while."""
    count = 0

    async def watch() -> None:
        nonlocal count
        async for _ in changes(lambda: tuple(files)):
            count += 1

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watch(), seconds)
    return count


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "WATCH_S", 0.02)


async def test_a_written_and_a_replaced_file_have_changed(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("a")
    two.write_text("a")
    os.utime(two, ns=(one.stat().st_atime_ns, one.stat().st_mtime_ns))
    watch = asyncio.create_task(seen([one]))
    await asyncio.sleep(0.4)
    two.replace(one)  # as old and as long
    await asyncio.sleep(0.4)
    one.write_text("ab")
    assert await watch == 2


async def test_a_file_that_is_gone_for_a_moment_is_no_change_until_it_is_back(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("a")
    watch = asyncio.create_task(seen([file]))
    await asyncio.sleep(0.4)
    file.unlink()
    await asyncio.sleep(0.4)
    assert not watch.done()
    file.write_text("b")
    assert await watch == 1


async def test_files_may_become_others(tmp_path: Path) -> None:
    files = [tmp_path / "one"]
    for name in ("one", "two"):
        (tmp_path / name).write_text("a")
    watch = asyncio.create_task(seen(files))
    await asyncio.sleep(0.4)
    files[0] = tmp_path / "two"
    await asyncio.sleep(0.4)
    (tmp_path / "two").write_text("ab")
    assert await watch == 1


async def test_nothing_happens_where_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a")
    assert await seen([tmp_path / "one"]) == 0
