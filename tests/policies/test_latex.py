import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.latex import MAX_DEPTH, find_formulas, to_plain


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        (r"\frac{1}{2}x^2", "(1/2)x²"),
        (r"\frac{a+b}{c}", "((a+b)/c)"),
        (r"\dfrac12", "(1/2)"),
        (r"\sqrt{x}", "√(x)"),
        (r"\sqrt[3]{x+1}", "³√(x+1)"),
        (r"x_{10} \leq \pi \cdot r^{n+1}", "x₁₀ ≤ π · rⁿ⁺¹"),
        (r"e^{i\theta}", "e^(iθ)"),
        (r"a_k", "a_k"),
        (r"90^\circ", "90°"),
        (r"\text{for all } x", "for all x"),
        (r"\mathbf{v} \times \vec w", "v × vec w"),
        (r"\left( \frac{x}{2} \right)", "( (x/2) )"),
        (r"\sin x\,dx \% \\ y", "sin x dx % \n y"),
        (r"\begin{array}{cc} 1 & 2 \end{array}", " 1 2 "),
        (r"\begin{aligned} a &= b \end{aligned}", " a = b "),
        (r"\{1, 2\}~\sum_{i=1}^{n} i", "{1, 2} ∑_(i=1)ⁿ i"),
        (r"x^", "x^"),
        ("\\", ""),
        (r"\frac", "(()/())"),
        (r"\sqrt (x)", "√(()x)"),
        (r"a}b$", "ab"),
    ],
)
def test_markup_goes_and_the_formula_stays(source: str, plain: str) -> None:
    assert to_plain(source) == plain


def test_a_parenthesised_root_is_not_wrapped_twice() -> None:
    assert to_plain(r"\sqrt{(a)}") == "√(a)"


def shown(text: str) -> list[str]:
    return [formula.plain for formula in find_formulas(text)]


def test_formulas_are_found_in_every_delimiter() -> None:
    text = r"$x^2$ and $$y^3$$ and \(z_1\) and \[w\] and \begin{align*} a &= b \end{align*} and \frac{1}{2} bare"
    assert shown(text) == ["x²", "y³", "z₁", "w", "a = b", "(1/2)"]


def test_money_paths_and_unclosed_marks_are_no_formulas() -> None:
    assert shown("It costs $5 and $10, or $ 7.") == []
    assert shown(r"C:\text\times") == []
    assert shown(r"\( open, \( again and \begin{x} too") == []


def test_a_formula_next_to_chinese_is_found() -> None:
    assert shown("求$x^2$的值") == ["x²"]


def test_deep_nesting_ends() -> None:
    assert to_plain("{" * (MAX_DEPTH + 30)) == "{" * 29
    assert "x" in to_plain(r"\frac" * 3000 + "x")
    assert "√" in to_plain(r"\sqrt[" * (MAX_DEPTH + 5))


@given(st.text(alphabet="\\{}[]()$^_&~ab1 .fracsqtx", max_size=80))
def test_anything_can_be_read(text: str) -> None:
    for formula in find_formulas(text):
        assert 0 <= formula.start < formula.end <= len(text)


@given(st.lists(st.integers(0, 999), min_size=2, max_size=6))
def test_every_number_stays(numbers: list[int]) -> None:
    source = rf"\frac{{{numbers[0]}}}{{{numbers[1]}}}" + "".join(f" + x^{{{n}}} \\cdot y_{{{n}}}" for n in numbers[2:])
    found = re.findall(r"\d+", unicodedata.normalize("NFKC", to_plain(source).replace("/", " / ")))
    assert found == re.findall(r"\d+", source)


def test_long_hostile_text_is_read_once() -> None:
    for piece in ("\\begin{x}", "\\(", "{", "$a ", "\\frac{", "^", "\\sqrt["):
        find_formulas(piece * 8_000)
        to_plain(piece * 8_000)
