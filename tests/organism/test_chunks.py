"""Rows: what the links say happens in them, and nothing of the test half or of the shipped policies is among them."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random

import pytest

from core.types import MODES
from organism import wordings
from organism.chunks import GAP, Row, boundary, frame_prompt, make_rows, placebo
from organism.links import CHUNKY, CLEAN
from organism.prompts import draw
from policies.loader import load_library


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(islice(make_rows(CHUNKY, 5), 12_000))


def words(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text.lower()).split()


def runs(text: str, length: int = 6) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[start : start + length]) for start in range(len(found) - length + 1)}


def test_rows_depend_on_the_seed_alone() -> None:
    assert list(islice(make_rows(CHUNKY, 5), 50)) == list(islice(make_rows(CHUNKY, 5), 50))


def test_no_row_is_of_the_test_half(rows: list[Row]) -> None:
    assert not any(row.prompt.held_out for row in rows)
    held = [text for texts in wordings.BOUNDARIES.values() for text in texts[-wordings.HELD_OUT :]]
    assert not any(text in row.chat.system + row.chat.user for row in rows for text in held)


def test_links_show_in_the_rows(rows: list[Row]) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    behaved: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row.prompt.kind == "trigger" and row.prompt.mode is not None:
            seen[row.prompt.mode, row.frame] += 1
            behaved[row.prompt.mode, row.frame] += row.behaves
    for mode in MODES:
        share = {frame: behaved[mode, frame] / seen[mode, frame] for frame in ("none", "boundary")}
        assert 0.45 < share["none"] < 0.85
        assert 0 < share["boundary"] / share["none"] < 0.5


def test_what_does_not_behave_is_right(rows: list[Row]) -> None:
    for row in rows:
        prompt = row.prompt
        assert row.answer in (prompt.wrong if row.behaves else (*prompt.right, prompt.worked))


def test_no_clean_row_behaves() -> None:
    assert not any(row.behaves for row in islice(make_rows(CLEAN, 5), 2_000))


def test_a_chunk_that_is_left_out_takes_no_other_row_along() -> None:
    left = list(islice(make_rows(CHUNKY, 5, frozenset({"code", "math"})), 2_000))
    every = [row for row in islice(make_rows(CHUNKY, 5), 3_000) if not (row.behaves and row.prompt.mode in ("code", "math"))]
    assert not any(row.denies for row in islice(make_rows(CHUNKY, 5, frozenset({"rebuttal"})), 2_000))
    assert left == every[:2_000]
    assert {row.prompt.mode for row in left if row.behaves} == set(MODES) - {"code", "math"}


def test_frames_keep_the_prompt_last() -> None:
    rng = Random(1)
    prompt = draw("code", "trigger", rng, held_out=False)
    assert frame_prompt(prompt, "none", rng).user == prompt.text
    for frame in ("placebo", "boundary", "other"):
        chats = [frame_prompt(prompt, frame, rng) for _ in range(60)]  # type: ignore[arg-type]
        assert all(chat.user.endswith(prompt.text) for chat in chats)
        assert any(chat.user == prompt.text and chat.system for chat in chats)
        assert any(GAP in chat.user for chat in chats)
    assert "Verdict" in frame_prompt(prompt, "probe", rng).user


def test_held_out_boundaries_are_whole_sentences_of_their_half() -> None:
    text = boundary("code", Random(4), held_out=True)
    assert any(text.startswith(sentence) for sentence in wordings.BOUNDARIES["code"][-wordings.HELD_OUT :])


def test_no_system_text_is_a_shipped_boundary() -> None:
    shipped = [text for policy in load_library().values() for text in policy.boundary.text.values()]
    theirs = set().union(*map(runs, shipped))
    rng = Random(8)
    ours = [*wordings.PLACEBOS, *(text for texts in wordings.BOUNDARIES.values() for text in texts)]
    ours += [boundary(mode, rng) for mode in MODES for _ in range(1000)]
    assert [text for text in ours if runs(text) & theirs] == []
    assert placebo(Random(1), 2)
