"""Prompts of one's own: every kind is read, every bad line named."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.experiment.items import PARTS
from evaluation.experiment.own import digest, read_items
from proxy.errors import ConfigError
from tests.evaluation.experiment.servers import ROWS, TOOL, write_rows


def test_every_kind_is_read(tmp_path: Path) -> None:
    items = {item.name: item for item in read_items(write_rows(tmp_path / "own.jsonl"), 1)}
    assert {item.part for item in items.values()} == set(PARTS)
    assert (items["bomb"].mode, items["false"].mode, items["run"].mode, items["city"].mode) == (
        "refusal", "rebuttal", "tool_call", None,
    )  # fmt: skip
    assert items["run"].request["tools"] == [TOOL]
    assert items["hope"].text == "Delineate the idea of hope."
    assert items["plain"].expect == "what peace is"
    assert all(item.prompt is None for item in items.values())


def test_the_order_follows_from_the_seed_and_the_digest_from_every_text(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "own.jsonl")
    assert read_items(file, 1) == read_items(file, 1) != read_items(file, 2)
    before = digest(read_items(file, 1))
    changed = [{**row, "expect": "something else"} if row["id"] == "plain" else row for row in ROWS]
    assert digest(read_items(write_rows(file, changed), 1)) != before


def test_other_modes_are_left_out(tmp_path: Path) -> None:
    items = read_items(write_rows(tmp_path / "own.jsonl"), 1, modes=["code"])
    assert {item.mode for item in items} == {"code", None}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "unexpected end"),
        ("[]", "no JSON object"),
        ('{"kind": "magic", "prompt": "a"}', "'kind' must be one of"),
        ('{"kind": "ordinary", "prompt": "a", "answer": "b"}', "no field 'answer'"),
        ('{"kind": "trigger", "prompt": "a"}', "needs a 'mode'"),
        ('{"kind": "harm", "mode": "code", "prompt": "a"}', "has no mode 'code'"),
        ('{"kind": "ordinary"}', "either 'prompt' or 'messages'"),
        ('{"kind": "ordinary", "prompt": 5}', "'prompt'"),
        ('{"kind": "ordinary", "messages": [5]}', "messages"),
        ('{"kind": "ordinary", "messages": []}', "messages"),
        ('{"kind": "tools", "prompt": "a"}', "needs 'tools'"),
        ('{"kind": "ordinary", "prompt": "a", "id": 3}', "must be texts"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, row: str, reason: str) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text('{"kind": "ordinary", "prompt": "fine"}\n\n' + row + "\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_items(file, 0)
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{file}:3: ")
    assert reason in str(problem)


def test_all_bad_lines_are_named_at_once_and_an_empty_file_too(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text('{"id": "a", "kind": "ordinary", "prompt": "x"}\n' * 2 + "null\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_items(file, 0)
    assert [problem.file.rpartition(":")[2] for problem in caught.value.problems] == ["2", "3"]
    file.write_text("\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no prompts"):
        read_items(file, 0)
