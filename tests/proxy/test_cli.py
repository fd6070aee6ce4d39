"""Commands, their exit statuses and what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.cli import main, parser


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for command in ("serve", "demo", "validate", "explain", "scan", "eval", "experiment", "schema"):
        assert command in said


def test_serve_needs_a_configuration_or_an_upstream(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["serve"])
    assert ended.value.code == 2


def test_serve_says_every_problem_of_a_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "listen: nonsense\nupstreams:\n  a: {kind: openai, url: 'http://x/v1', api_key: '${NOT_SET_ANYWHERE}'}\n"
        "routes:\n  - {name: r, upstream: a, polices: []}\n"
    )
    assert main(["serve", "--config", str(file)]) == 2
    said = capsys.readouterr().err
    for expected in ("bad.yaml", "listen", "NOT_SET_ANYWHERE", "routes[0].polices"):
        assert expected in said


def test_missing_configuration_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--config", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml" in capsys.readouterr().err


def test_serve_refuses_an_upstream_that_is_no_url(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--upstream", "nonsense", "--port", "0"]) == 2
    assert "upstreams.default.url" in capsys.readouterr().err


def test_schema_prints_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"upstreams", "routes"} <= set(schema["properties"])
