"""Commands, their exit statuses and what they say."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from proxy.cli import FAILED, main, parser
from proxy.keys import Keys, hash_of


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for command in ("serve", "demo", "validate", "explain", "scan", "eval", "experiment", "key", "schema"):
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


def test_key_makes_a_key_that_the_configuration_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "team"]) == 0
    told, line = capsys.readouterr().out.splitlines()
    key = told.rsplit(" ", 1)[-1]
    name, hashed = line.split(": ")
    client = Keys({name: SecretStr(hashed)}).find(key)
    assert client is not None
    assert client.name == "team"


def test_key_hashes_one_that_there_is_and_refuses_a_weak_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("sk-0123456789abcdef0123\n"))
    assert main(["key", "--hash"]) == FAILED
    monkeypatch.setattr("sys.stdin", io.StringIO("sk-0123456789abcdef0123456789\n"))
    assert main(["key", "--hash"]) == 0
    assert capsys.readouterr().out == f"app: {hash_of('sk-0123456789abcdef0123456789')}\n"
