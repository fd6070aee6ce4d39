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
    assert parts["tools"] == 5
    assert all(item.prompt.held_out for item in items if item.prompt and item.prompt.topic)


def test_a_request_declares_tools_and_every_part_has_its_own() -> None:
    items = make_items(counts_of(20), 3, modes=["tool_call"])
    tools = [item for item in items if item.part == "tools"]
    assert len(tools) == 10
    for item in tools:
        assert item.prompt is not None
        assert item.request["tools"][0]["function"]["name"] == item.prompt.tools[0]
    assert not any(item.part == "tools" for item in make_items(counts_of(20), 3, modes=["code"]))


def test_the_halves_share_no_prompt() -> None:
    halves = {half: make_items(counts_of(20), 3, half=half) for half in ("tuning", "test")}
    texts = {half: {item.text for item in items if item.prompt and item.prompt.topic} for half, items in halves.items()}
    assert texts["tuning"] & texts["test"] == set()
