"""The threat model and the tests: every threat names tests that exist, and every file of threats stands in the table."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs" / "threat-model.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.partition("| threat | answer | tests |")[2].partition("##")[0].splitlines()[2:]
    if line.startswith("|")
]


def names_in(file: Path) -> set[str]:
    """The tests of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_the_table_is_read() -> None:
    assert len(ROWS) >= 25
    assert {len(row) for row in ROWS} == {3}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_threat_names_tests_that_exist(row: list[str]) -> None:
    named = re.findall(r"`([^`]+)`", row[2])
    assert named
    for one in named:
        file, _, name = one.partition("::")
        found = names_in(TESTS / file)
        assert found
        assert not name or name in found


def test_every_file_of_threats_stands_in_the_table() -> None:
    own = {f"threats/{file.name}" for file in Path(__file__).parent.glob("test_*.py")} - {"threats/test_table.py"}
    assert {file for file in own if file not in PAGE} == set()
