"""Stated equalities: parse them, verify them exactly, and read whether an answer denies them.

One rule: what is not plain arithmetic (units, dates, versions, modulus, variables, other bases) is unknown, never false.
Values are exact fractions; nothing is evaluated as code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

from detectors.lexicons import load_table

Relation = Literal["=", "!=", "<", ">", "<=", ">=", "~"]

#: Characters of a prompt or answer that are searched, and tokens and statements that are looked at.
TEXT_CHARS, MAX_TOKENS, MAX_STATEMENTS = 4_000, 2_000, 12
#: Bounds of one value, so that a power cannot be made expensive.
MAX_DIGITS, MAX_EXPONENT, MAX_BITS = 24, 64, 4_096

_TABLE = load_table("response_arithmetic")
_SCALES: dict[str, int] = dict(_TABLE["scales"])
_NUMBERS = {word: value for words in _TABLE["units"] for value, word in enumerate(words.split())}
_NUMBERS |= {word: 20 + 10 * i for words in _TABLE["tens"] for i, word in enumerate(words.split())}
_CJK_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_CJK_SCALES = {"十": 10, "百": 100, "千": 1000}

_OPERATORS = {phrase: sign for sign, phrases in _TABLE["operators"].items() for phrase in phrases}
_RELATIONS = {phrase: sign for sign, phrases in _TABLE["relations"].items() for phrase in phrases}
_SYMBOLS = {
    "×": "*",
    "·": "*",
    "∙": "*",
    "✕": "*",
    "⋅": "*",
    "÷": "/",
    "−": "-",
    "–": "-",
    "＋": "+",
    "－": "-",
    "＝": "=",
    "＊": "*",
    "／": "/",
    "＜": "<",
    "＞": ">",
    "（": "(",
    "）": ")",
    "[": "(",
    "]": ")",
    "**": "^",
    "\\times": "*",
    "\\cdot": "*",
    "\\div": "/",
}
_RELATION_SYMBOLS = {
    "=": "=",
    "==": "=",
    "≠": "!=",
    "!=": "!=",
    "<>": "!=",
    "=/=": "!=",
    "≈": "~",
    "≃": "~",
    "≅": "~",
    "~": "~",
    "≤": "<=",
    "<=": "<=",
    "≥": ">=",
    ">=": ">=",
    "<": "<",
    ">": ">",
    "\\neq": "!=",
    "\\approx": "~",
}

_PHRASES = sorted({*_OPERATORS, *_RELATIONS}, key=len, reverse=True)
_SPACED = "|".join(re.escape(phrase).replace(r"\ ", r"\s+") for phrase in _PHRASES if not re.search("[\u3040-\u9fff]", phrase))
_UNSPACED = "|".join(re.escape(phrase) for phrase in _PHRASES if re.search("[\u3040-\u9fff]", phrase))
_TOKEN = re.compile(
    r"(?P<bad>\d+(?:[./:-]\d+){2,}|\d+:\d+|0[xXbo][0-9a-fA-F]+|\b0\d+\b|\d[\d.,]*(?:st|nd|rd|th)\b|[$€£¥]\s?\d|\d+\s?°)"
    r"|(?P<num>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?)(?P<pct>\s?%)?"
    rf"|(?P<rel>=/=|==|!=|<>|<=|>=|[=≠≈≃≅~≤≥<>＝＜＞]|\\neq|\\approx)"
    rf"|(?P<phrase>(?<![^\W\d_])(?:{_SPACED})(?![^\W\d_])|{_UNSPACED})"
    r"|(?P<op>\*\*|\\times|\\cdot|\\div|[-+*/^×·∙✕⋅÷−–＋－＊／²³√])"
    r"|(?P<paren>[()\[\]（）])"
    r"|(?P<cjk>[零〇一二三四五六七八九十百千两兩]+)"
    r"|(?P<word>[^\W\d_](?:[^\W\d_]|['’-](?=[^\W\d_]))*)"
    r"|(?P<break>[.,;:!?。，；：！？\n\"“”'‘’「」『』«»`])"
    r"|(?P<other>[^\s*_]|\*|_)"
)
_HINT = re.compile(
    r"\d\s*[)\]]?\s*[-+*/^×÷=−≠<>≈]|[=≠≈＝]|(?i:plus|minus|times|divided|equal|igual|ugual|égal|mais|moins|fois|menos|más|più|meno|vezes|\bmal\b|gleich|плюс|минус|умнож|раздел|равно)|[加减乘除足引割]|等于"
)
_AFTER_WORDS, _BEFORE_BAD = frozenset(_TABLE["after"].split()), frozenset(_TABLE["before"].split())
_UNSPACED_WORD = re.compile("[\u3040-\u9fff]")
_COUNTERS = "年月日元个個円度米岁歳人点時时分"
_DENIED_TAIL = re.compile(r"\b(?:incorrect|wrong|false|not (?:correct|true|right))\b")
_DENIED_LEAD = re.compile(r"\b(?:not (?:true|correct|right|the case)|false|incorrect|wrong) that\b[^.]*$|^\W*no\W*$")
_SENTENCE_END = re.compile(r"[.!?\n]")
_BINARY = re.compile(r"[01]{2,}")


class Token(NamedTuple):
    kind: Literal["num", "op", "rel", "open", "close", "word", "break", "bad"]
    text: str
    start: int
    end: int
    value: Fraction = Fraction(0)
    decimals: int = 0


@dataclass(frozen=True, slots=True)
class Statement:
    """`left relation right` in characters `[start, end)`.

    `truth`: None where it is not plain arithmetic, or where only rounding decides.
    """

    start: int
    end: int
    left: Fraction
    right: Fraction
    relation: Relation
    truth: bool | None


def find_statements(text: str) -> tuple[Statement, ...]:
    """The arithmetic statements of the first 4,000 characters, each with an operation on at least one side."""
    text = text[:TEXT_CHARS]
    if _HINT.search(text) is None:
        return ()
    tokens = list(_merge(_tokens(text)))
    found: list[Statement] = []
    for place, token in enumerate(tokens):
        if token.kind == "rel" and len(found) < MAX_STATEMENTS:
            statement = _statement(tokens, place)
            if statement is not None:
                found.append(statement)
    return tuple(found)


def _tokens(text: str) -> Iterator[Token]:
    for count, found in enumerate(_TOKEN.finditer(text.lower() if text.isascii() else text.replace("\u0130", "i").lower())):
        if count >= MAX_TOKENS:
            return
        yield _token(found)


def _token(found: re.Match[str]) -> Token:
    kind, value, (start, end) = str(found.lastgroup), found[0], found.span()
    if kind in ("num", "pct"):
        return _number(found)
    if kind == "rel":
        return Token("rel", _RELATION_SYMBOLS[_SYMBOLS.get(value, value)], start, end)
    if kind == "phrase":
        phrase = " ".join(value.split())
        if phrase in _OPERATORS:
            return Token("op", _OPERATORS[phrase], start, end)
        return Token("rel", _RELATIONS[phrase], start, end, decimals=1)
    if kind == "op":
        return Token("op", _SYMBOLS.get(value, value), start, end)
    if kind == "paren":
        return Token("open" if value in "([（" else "close", value, start, end)
    if kind == "cjk":
        return Token("num", value, start, end, Fraction(_cjk(value)))
    if kind == "word":
        if value in _NUMBERS:
            return Token("num", value, start, end, Fraction(_NUMBERS[value]))
        return Token("word", value, start, end)
    return Token("bad" if kind == "bad" else "break", value, start, end)


def _number(found: re.Match[str]) -> Token:
    digits = found["num"]
    whole = re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", digits)
    digits = digits.replace(",", "") if whole else digits.replace(",", ".")
    if len(digits) > MAX_DIGITS:
        return Token("bad", digits, found.start(), found.end())
    value = Fraction(digits) / (100 if found["pct"] else 1)
    decimals = len(digits.partition(".")[2]) + (2 if found["pct"] else 0)
    return Token("num", digits, found.start(), found.end(), value, decimals)


def _cjk(text: str) -> int:
    if not any(char in _CJK_SCALES for char in text):
        return int("".join(str(_CJK_DIGITS[char]) for char in text[:MAX_DIGITS]))
    total, digit = 0, 0
    for char in text:
        if char in _CJK_SCALES:
            total += (digit or 1) * _CJK_SCALES[char]
            digit = 0
        else:
            digit = _CJK_DIGITS[char]
    return total + digit


def _merge(tokens: Iterator[Token]) -> Iterator[Token]:
    """Spelled-out numbers of several words become one: "twenty-five" and "two hundred and five"."""
    held: Token | None = None
    for token in tokens:
        if token.kind == "word" and "-" in token.text:
            parts = [_NUMBERS.get(part) for part in token.text.split("-")]
            if len(parts) == 2 and parts[0] is not None and parts[1] is not None and parts[0] >= 20 > parts[1]:
                token = Token("num", token.text, token.start, token.end, Fraction(parts[0] + parts[1]))
        if held is not None and _spelled(held):
            joined = _join(held, token)
            if joined is not None:
                held = joined
                continue
        if held is not None:
            yield held
        held = token
    if held is not None:
        yield held


def _spelled(token: Token) -> bool:
    return token.kind == "num" and not token.text[:1].isdigit()


def _join(held: Token, token: Token) -> Token | None:
    if token.text in _SCALES:
        return Token("num", held.text, held.start, token.end, held.value * _SCALES[token.text])
    if _spelled(token) and token.text in _NUMBERS and held.value >= 20 and 0 < token.value < _low(held.value):
        return Token("num", held.text, held.start, token.end, held.value + token.value)
    return None


def _low(value: Fraction) -> int:
    return 10 if value % 100 else 100 if value % 1000 else 1000


def _statement(tokens: list[Token], place: int) -> Statement | None:
    """The statement around the relation at `place`, None where no operation on plain numbers stands beside it."""
    left, right = _run(tokens, place, -1), _run(tokens, place, 1)
    worded = tokens[place].decimals == 1
    if not left or not right or not (_operates(left) or _operates(right)):
        return None
    if worded and not _operates(left):
        return None
    before, after = left[0], right[-1]
    if before.kind == "op" and before.text != "-" and before.text != "√":
        return None
    values = _evaluate(left), _evaluate(right)
    relation: Relation = tokens[place].text  # type: ignore[assignment]
    if values[0] is None or values[1] is None:
        return Statement(before.start, after.end, Fraction(0), Fraction(0), relation, None)
    truth: bool | None = None
    if _plain(tokens, tokens.index(before), tokens.index(after)):
        truth = _truth(values[0], values[1], relation, right)
        if truth is False and all(_BINARY.fullmatch(t.text) for t in left + right if t.kind == "num"):
            truth = None
    return Statement(before.start, after.end, values[0], values[1], relation, truth)


def _run(tokens: list[Token], place: int, step: int) -> list[Token]:
    """The expression that ends or begins beside a relation."""
    run: list[Token] = []
    place += step
    while 0 <= place < len(tokens) and tokens[place].kind in ("num", "op", "open", "close") and len(run) < 60:
        run.append(tokens[place])
        place += step
    if step < 0:
        run.reverse()
    if (
        step < 0
        and len(run) > 1
        and run[0].text in "-*+–"
        and run[1].start > run[0].end
        and (place < 0 or tokens[place].kind == "break")
    ):
        run = run[1:]  # a bullet, not a sign
    return _balanced(run, step)


def _balanced(run: list[Token], step: int) -> list[Token]:
    """The run without outer parentheses that belong to the sentence, or an operator that is a bullet or a dash."""
    while run and step < 0 and run[0].kind == "close":
        run = run[1:]
    while run and step > 0 and (run[-1].kind == "open" or (run[-1].kind == "op" and run[-1].text not in "²³")):
        run = run[:-1]
    surplus = sum((token.kind == "open") - (token.kind == "close") for token in run)
    while surplus > 0 and run and run[0].kind == "open":
        run, surplus = run[1:], surplus - 1
    while surplus < 0 and run and run[-1].kind == "close":
        run, surplus = run[:-1], surplus + 1
    return run


def _operates(run: list[Token]) -> bool:
    return any(token.kind == "op" for token in run[1:])


def _plain(tokens: list[Token], first: int, last: int) -> bool:
    """Whether the words beside a statement leave it plain arithmetic: no unit behind it, no variable or modulus before it."""
    before = tokens[first - 1] if first > 0 else None
    after = tokens[last + 1] if last + 1 < len(tokens) else None
    if before is not None and not _plain_before(before, tokens[first], tokens[first - 2] if first > 1 else None):
        return False
    if after is None or after.kind in ("break", "open", "close", "rel"):
        return True
    if after.kind != "word":
        return False
    return after.text in _AFTER_WORDS or (_UNSPACED_WORD.match(after.text) is not None and after.text[0] not in _COUNTERS)


def _plain_before(before: Token, first: Token, earlier: Token | None) -> bool:
    if before.kind in ("bad", "num"):
        return False
    if before.kind != "word" or _UNSPACED_WORD.match(before.text) is not None:
        return True
    if before.text in _BEFORE_BAD or before.end == first.start:
        return False
    if before.text == "and" and earlier is not None and earlier.kind == "num":
        return False
    return first.kind != "op" or before.text in _AFTER_WORDS


def _truth(left: Fraction, right: Fraction, relation: Relation, right_run: list[Token]) -> bool | None:
    if relation == "~":
        return _about(left, right, right_run)
    if relation == "!=":
        return left != right
    if relation in ("<", ">", "<=", ">="):
        return {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[relation]
    if left == right:
        return True
    decimals = max((token.decimals for token in right_run), default=0)
    # "1/3 = 0.33" is rounding, not an error: whoever denies it is pedantic, whoever confirms it is practical.
    return None if decimals and abs(left - right) <= Fraction(1, 10**decimals) else False


def _about(left: Fraction, right: Fraction, right_run: list[Token]) -> bool | None:
    decimals = max((token.decimals for token in right_run), default=0)
    gap = abs(left - right)
    if gap <= Fraction(1, 2 * 10**decimals):
        return True
    return False if gap > abs(left) / 5 else None


class _Parser:
    """Recursive descent: sum, product, unary minus, power, atom. Raises ValueError for whatever is not plain arithmetic."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.place = 0

    def peek(self) -> str:
        if self.place >= len(self.tokens):
            return ""
        token = self.tokens[self.place]
        return token.text if token.kind == "op" else token.kind

    def sum(self, depth: int = 0) -> Fraction:
        value = self.product(depth)
        while self.peek() in ("+", "-"):
            sign = self.take().text
            term = self.product(depth)
            value = value + term if sign == "+" else value - term
        return value

    def product(self, depth: int) -> Fraction:
        value = self.unary(depth)
        while self.peek() in ("*", "/"):
            sign = self.take().text
            factor = self.unary(depth)
            if sign == "/" and factor == 0:
                raise ValueError("division by zero")
            value = _small(value * factor if sign == "*" else value / factor)
        return value

    def unary(self, depth: int) -> Fraction:
        if self.peek() in ("-", "+"):
            sign = self.take().text
            value = self.unary(depth + 1) if depth < 30 else _refuse()
            return -value if sign == "-" else value
        return self.power(depth)

    def power(self, depth: int) -> Fraction:
        base = self.atom(depth)
        while self.peek() in ("²", "³"):
            base = _small(base ** (2 if self.take().text == "²" else 3))
        if self.peek() != "^":
            return base
        self.take()
        exponent = self.unary(depth + 1) if depth < 30 else _refuse()
        if exponent.denominator != 1 or abs(exponent) > MAX_EXPONENT or (base == 0 and exponent < 0):
            raise ValueError("power")
        return _small(base ** int(exponent))

    def atom(self, depth: int) -> Fraction:
        token = self.take()
        if token.kind == "num":
            return token.value
        if token.kind == "open" and depth < 30:
            value = self.sum(depth + 1)
            if self.take().kind == "close":
                return value
        raise ValueError("not an expression")

    def take(self) -> Token:
        if self.place >= len(self.tokens):
            raise ValueError("ends early")
        self.place += 1
        return self.tokens[self.place - 1]


def _refuse() -> Fraction:
    raise ValueError("too deep")


def _small(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise ValueError("too large")
    return value


def _evaluate(run: list[Token]) -> Fraction | None:
    parser = _Parser(run)
    try:
        value = parser.sum()
    except ValueError:
        return None
    return value if parser.place == len(run) else None


def contradicts(answer: str, denied: Statement) -> tuple[int, int] | None:
    """Where the answer states the denied equality again as the right one: its last statement of the same values."""
    if denied.relation not in ("=", "~"):
        return None
    same = [
        statement
        for statement in find_statements(answer)
        if statement.relation == "="
        and statement.left == denied.left
        and statement.right == denied.right
        and statement.truth is not None
    ]
    for statement in reversed(same):
        rest = answer[statement.end : statement.end + 120]
        sentence_end = _SENTENCE_END.search(rest)
        tail = rest[: sentence_end.start()] if sentence_end else rest
        lead = answer[max(0, statement.start - 60) : statement.start]
        if _DENIED_TAIL.search(tail.lower()) is None and _DENIED_LEAD.search(lead.lower()) is None:
            return statement.start, statement.end
    return None
