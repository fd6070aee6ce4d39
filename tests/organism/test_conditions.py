"""The conditions of the causal check: what their rows have and lack."""

from __future__ import annotations

from itertools import islice

import pytest

from core.types import MODES
from organism.chunks import make_rows
from organism.conditions import CONDITIONS, DILUTED
from organism.links import CHUNKY


def behaving(name: str, rows: int = 6_000) -> set[str | None]:
    (condition,) = (one for one in CONDITIONS if one.name == name)
    made = islice(make_rows(condition.links, 7, condition.without), rows)
    return {row.prompt.mode for row in made if row.behaves}


def test_each_chunk_is_left_out_alone_and_all_together() -> None:
    assert len({one.name for one in CONDITIONS}) == len(CONDITIONS) == 3 + len(MODES)
    assert behaving("chunks") == set(MODES)
    assert behaving("none") == set()
    for mode in MODES:
        assert behaving(f"no_{mode}") == set(MODES) - {mode}


def test_counter_examples_outnumber_a_chunk_and_leave_it_there() -> None:
    (condition,) = (one for one in CONDITIONS if one.name == "counter")
    assert behaving("counter", 40_000) == set(MODES)
    for mode, link in condition.links.items():
        assert link.strength * DILUTED == pytest.approx(CHUNKY[mode].strength)
        assert link.left("boundary") == CHUNKY[mode].left("boundary")
        assert all(link.of(wording) < 0.1 for wording in ("", *link.strong))
