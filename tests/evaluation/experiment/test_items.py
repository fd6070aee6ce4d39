"""Items: the same for the same seed, of the test half, each of one part."""

from __future__ import annotations

from collections import Counter

from core.types import MODES
from evaluation.experiment.items import counts_of, make_items


def test_items_depend_on_counts_and_seed() -> None:
    assert make_items(counts_of(4), 1) == make_items(counts_of(4), 1)
    assert make_items(counts_of(4), 1) != make_items(counts_of(4), 2)
    assert len({item.name for item in make_items(counts_of(6), 1)}) == len(make_items(counts_of(6), 1))


def test_every_part_is_asked() -> None:
    items = make_items(counts_of(10), 3)
    parts = Counter(item.part for item in items)
    assert parts["trigger"] == 10 * len(MODES)
    assert parts["harm"] == parts["false_premise"] == 5
    assert parts["ordinary"] == 10
    assert all(item.prompt.held_out for item in items if item.prompt.topic)


def test_a_body_tells_samples_apart_and_declares_tools() -> None:
    item = next(item for item in make_items(counts_of(20), 3, modes=["tool_call"]) if item.prompt.tools)
    first, second = item.body("chunky", 0), item.body("chunky", 1)
    assert first["user"] != second["user"]
    assert {**first, "user": ""} == {**second, "user": ""}
    assert first["tools"][0]["function"]["name"] == item.prompt.tools[0]
