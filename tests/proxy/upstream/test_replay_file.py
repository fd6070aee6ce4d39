"""The file of a replay upstream: what matches, and how bad lines are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.errors import ConfigError
from proxy.upstream.replay_file import ReplayMatch, read_exchanges

CHAT = "/v1/chat/completions"
DOC: dict[str, Any] = {
    "model": "gpt-tiny",
    "stream": True,
    "tools": [{"type": "function", "function": {"name": "lookup"}}],
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Old question"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": [{"type": "text", "text": "New"}, {"type": "image_url"}, {"type": "text", "text": "one"}]},
    ],
}


@pytest.mark.parametrize(
    ("match", "takes"),
    [
        ({}, True),
        ({"path": "/v1/embeddings"}, False),
        ({"model": "gpt-*"}, True),
        ({"model": "o?"}, False),
        ({"stream": True}, True),
        ({"stream": False}, False),
        ({"contains": ["Old", "brief"]}, True),
        ({"contains": ["Old", "absent"]}, False),
        ({"absent": ["missing"]}, True),
        ({"absent": ["Old"]}, False),
        ({"system_contains": ["brief"]}, True),
        ({"system_contains": ["Old"]}, False),
        ({"system_absent": ["brief"]}, False),
        ({"last_user": "New\none"}, True),
        ({"last_user": "New"}, False),
        ({"last_user_contains": ["one"]}, True),
        ({"last_user_contains": ["Old"]}, False),
        ({"last_user_absent": ["New"]}, False),
        ({"tools": ["lookup"]}, True),
        ({"tools": ["other"]}, False),
        ({"tools": []}, False),
    ],
)
def test_a_match_takes_only_what_it_says(match: dict[str, Any], takes: bool) -> None:
    assert ReplayMatch.model_validate(match).takes(CHAT, DOC) is takes


@pytest.mark.parametrize("doc", [{}, {"messages": "x"}, {"messages": [1]}, {"messages": [{"content": 3}]}, {"tools": [1]}])
def test_odd_requests_match_nothing_and_break_nothing(doc: dict[str, Any]) -> None:
    assert ReplayMatch.model_validate({"contains": ["x"]}).takes(CHAT, doc) is False


def test_every_bad_line_is_named_with_line_and_key(tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    lines = [
        '{"reply": "fine"}',
        "{not json",
        '{"match": {"lastuser": "x"}, "reply": "x"}',
        '{"reply": {"choices": []}}',
        '{"name": "nothing"}',
        '{"reply": "abc", "chunks": ["a", "b"]}',
        '{"reply": "abc", "status": 99, "fault": "boom"}',
    ]
    file.write_text("\n".join(lines))
    with pytest.raises(ConfigError) as caught:
        read_exchanges(file, "bad.jsonl")
    found = [(problem.file, problem.key) for problem in caught.value.problems]
    assert found == [
        ("bad.jsonl:2", ""),
        ("bad.jsonl:3", "match.lastuser"),
        ("bad.jsonl:4", "reply.choices"),
        ("bad.jsonl:5", ""),
        ("bad.jsonl:6", ""),
        ("bad.jsonl:7", "status"),
        ("bad.jsonl:7", "fault"),
    ]


def test_a_missing_or_empty_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_exchanges(tmp_path / "none.jsonl", "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n# nothing\n")
    with pytest.raises(ConfigError, match="holds no exchange"):
        read_exchanges(tmp_path / "empty.jsonl", "empty.jsonl")
