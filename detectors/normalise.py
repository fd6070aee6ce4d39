"""Folds text so that lexicons match what a reader sees: compatibility forms, case, invisible characters, look-alike letters.

One rule: every folded character maps back to the original character it came from, and the whole fold is linear in the length.
"""

from __future__ import annotations

import re
import unicodedata
from array import array

import re2

from core.values import frozen


@frozen
class Folded:
    """Folded text and its way back.

    `offsets`: where each folded character began in the original, with one more entry for the end (`len(text) + 1` entries);
    None where folding moved nothing.
    """

    text: str
    offsets: array[int] | None = None

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        """The original characters `[start, end)` that the folded characters `[start, end)` came from."""
        if self.offsets is None:
            return start, end
        origin = self.offsets[start]
        # The last folded character may stand for several originals (a base letter and its accent): go on to the next origin.
        return origin, max(origin, self.offsets[end])


# Zero-width and directional characters, soft hyphen, variation selectors: invisible, so they must not split a word.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f"
    "\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
)
_COMBINING = "\u0300-\u036f\u0483-\u0487\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f"
_HANGUL_JAMO = "\u1100-\u1112\u1161-\u1175\u11a8-\u11c2"


def _unstable() -> frozenset[str]:
    """All characters to rewrite: invisible, combining, or changed by NFKC. Hangul syllables and CJK ideographs are stable."""
    blocks = ((0xA0, 0x3400), (0xA69C, 0xAC00), (0xF900, 0xFFF0), (0x1D400, 0x1D800), (0x1F100, 0x1F260), (0x2F800, 0x2FA20))
    always = re.compile(f"[{_INVISIBLE}{_COMBINING}{_HANGUL_JAMO}İ]")
    letters = (chr(code) for low, high in blocks for code in range(low, high))
    return frozenset(char for char in letters if always.match(char) or unicodedata.normalize("NFKC", char) != char)


def _char_class(chars: frozenset[str]) -> str:
    """A regex class body of `chars`, as ranges."""
    ranges: list[list[int]] = []
    for code in sorted(map(ord, chars)):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in ranges)


# Changes of one character into one other, which move no offset. The first group is common enough to be replaced by name.
_QUOTES = dict.fromkeys("‘’", "'") | dict.fromkeys("“”„«»", '"') | {"–": "-", "−": "-", "\u2011": "-", "\xa0": " "}
_WIDE_MARKS = dict(zip("，。？！：；（）、", ",.?!:;(),", strict=True))
_WIDE = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {"\u3000": " "}
_WIDE_REST = {char: plain for char, plain in _WIDE.items() if char not in _WIDE_MARKS}
_UNSTABLE_CHARS = _unstable() - _QUOTES.keys() - _WIDE_MARKS.keys() - _WIDE.keys()
_UNSTABLE = re2.compile(f"[{_char_class(_UNSTABLE_CHARS)}]+")
_WIDE_REST_CLASS = re.compile("[\uff01-\uff5e\u3000]")

# Letters of other scripts that look like a Latin one. Lower case only: folding comes first.
_LOOK_ALIKES = {
    **{"а": "a", "е": "e", "о": "o", "р": "p", "с": "c", "у": "y", "х": "x", "і": "i", "ј": "j", "ѕ": "s", "һ": "h"},
    **{"ԁ": "d", "ԛ": "q", "ԝ": "w", "ѵ": "v", "ӏ": "l", "т": "t", "м": "m", "к": "k", "в": "b", "н": "h", "ո": "n", "ս": "u"},
    **{"ο": "o", "α": "a", "ε": "e", "ι": "i", "κ": "k", "ρ": "p", "τ": "t", "υ": "u", "χ": "x", "ν": "v", "ɡ": "g", "ı": "i"},
}
_LOOK_ALIKE_TABLE = str.maketrans(_LOOK_ALIKES)
_GLYPHS = "".join(_LOOK_ALIKES)
_MIXED = re2.compile(f"[a-z][{_GLYPHS}]|[{_GLYPHS}][a-z]")
_LATIN = re.compile("[a-z]")
_WORD = re.compile(r"[^\W\d_]+")


