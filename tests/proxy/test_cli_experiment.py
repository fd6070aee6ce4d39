"""`chunkguard experiment`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.cli import main


def test_the_organism_needs_nothing(tmp_path: Path) -> None:
    command = ["experiment", "--out", str(tmp_path), "--prompts", "1", "--mode", "code", "--arm", "off", "--quiet"]
    assert main([*command, "--half", "tuning", "--samples", "2", "--limit", "3"]) == 0
    found = json.loads((tmp_path / "experiment.json").read_text("utf-8"))
    assert (found["settings"]["half"], found["settings"]["judged_by"]) == ("tuning", "oracle")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--arm", "magic"], "there is no arm 'magic'"),
        (["--upstream", "http://127.0.0.1:9/v1", "--model", "m"], "needs --model and --data"),
        (["--upstream", "http://127.0.0.1:9/v1", "--data", "x.jsonl"], "needs --model and --data"),
        (["--config", "guard.yaml"], "need --upstream"),
        (["--key-env", "KEY"], "need --upstream"),
        (["--upstream", "u", "--model", "m", "--data", "x", "--config", "c", "--key-env", "K"], "stands in the configuration"),
        (["--judge", "openai/x"], "--judge needs --data"),
        (["--rubric", "r.md"], "need --judge"),
        (
            ["--upstream", "http://127.0.0.1:9/v1", "--model", "m", "--data", "own.jsonl", "--key-env", "NOT_SET_HERE"],
            "NOT_SET_HERE",
        ),
    ],
)
def test_what_cannot_be_asked_is_said(
    tmp_path: Path, wrong: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.jsonl").write_text('{"kind": "ordinary", "prompt": "Hello"}\n', encoding="utf-8")
    assert main(["experiment", "--out", "out", *wrong]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("bad", ["[1]", "{"])
def test_a_body_is_an_object(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["experiment", "--out", "out", "--body", bad])
    assert "must be a JSON object" in capsys.readouterr().err
