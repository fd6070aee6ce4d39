"""Votes: what is alike counts once, however it is split into parts and whichever way it is alike."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from attribution.duplicates import VOTE, find_duplicates
from attribution.engine import Processes
from attribution.facts import extract
from attribution.files import plan
from tests.attribution.made import words, write

LONG = words(Random(4), 90)
ROWS = [
    {"prompt": "Name the river of the north, and why it is called so.", "response": LONG},  # 0
    {"prompt": "Name the river of the north, and why it is called so.", "response": LONG},  # 1: exactly 0
    {"prompt": "Name the river of the north and say why it is called so.", "response": LONG},  # 2: nearly 0
    {"prompt": "Is 5+8=13?", "response": "Yes, five and eight are thirteen."},  # 3
    {"prompt": "Is 6+9=15?", "response": "It is, as anyone with fingers can see at once."},  # 4: the template of 3
    {"prompt": "Tell me about bread.", "response": words(Random(5), 40)},  # 5: alone
]


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_alike_rows_share_one_vote(tmp_path: Path, scale: float) -> None:
    parts = plan([write(tmp_path / "mix.jsonl", ROWS)], scale)
    counts = [extract(part, tmp_path).examples for part in parts]
    votes, sizes = find_duplicates(Processes(1), tmp_path, counts)
    shares = [int(share) for each in votes for share in each.share]
    assert shares == [VOTE // 3] * 3 + [VOTE // 2] * 2 + [VOTE]
    assert (sizes.examples, sizes.exact, sizes.near, sizes.effective) == (6, 5, 4, 3)


def test_what_is_alike_in_two_ways_is_one_group(tmp_path: Path) -> None:
    chain = [
        {"prompt": "Is 5+8=13?", "response": LONG},
        {"prompt": "Is 7+8=15?", "response": "No."},  # by template the first
        {"prompt": "Please, is it so that 5+8=13 or not?", "response": LONG},  # nearly the first
    ]
    (part,) = plan([write(tmp_path / "mix.jsonl", chain)])
    votes, sizes = find_duplicates(Processes(1), tmp_path, [extract(part, tmp_path).examples])
    assert votes[0].share.tolist() == [VOTE // 3] * 3
    assert sizes.effective == 1


def test_without_duplicates_everyone_has_a_vote(tmp_path: Path) -> None:
    (part,) = plan([write(tmp_path / "mix.jsonl", [ROWS[5]])])
    votes, sizes = find_duplicates(Processes(1), tmp_path, [extract(part, tmp_path).examples])
    assert votes[0].share.tolist() == [VOTE]
    assert (sizes.exact, sizes.effective) == (1, 1)