def _needs() -> re2.Set:
    """One automaton over the raw text that says which of the steps of `fold` have anything to do (4 microseconds for 2 kB)."""
    glyphs = "".join(_LOOK_ALIKES) + "".join(char.upper() for char in _LOOK_ALIKES if len(char.upper()) == 1)
    patterns = (
        f"[{''.join(_QUOTES)}]",
        f"[{''.join(_WIDE_MARKS)}]",
        f"[{_char_class(frozenset(_WIDE_REST))}]",
        f"[{_char_class(_UNSTABLE_CHARS)}]",
        f"[A-Za-z][{glyphs}]|[{glyphs}][A-Za-z]",
        f"[{''.join(char for char in glyphs if not char.isascii())}]",
    )
    needs = re2.Set.SearchSet()
    for pattern in patterns:
        needs.Add(pattern)
    needs.Compile()
    return needs


_NEEDS = _needs()
# An ASCII "I" is the capital of a look-alike, so "Il" looks mixed: without a look-alike beyond ASCII there is nothing to do.
_QUOTES_STEP, _WIDE_STEP, _REST_STEP, _UNSTABLE_STEP, _LOOK_ALIKE_STEP, _GLYPH_STEP = range(6)


def fold(text: str) -> Folded:
    """Fold `text`: NFKC, lower case, straight quotes, no invisible characters, look-alikes of mostly-Latin words made Latin.

    ASCII text only changes case and keeps its offsets; so does most other text, since changes of one character into one other
    move nothing. ß stays ß, final sigma stays what `str.lower` makes of it.
    """
    if text.isascii():
        return Folded(text.lower())
    try:
        steps = _NEEDS.Match(text) or ()
    except UnicodeEncodeError:
        # A lone surrogate (JSON allows it) has no UTF-8 form and would stop every byte-wise engine.
        text = text.encode("utf-8", "replace").decode()
        steps = _NEEDS.Match(text) or ()
    offsets: array[int] | None = None
    if steps:
        if _QUOTES_STEP in steps:
            text = _replace(text, _QUOTES)
        if _WIDE_STEP in steps:
            text = _replace(text, _WIDE_MARKS)
        if _REST_STEP in steps:
            text = _WIDE_REST_CLASS.sub(lambda match: _WIDE[match[0]], text)
        if _UNSTABLE_STEP in steps:
            text, offsets = _rewrite(text)
    text = text.lower()
    rewritten = offsets is not None or _REST_STEP in steps
    mixed = _LOOK_ALIKE_STEP in steps and (_GLYPH_STEP in steps or rewritten)
    if mixed or (rewritten and _MIXED.search(text)):
        text = _WORD.sub(_latinise, text)
    return Folded(text, offsets)


def _replace(text: str, table: dict[str, str]) -> str:
    for char, plain in table.items():
        text = text.replace(char, plain)
    return text


def _latinise(match: re.Match[str]) -> str:
    word = match[0]
    if word.isascii() or len(_LATIN.findall(word)) * 2 <= len(word):
        return word
    return word.translate(_LOOK_ALIKE_TABLE)


# The offsets of text that nothing moved, to be sliced: 40 times as fast as counting.
_IDENTITY = array("I", range(1 << 15))


def _count(start: int, end: int) -> array[int]:
    return _IDENTITY[start:end] if end <= len(_IDENTITY) else array("I", range(start, end))


def _rewrite(text: str) -> tuple[str, array[int]]:
    """Rewrite the unstable runs of `text` and say where every character of the result began."""
    parts: list[str] = []
    offsets = array("I")
    done = 0
    for match in _UNSTABLE.finditer(text):
        start, end = match.span()
        if start > done and _COMBINING_CHAR.match(text, start):
            start -= 1  # a base letter belongs to the mark that follows it
        parts.append(text[done:start])
        offsets += _count(done, start)
        _rewrite_run(text, start, end, parts, offsets)
        done = end
    parts.append(text[done:])
    offsets += _count(done, len(text) + 1)
    return "".join(parts), offsets


_COMBINING_CHAR = re.compile(f"[{_COMBINING}]")
_INVISIBLE_CHAR = re.compile(f"[{_INVISIBLE}]")
_CLUSTER = re.compile(rf"[{_INVISIBLE}]|[{_HANGUL_JAMO}]+|[^{_COMBINING}]?[{_COMBINING}]+|.", re.DOTALL)


def _rewrite_run(text: str, start: int, end: int, parts: list[str], offsets: array[int]) -> None:
    for match in _CLUSTER.finditer(text, start, end):
        if _INVISIBLE_CHAR.match(match[0]):
            continue
        # "İ" is the one letter whose lower case is longer than itself.
        plain = unicodedata.normalize("NFKC", match[0]).replace("İ", "i")
        parts.append(plain)
        offsets.extend([match.start()] * len(plain))
