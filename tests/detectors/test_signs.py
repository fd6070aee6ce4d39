"""Signs are necessary: whatever a check finds leaves its sign."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.phrases import Phrases
from detectors.signs import FENCE, LATEX, PROGRAM, PROTAGONIST, SESSION, SIGN_CHARS, find_signs
from detectors.structural import Shape

EVERY = frozenset({FENCE, LATEX, SESSION, PROGRAM, PROTAGONIST})


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("Plain prose, nothing else.", set()),
        ("a ``` b", {FENCE}),
        ("~~~", {FENCE}),
        ("It costs $5.", {LATEX}),
        (r"\(x\)", {LATEX}),
        ("so >>> here", {SESSION}),
        ("Try:\n  import math\n", {PROGRAM}),
        ("Then Mara stood up.", {PROTAGONIST}),
    ],
)
def test_what_leaves_a_sign(text: str, signs: set[int]) -> None:
    found = find_signs(text, 0)
    assert {sign for sign in EVERY if sign in found} == signs


def test_signs_are_those_of_the_visible_answer() -> None:
    assert FENCE not in find_signs("``` a", 3)
    assert FENCE in find_signs("a" * (SIGN_CHARS - 1) + "```", 2)
    assert FENCE not in find_signs("a" * SIGN_CHARS + "```", 0)


def test_a_block_beyond_the_signs_is_found_all_the_same() -> None:
    text = "word " * (SIGN_CHARS // 5) + "\n```python\nprint(1)\n```\n"
    assert [block.kind for block in Shape(text).blocks] == ["code"]


def test_a_session_before_the_visible_answer_counts() -> None:
    text = "<think>\n>>> 1 + 1\n2\n</think>\nTwo."
    assert Shape(text, text.index("Two")).outputs


PIECES = (
    "```",
    "~~~",
    "\n",
    "import os\n",
    "def f(x):",
    "print(f(1))",
    "$a=b$",
    r"\(a=b\)",
    "$",
    ">>> 1\n2\n",
    " ",
    "Output:",
    "é",
)
STORIES = ("Mara stood ", "She ", "he ", "Once upon a time ")


@settings(deadline=None)  # the first text compiles the lexicon
@given(st.lists(st.sampled_from((*PIECES, *STORIES)), max_size=25).map("".join))
def test_a_check_that_is_told_nothing_finds_no_more(text: str) -> None:
    told, alone = Shape(text, 0, Phrases(text).signs), Shape(text, 0, EVERY)
    assert told.blocks == alone.blocks
    assert told.loose_code == alone.loose_code
    assert told.equations == alone.equations
    assert told.outputs == alone.outputs
    sure = Phrases(text)
    sure.__dict__["signs"] = EVERY
    assert Phrases(text).narrative() == sure.narrative()
