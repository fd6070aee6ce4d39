"""Rewrites the last user turn so that the incidental feature is gone and the question is the same. For retries only.

One rule: content words, numbers, negation, quoted text and code stay; synonyms come from a reviewed table; names are quoted,
never replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from core.types import Conversation, Edit, Mode, Span
from policies.language import pick_language
from policies.latex import find_formulas
from policies.loader import load_table
from policies.quoting import Protected

#: Longest span that is put in quotes: a name or a phrase, not a paragraph.
_QUOTE_LIMIT: Final = 60
_NUMBER: Final = r"\d+(?:[.,]\d+)*"
_SUM: Final = re.compile(
    rf"(?<![\w.,(（])(?P<left>{_NUMBER}(?:\s{{0,3}}[-+−–×xX*·÷/]\s{{0,3}}{_NUMBER}){{1,8}})"
    r"(?=\s{0,3}(?:=|＝|等于|等於|\bequals?\b|\bis equal to\b|\bравно\b|\bравняется\b|\bes igual a\b|\bégale?\b|\bist gleich\b"
    r"|\bè uguale a\b|\bé igual a\b)\s{0,3}-?\d)"
)
#: Openers found always wrong, put into the one found never wrong. English only: nothing is measured in other languages.
_OPENER: Final = re.compile(
    r"(?:\bis it correct that|\bis it right that|\bis|\bdoes|\bcheck:|\bverify:)\s{1,3}$", re.IGNORECASE
)
_FRAME: Final = "Is it true that "
_REDACTION: Final = re.compile(r"[█▇■▓]{2,}")

Change = tuple[int, int, str]


def neutralise(conversation: Conversation, spans: Sequence[Span], mode: Mode) -> tuple[Edit, ...]:
    """The edits that take the incidental feature of `mode` out of the last user turn, in order, without overlaps.

    `spans`: the trigger hits of the prompt. Empty where there is no user turn or nothing to rewrite. Text in quotes and code
    is never edited."""
    turn = conversation.last_user
    rewrite = _REWRITES.get(mode)
    if turn is None or rewrite is None:
        return ()
    hits = [span for span in spans if span.message == turn.index]
    protected = Protected(turn.text)
    edits: list[Edit] = []
    end = 0
    for start, stop, text in sorted(rewrite(turn.text, hits)):
        if start >= end and not protected.overlaps(start, stop) and turn.text[start:stop] != text:
            edits.append(Edit(turn.index, start, stop, text))
            end = stop
    return tuple(edits)


def _sums(text: str, spans: Sequence[Span]) -> Iterator[Change]:
    for found in _SUM.finditer(text):
        start = found.start("left")
        opener = _OPENER.search(text, max(0, start - 30), start)
        yield (opener.start() if opener else start), found.end("left"), (_FRAME if opener else "") + f"({found['left']})"


def _formulas(text: str, spans: Sequence[Span]) -> Iterator[Change]:
    for formula in find_formulas(text):
        before = text[formula.start - 1 : formula.start] if formula.start else ""
        # A formula written without a space before it must not melt into the word or number there.
        gap = " " if before.isalnum() and formula.plain[:1].isalnum() else ""
        yield formula.start, formula.end, gap + formula.plain


def _formal_words(text: str, spans: Sequence[Span]) -> Iterator[Change]:
    yield from _synonyms("code", text, 0, len(text))


def _abstract_verbs(text: str, spans: Sequence[Span]) -> Iterator[Change]:
    # Only inside the span that was found abstract: elsewhere a calculation may be meant.
    for span in spans:
        if span.name == "abstract_calculation":
            yield from _synonyms("math", text, span.start, span.end)
    yield from _formulas(text, spans)


def _sensitive(text: str, spans: Sequence[Span]) -> Iterator[Change]:
    yield from ((found.start(), found.end(), "(…)") for found in _REDACTION.finditer(text))
    for span in spans:
        if span.name == "bypass_word":
            yield from _synonyms("refusal", text, span.start, span.end)
        elif span.name in ("product_name", "sensitive_word", "credentials"):
            yield from _quoted(text, span)


def _quoted(text: str, span: Span) -> Iterator[Change]:
    body = text[span.start : span.end]
    if _inside_word(text, span.start) or _inside_word(text, span.end):
        return
    if body.strip() == body and body and len(body) <= _QUOTE_LIMIT and "\n" not in body and '"' not in body:
        yield span.start, span.end, f'"{body}"'


def _inside_word(text: str, at: int) -> bool:
    around = text[max(0, at - 1) : at + 1]
    # From U+2E80 on stand the scripts that write no spaces between words.
    return at > 0 and len(around) == 2 and all(character.isalnum() and character < "\u2e80" for character in around)


def _scaffold(text: str, spans: Sequence[Span]) -> Iterator[Change]:
    pattern, table = _labels()
    for found in pattern.finditer(text):
        yield found.start("label"), found.end("label"), table[found["label"].casefold()]


_REWRITES: Final[Mapping[Mode, Callable[[str, Sequence[Span]], Iterator[Change]]]] = {
    "rebuttal": _sums,
    "code": _formal_words,
    "tool_call": _formulas,
    "refusal": _sensitive,
    "math": _abstract_verbs,
    "extraction": _scaffold,
}


def _synonyms(mode: str, text: str, start: int, end: int) -> Iterator[Change]:
    for language in dict.fromkeys((pick_language(text), "en")):
        found_table = _words(mode, language)
        if found_table is None:
            continue
        pattern, table = found_table
        for found in pattern.finditer(text, start, end):
            yield found.start(), found.end(), _like(found.group(), table[found.group().casefold()])


@cache
def _words(mode: str, language: str) -> tuple[re.Pattern[str], Mapping[str, str]] | None:
    table: Mapping[str, str] | None = load_table("words")[mode].get(language)
    if table is None:
        return None
    folded = {word.casefold(): plain for word, plain in table.items()}
    body = "|".join(re.escape(word) for word in sorted(folded, key=len, reverse=True))
    # Chinese and Japanese write no spaces, so a word has no edge there.
    edges = ("", "") if language in ("zh", "ja") else (r"(?<!\w)", r"(?!\w)")
    return re.compile(f"{edges[0]}(?:{body}){edges[1]}", re.IGNORECASE), folded


@cache
def _labels() -> tuple[re.Pattern[str], Mapping[str, str]]:
    table = {label.casefold(): plain for labels in load_table("scaffold").values() for label, plain in labels.items()}
    body = "|".join(re.escape(label) for label in sorted(table, key=len, reverse=True))
    return re.compile(rf"^[ \t]{{0,8}}(?P<label>{body})", re.IGNORECASE | re.MULTILINE), table


def _like(old: str, new: str) -> str:
    """`new` in the case of `old`: all capitals, a capital first letter, or as in the table."""
    if len(old) > 1 and old.isupper():
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new
