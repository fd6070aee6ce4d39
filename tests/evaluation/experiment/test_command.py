"""`chunkguard experiment`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

from proxy.cli import main


def test_it_writes_figures_and_goes_on(tmp_path: Path) -> None:
    command = [
        "experiment",
        "--out",
        str(tmp_path),
        "--prompts",
        "2",
        "--mode",
        "code",
        "--arm",
        "off",
        "--arm",
        "full",
        "--quiet",
    ]
    assert main([*command, "--limit", "3"]) == 0
    assert main(command) == 0
    found = json.loads((tmp_path / "experiment.json").read_text("utf-8"))
    assert found["modes"]["code"]["off"]["n"] == 2
    assert found["missing"] == 0
    assert "McNemar" in (tmp_path / "experiment.md").read_text("utf-8")
    assert main([*command, "--seed", "9"]) == 2


def test_an_unknown_arm_is_refused(tmp_path: Path) -> None:
    assert main(["experiment", "--out", str(tmp_path), "--arm", "magic"]) == 2
