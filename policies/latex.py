r"""Recasts LaTeX mathematics as plain text: `\frac{1}{2}x^2` becomes `(1/2)x²`.

One rule: what the formula says stays - every number, letter and word of it; only the markup goes. One pass, no backtracking.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: Groups and arguments nested deeper than this are left as they are.
MAX_DEPTH: Final = 20


def _table(names: str, marks: str) -> dict[str, str]:
    return dict(zip(names.split(), marks, strict=True))


_SYMBOLS: Final[dict[str, str]] = {
    **_table("alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda", "αβγδεεζηθϑικλ"),
    **_table("mu nu xi pi rho sigma tau upsilon phi varphi chi psi omega", "μνξπρστυφφχψω"),
    **_table("Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega", "ΓΔΘΛΞΠΣΦΨΩ"),
    **_table("cdot times div pm mp le leq ge geq ne neq approx equiv sim", "·×÷±∓≤≤≥≥≠≠≈≡∼"),
    **_table("infty partial nabla sum prod int iint oint in notin subset cup cap", "∞∂∇∑∏∫∬∮∈∉⊂∪∩"),
    **_table("forall exists to rightarrow Rightarrow implies iff leftarrow mapsto", "∀∃→→⇒⇒⇔←↦"),
    **_table("angle perp parallel circ degree prime ldots cdots dots mid", "∠⊥∥°°′…⋯…|"),
    "neg": "¬", "land": "∧", "lor": "∨", "quad": " ", "qquad": " ", "lbrace": "{", "rbrace": "}", "langle": "⟨", "rangle": "⟩",
}  # fmt: skip
#: Commands that only say how something looks.
_SILENT: Final = frozenset(
    (
        *("left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "nonumber", "hline", "hfill", "centering"),
        *("displaystyle", "textstyle", "limits", "nolimits"),
    )
)
#: Environments whose begin is followed by a column specification.
_COLUMNS: Final = frozenset({"array", "tabular"})
_SUPER: Final = dict(zip("0123456789+-=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ", strict=True)) | {"°": "°", "′": "′"}
_SUB: Final = dict(zip("0123456789+-=()", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎", strict=True))
_NAME: Final = re.compile(r"[A-Za-z]+")
_SIMPLE: Final = re.compile(r"[^\W_]+|\([^()]*\)")

_FORMULA: Final = re.compile(
    r"\$\$(?P<display>[^$]+)\$\$"
    r"|\\\[|\\\("
    r"|(?<![\\$A-Za-z0-9])\$(?P<inline>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?!\d)"
    r"|\\begin\{(?P<env>[A-Za-z]+\*?)\}"
    r"|(?<![\w:\\/])\\(?:d?frac|tfrac|sqrt|cdot|times|div|pm|leq?|geq?|neq|approx|text|mathrm|sum|int|pi|theta|infty)(?![A-Za-z])"
)


class Formula(NamedTuple):
    """Characters `[start, end)` hold a formula; `plain` says the same without markup."""

    start: int
    end: int
    plain: str


def find_formulas(text: str) -> tuple[Formula, ...]:
    r"""The formulas of `text`, in order: `$..$`, `$$..$$`, `\(..\)`, `\[..\]`, environments, and bare known commands.

    An amount of money (`$5 and $10`) is no formula."""
    formulas: list[Formula] = []
    position = 0
    unclosed: set[str] = set()
    while found := _FORMULA.search(text, position):
        formula = _formula(text, found, unclosed)
        position = max(found.end(), formula.end if formula else 0)
        if formula:
            formulas.append(formula)
    return tuple(formulas)


def _formula(text: str, found: re.Match[str], unclosed: set[str]) -> Formula | None:
    start = found.start()
    inner = found["display"] or found["inline"]
    if inner is not None:
        return Formula(start, found.end(), to_plain(inner).strip())
    if found["env"] or found.group() in (r"\[", r"\("):
        closer = rf"\end{{{found['env']}}}" if found["env"] else found.group().translate({ord("["): "]", ord("("): ")"})
        # A closer that is not ahead of one opener is not ahead of the next: searching once keeps this linear.
        end = -1 if closer in unclosed else text.find(closer, found.end())
        if end < 0:
            unclosed.add(closer)
            return None
        body = text[start : end + len(closer)] if found["env"] else text[found.end() : end]
        return Formula(start, end + len(closer), to_plain(body).strip())
    reader = _Reader(text, start)
    plain = reader.item(0)
    return Formula(start, reader.position, plain.strip())


def to_plain(source: str) -> str:
    """The formula `source` (without its delimiters) as plain text."""
    reader = _Reader(source, 0)
    parts: list[str] = []
    while reader.position < len(source):
        parts.append(reader.item(0))
    return re.sub(r"[ \t]{2,}", " ", "".join(parts))


class _Reader:
    """Reads one item after another from `position`; every character is read once."""

    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position

    def item(self, depth: int) -> str:
        mark = self.text[self.position]
        self.position += 1
        if depth > MAX_DEPTH:
            return mark
        if mark == "\\":
            return self._command(depth)
        if mark == "{":
            return self._until("}", depth + 1)
        if mark in "^_":
            return self._script(mark, depth)
        return {"&": "", "~": " ", "$": "", "}": ""}.get(mark, mark)

    def _until(self, closer: str, depth: int) -> str:
        parts: list[str] = []
        while self.position < len(self.text):
            if self.text[self.position] == closer:
                self.position += 1
                break
            parts.append(self.item(depth))
        return "".join(parts)

    def _argument(self, depth: int) -> str:
        while self.position < len(self.text) and self.text[self.position] == " ":
            self.position += 1
        return self.item(depth + 1).strip() if self.position < len(self.text) else ""

    def _option(self, depth: int) -> str:
        if self.text[self.position : self.position + 1] != "[":
            return ""
        self.position += 1
        return self._until("]", depth + 1).strip()

    def _script(self, mark: str, depth: int) -> str:
        table = _SUPER if mark == "^" else _SUB
        inner = self._argument(depth)
        if inner and all(character in table for character in inner):
            return "".join(table[character] for character in inner)
        return mark + _wrapped(inner, always=len(inner) > 1) if inner else mark

    def _command(self, depth: int) -> str:
        found = _NAME.match(self.text, self.position)
        if found is None:
            return self._escaped()
        self.position = found.end()
        name = found.group()
        if name in ("frac", "dfrac", "tfrac", "cfrac"):
            return f"({_wrapped(self._argument(depth))}/{_wrapped(self._argument(depth))})"
        if name == "sqrt":
            degree = self._option(depth)
            return f"{''.join(_SUPER.get(c, c) for c in degree)}√{_wrapped(self._argument(depth), always=True)}"
        if name in ("begin", "end"):
            environment = self._argument(depth)
            if name == "begin" and environment in _COLUMNS:
                self._argument(depth)
            return ""
        return self._word(name)

    def _escaped(self) -> str:
        mark = self.text[self.position : self.position + 1]
        self.position += 1
        return {"\\": "\n", ",": " ", ";": " ", ":": " ", "!": "", " ": " ", "[": "", "]": "", "(": "", ")": ""}.get(mark, mark)

    def _word(self, name: str) -> str:
        if name in _SILENT:
            return ""
        symbol = _SYMBOLS.get(name)
        if symbol is not None:
            return symbol
        # `\text{..}`, `\mathbf{..}` and the like name a look: their group follows and speaks for itself.
        if self.text[self.position : self.position + 1] == "{":
            return ""
        return name


def _wrapped(inner: str, *, always: bool = False) -> str:
    if _SIMPLE.fullmatch(inner) is None or (always and not inner.startswith("(")):
        return f"({inner})"
    return inner
