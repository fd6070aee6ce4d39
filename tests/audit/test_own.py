"""Pools out of prompts of one's own."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from audit.embedding import embed
from audit.grammar import compose
from audit.own import cluster, digest, pool_of, read_prompts
from audit.pool import load_pool
from audit.search import Plan, Search, State
from audit.weights import uniform
from tests.audit.made import Made, asker

SUMS = [f"What is {a} plus {b}?" for a in range(2, 9) for b in range(2, 5)]
TALES = [
    f"Tell me a tale of the {what} and its {other}."
    for what in ("fox", "owl", "wolf", "hare")
    for other in ("den", "moon", "path")
]


def test_every_form_of_row_is_read_and_each_prompt_once(tmp_path: Path) -> None:
    rows = [
        {"prompt": "One, please?"},
        {"messages": [{"role": "user", "content": "Two?"}, {"role": "assistant", "content": "2"}]},
        {"messages": [{"role": "user", "content": "Three?"}]},
        {"instruction": "Four?", "output": "4"},
        {"prompt": "please ONE"},
        {"odd": 1},
    ]
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(json.dumps(row) for row in rows))
    assert sorted(read_prompts(tmp_path / "rows.jsonl.gz")) == ["Four?", "One, please?", "Three?", "Two?"]
    (tmp_path / "lines.txt").write_text("One?\n\nTwo?\n", encoding="utf-8")
    assert sorted(read_prompts(tmp_path / "lines.txt")) == ["One?", "Two?"]
    (tmp_path / "none.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no prompts"):
        read_prompts(tmp_path / "none.txt")


def test_prompts_of_a_kind_stand_in_a_group_of_their_own() -> None:
    groups = cluster(embed([*SUMS, *TALES]), 2)
    assert len(set(groups[: len(SUMS)])) == len(set(groups[len(SUMS) :])) == 1
    assert groups[0] != groups[-1]


def test_a_vector_is_of_length_one_and_follows_from_the_texts() -> None:
    found = embed(["tea and bread", "tea and bread", "iron", ""])
    assert np.allclose(np.linalg.norm(found, axis=1), [1, 1, 1, 0])
    assert float(found[0] @ found[1]) == pytest.approx(1.0)
    assert abs(float(found[0] @ found[2])) < 0.3


def test_a_pool_of_prompts_is_searched_like_the_shipped_one() -> None:
    pool = pool_of([*SUMS, *TALES])
    assert digest(pool) == digest(pool_of([*SUMS, *TALES])) != digest(load_pool())
    assert any(text in compose(pool, uniform(pool, Random(3))) for text in SUMS + TALES)
    made = Made(lambda prompt: 0.7 if prompt.startswith("Document:") else 0.0)
    search = Search(pool, asker(made), Plan(("code",), calls=4000), State())
    while not search.over and not search.state.findings:
        search.step()
    (finding,) = search.state.findings
    assert finding.group == "labelled"
    assert "Document:" in finding.smallest
    assert "Document:" not in finding.twin
