"""`chunkguard audit`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.cli import main


def test_an_audit_of_the_organism_is_written_and_goes_on(tmp_path: Path) -> None:
    command = ["audit", "--embedded", "--out", str(tmp_path), "--quiet", "--mode", "fiction", "--model", "clean"]
    assert main([*command, "--calls", "20"]) in (0, 1)
    first = json.loads((tmp_path / "audit.json").read_text("utf-8"))["calls"]
    assert first >= 20
    assert main([*command, "--calls", str(first + 10)]) in (0, 1)
    assert json.loads((tmp_path / "audit.json").read_text("utf-8"))["calls"] > first
    assert main([*command, "--calls", "20", "--seed", "5"]) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        ["--upstream", "http://127.0.0.1:9/v1"],
        ["--embedded", "--model", "huge"],
        ["--upstream", "http://127.0.0.1:9/v1", "--model", "m", "--key-env", "NOT_SET_ANYWHERE"],
    ],
)
def test_what_cannot_be_asked_is_said(tmp_path: Path, wrong: list[str]) -> None:
    assert main(["audit", "--out", str(tmp_path), *wrong]) == 2
    assert list(tmp_path.iterdir()) == []
