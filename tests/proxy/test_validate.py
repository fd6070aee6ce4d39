"""Validation: problems of a file, examples that fail, and what is enforceable."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.loader import load_library
from proxy.cli import main
from proxy.validate import check_examples


def test_every_example_of_every_shipped_policy_comes_out_as_it_says() -> None:
    assert check_examples(tuple(load_library().values()), "library") == []


def test_a_good_file_is_said_to_have_no_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(
        "upstreams:\n  a: {kind: openai, url: 'http://x/v1'}\nroutes:\n  - {name: r, upstream: a, policies: [code]}\n"
    )
    assert main(["validate", str(file)]) == 0
    said = capsys.readouterr().out
    assert "no problems" in said
    assert "on_trigger" in said


def test_a_wrong_example_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(
        "upstreams:\n  a: {kind: openai, url: 'http://x/v1'}\nroutes:\n  - name: r\n    upstream: a\n    policies:\n"
        "      - extends: code\n        name: own\n        examples:\n          match:\n"
        "            - {prompt: 'Which river runs through Vienna?', response: 'The Danube.', expect: misrouted}\n"
    )
    assert main(["validate", str(file)]) == 1
    assert "own.examples.match.0" in capsys.readouterr().out


def test_a_bad_file_lists_all_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "upstreams:\n  a: {kind: openai, url: 'http://x/v1'}\nroutes:\n  - {name: r, upstream: b, policies: [cod]}\n"
    )
    assert main(["validate", str(file)]) == 1
    said = capsys.readouterr().out
    assert "unknown policy 'cod'" in said
    assert "bad.yaml" in said
