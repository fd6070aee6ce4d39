"""The options of `chunkguard attribute`: what cannot be meant is refused, and what is missing is named with its extra."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from proxy import cli, cli_attribute


@pytest.mark.parametrize(
    "options",
    [["--q", "0"], ["--rate", "1.5"], ["--lift", "nan"], ["--support", "many"], ["--links", "-1"], ["--target", "inf"]],
)
def test_what_cannot_be_meant_is_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["attribute", "x.jsonl", "--out", "y", *options])


def test_a_missing_package_is_named_with_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(cli_attribute, "find_spec", lambda name: None if name == "polars" else importlib.util.find_spec(name))
    assert cli.main(["attribute", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "needs polars: install chunkguard with the extra 'attribute'" in capsys.readouterr().err


def test_a_missing_file_is_said_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["attribute", str(tmp_path / "gone.jsonl"), "--out", str(tmp_path / "out")]) == 2
    assert "gone.jsonl" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
