"""Which policies match a request, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.cli import main


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main(["explain", "--json", *arguments]) == 0
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    return document


def test_a_prompt_is_explained_span_by_span(capsys: pytest.CaptureFixture[str]) -> None:
    document = explained(capsys, "Elucidate the concept of peace.")
    policies = document["policies"]
    assert isinstance(policies, list)
    code = next(entry for entry in policies if entry["policy"] == "code")
    assert code["matches"]
    assert code["hits"][0]["text"] == "Elucidate"
    assert code["hits"][0]["start"] == 0


def test_a_request_file_and_a_route_of_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request, file = tmp_path / "request.json", tmp_path / "config.yaml"
    request.write_text(json.dumps({"messages": [{"role": "user", "content": "Is 5+8=13?"}], "stream": True}))
    file.write_text(
        "upstreams:\n  a: {kind: openai, url: 'http://x/v1'}\nroutes:\n  - {name: r, upstream: a, policies: [rebuttal]}\n"
    )
    document = explained(capsys, str(request), "--config", str(file), "--route", "r")
    policies = document["policies"]
    assert isinstance(policies, list)
    assert [entry["policy"] for entry in policies] == ["rebuttal"]


def test_table_shows_hits_and_boundary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "Elucidate the concept of peace."]) == 0
    said = capsys.readouterr().out
    assert "code" in said
    assert "adds (last_user_prefix)" in said


def test_unknown_route_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("upstreams:\n  a: {kind: openai, url: 'http://x/v1'}\nroutes:\n  - {name: r, upstream: a}\n")
    assert main(["explain", "x", "--config", str(file), "--route", "absent"]) == 2
    assert "absent" in capsys.readouterr().err


def test_bad_request_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = tmp_path / "request.json"
    request.write_text("{}")
    assert main(["explain", str(request)]) == 1
    assert "messages" in capsys.readouterr().err
