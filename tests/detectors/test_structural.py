"""The shape of an answer: blocks and their kinds, equations, execution claims, labels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.structural import Shape


def kinds(text: str) -> list[str]:
    return [block.kind for block in Shape(text).blocks]


@pytest.mark.parametrize(
    ("language", "body", "kind"),
    [
        ("python", "print(1)", "code"),
        ("", "import math\nprint(math.pi)", "code"),
        ("text", "def f(x):\n    return x\nprint(f(1))", "code"),
        ("bash", "ls -l", "shell"),
        ("", "pip install reportlab", "shell"),
        ("yaml", "a: 1", "config"),
        ("json", '{"a": 1}', "data"),
        ("", '{"a": 1, "b": [2]}', "data"),
        ("", "<!DOCTYPE html>\n<html></html>", "markup"),
        ("svg", "<svg></svg>", "markup"),
        ("", "┌────┐\n│ A  │\n└────┘", "diagram"),
        ("", "+-----+\n| A   |\n+-----+ ----> B", "diagram"),
        ("", "Peace = f(justice, calm)", "math"),
        ("output", "42", "output"),
        ("", "Dear Ann,\nthank you for the flowers.", "text"),
    ],
)
def test_the_kind_of_a_block(language: str, body: str, kind: str) -> None:
    assert kinds(f"Here:\n\n```{language}\n{body}\n```\nDone.") == [kind]


def test_block_spans_hold_fences_and_body() -> None:
    text = "A\n```python\nx = 1\n```\nB"
    (block,) = Shape(text).blocks
    assert text[block.start : block.end] == "```python\nx = 1\n```"
    assert text[block.body : block.body_end] == "x = 1\n"


def test_an_open_fence_ends_with_the_answer() -> None:
    text = "A\n~~~js\nlet x = 1"
    (block,) = Shape(text).blocks
    assert (block.end, block.kind) == (len(text), "code")


def test_backticks_inside_a_line_are_no_fence() -> None:
    assert kinds("Use ```x``` here, or ``` there.") == []


def test_unfenced_code_is_found_and_prose_is_not() -> None:
    code = "Sure:\n\nimport math\n\ndef area(r):\n    return math.pi * r ** 2\n\nprint(area(2))\n"
    place = Shape(code).loose_code
    assert place is not None
    assert code[place[0] : place[1]].startswith("import math")
    assert (
        Shape("We import goods (mostly fruit). The class begins: bring a book.\nFor a start (now) we return home.").loose_code
        is None
    )


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("$$H = E + C$$ and \\[a \\le b\\] and \\(x = 1\\) and $p = 2$", 4),
        ("It costs $5 to $10, or $12 in all.", 0),
        ("Water is $H_2O$.", 0),
    ],
)
def test_equations_need_a_relation(text: str, count: int) -> None:
    assert len(Shape(text).equations) == count


CODE = "```python\nprint(6 * 7)\n```\n"


@pytest.mark.parametrize(
    ("text", "real"),
    [
        (CODE + "```output\n42\n```", True),
        (CODE + "Output:\n```\n42\n```", True),
        (CODE + "**Result:**\n\n```\n42\n```", True),
        (CODE + "Example output:\n```\n42\n```", False),
        (CODE + "This would print something like:\n```output\n42\n```", False),
        (">>> 6 * 7\n42", True),
        ("```\n42\n```", False),
    ],
)
def test_output_is_real_unless_called_an_example(text: str, real: bool) -> None:
    assert bool(Shape(text).outputs) is real


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("I ran the code and got 42.", True),
        ("Running the script gives 42.", True),
        ("我运行了代码", True),
        ("If you run it, you would see 42.", False),
        ("For example, the code prints 42.", False),
    ],
)
def test_execution_claims(text: str, claims: bool) -> None:
    assert (Shape(text).claim is not None) is claims


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("C", True),
        ("**Answer: (B)**", True),
        ("Paris, France", True),
        ("", False),
        ("It is B. This follows from the text.", False),
    ],
)
def test_label_only(text: str, label: bool) -> None:
    assert Shape(text).label_only is label


@given(st.text(alphabet="`~\n $\\[]()ab=>p{}", max_size=120))
def test_no_text_raises_and_blocks_do_not_overlap(text: str) -> None:
    shape = Shape(text)
    last = 0
    for block in shape.blocks:
        assert last <= block.start <= block.body <= block.body_end <= block.end <= len(text)
        last = block.end
    assert all(0 <= a < b <= len(text) for a, b in (*shape.equations, *shape.outputs))
    assert shape.label_only in (True, False)
    assert shape.loose_code is None or shape.loose_code[1] <= len(text)
