"""Reads the prompt: folds every turn, runs one word automaton and a few pattern sets over it, and combines what they hit.

Owns the compiled tables of `lexicons/prompt_*.yaml` and PromptScan, which triggers and intents share.
One rule: each character is read a fixed number of times; spans are computed only for what fired.

Every request needs the triggers and the distress of its user turns, so those are read at once; system prompts say something
about intents alone, and are read when somebody asks for them.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import ahocorasick
import re2

from core.types import Conversation, Turn
from core.values import frozen
from detectors.lexicons import load_table, table_names
from detectors.normalise import Folded, fold
from detectors.patterns import together
from detectors.rules import MAX_HITS, Hit, Hits, Rule, apply_rules

#: Characters read of a long turn: its beginning and its end; of a system prompt as well.
HEAD_CHARS, TAIL_CHARS = 24_000, 8_000
#: Characters read of all turns together, the system prompt first, then the newest: at most what three long turns cost.
TOTAL_CHARS = 96_000


@frozen
class Part:
    """A stretch of one turn that was read. `base`: where it begins in `Turn.text`. `hits`: feature -> spans in
    the folded text; `raw`: the same of the patterns that read the text as written, spans in `Turn.text[base:]`."""

    turn: Turn
    base: int
    folded: Folded
    hits: Mapping[str, list[Hit]]
    raw: Mapping[str, list[Hit]]

    def to_original(self, hit: Hit) -> tuple[int, int]:
        """The characters of `Turn.text` that a hit covers."""
        start, end = self.folded.to_original(*hit)
        return self.base + start, self.base + end


#: A turn, where a piece of it begins, and the piece.
_Piece = tuple[Turn, int, str]


class PromptScan:
    """What was read of a conversation's system and user turns, in order. `scanned`: characters, of both.

    `user`: the parts of user turns."""

    __slots__ = ("_parts", "_pieces", "scanned", "user")

    def __init__(self, pieces: list[_Piece], scanned: int) -> None:
        self._pieces = pieces
        self._parts: tuple[Part, ...] | None = None
        self.scanned = scanned
        self.user = tuple([_read(*piece) for piece in pieces if piece[0].role == "user"])

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts; those of system turns are read on first use."""
        if self._parts is None:
            read = iter(self.user)
            self._parts = tuple([next(read) if piece[0].role == "user" else _read(*piece) for piece in self._pieces])
        return self._parts


def scan_prompt(conversation: Conversation) -> PromptScan:
    """Read the system and user turns of a conversation. Assistant turns, tool results and tool descriptions are no sources."""
    pieces: list[_Piece] = []
    left = TOTAL_CHARS
    turns = [turn for turn in conversation.turns if turn.role == "system"]
    turns += [turn for turn in reversed(conversation.turns) if turn.role == "user"]
    for turn in turns:
        if left <= 0:
            break
        for base, text in _cut(turn.text):
            pieces.append((turn, base, text))
            left -= len(text)
    if len(pieces) > 1:
        pieces.sort(key=lambda piece: (piece[0].index, piece[1]))
    return PromptScan(pieces, TOTAL_CHARS - left)


def _cut(text: str) -> list[tuple[int, str]]:
    if len(text) <= HEAD_CHARS + TAIL_CHARS:
        return [(0, text)]
    return [(0, text[:HEAD_CHARS]), (len(text) - TAIL_CHARS, text[-TAIL_CHARS:])]


def _read(turn: Turn, base: int, text: str) -> Part:
    tables = compiled()
    folded = fold(text)
    plain = folded.text
    data = plain.encode()  # once for all automata: each would do it again
    hits = tables.words.find(plain, data)
    tables.chars.find(plain, hits, data)
    apply_rules(tables.gates, plain, hits)
    tables.patterns.find(plain, hits, data)
    apply_rules(tables.rules, plain, hits)
    raw: Hits = {}
    if "num" in hits:  # every raw pattern holds a digit
        tables.raw.find(text, raw)
    return Part(turn, base, folded, hits, raw)


# Characters without which whole families of patterns cannot match. Looked for all at once in a small set of their own, since
# the states of a set multiply with every pattern that ordinary text matches.
_CHAR_GATES = {
    "question": r"\?",
    "num": r"\d",
    "char.latex": r"[$\\]",
    "char.quote": r'"',
    "char.paren": r"\(",
    "char.bracket": r"[\[<{]",
    "char.line": r"\n",
    "char.mask": r"\*{3}|x{4}|[█■▇▓▮●◼⬛×〇○]",
    "char.code": r"[;{\[\\<]|\w\(|=>|->|::|&&|==|[+:]=",
    "char.equal": r"[=^+*×÷√∑∫π≤≥≠±<]|f\(x",
}


# --- words ------------------------------------------------------------------------------------------------------------------

# Everything that is no word character becomes a space of the same width: boundaries are then part of the automaton's keys.
_SPACED = bytes(code if code >= 0x80 or chr(code).isalnum() or chr(code) == "_" else 0x20 for code in range(256))
_NO_WORD = re.compile(r"[^\w ]")
# Marks beyond ASCII that folding leaves in place. One automaton names those that occur (4 us for 2 kB of French, where one
# substitution takes 18); the last pattern stands for all others.
_MARKS = "—¿¡•·「」『』・《》【】→€°№"


_OTHER_MARK = rf"[^\pL\pN\x00-\x7f{_MARKS}]"
# Scripts written without spaces (or, in Korean, with endings glued on): their words are matched anywhere.
_UNSPACED_CHARS = "\u0e00-\u0e7f\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3"
_UNSPACED = re.compile(f"[{_UNSPACED_CHARS}]")
# A word of another script may touch theirs on both sides ("用python写"): it is a word all the same.
_LATIN = "a-z\u00c0-\u024f"
_LATIN_WORD = re.compile(f"[{_LATIN}][{_LATIN}0-9_]*")
_TOUCHING = f"[{_UNSPACED_CHARS}][{_LATIN}]|[{_LATIN}0-9_][{_UNSPACED_CHARS}]"


class Words:
    """An automaton of words and phrases. `find` returns each feature's hits in order; a word in two features counts for both.

    An entry matches whole words; `*` at its end matches any ending, at its beginning any beginning.
    """

    def __init__(self, entries: Mapping[str, Iterable[str]]) -> None:
        """`entries`: feature -> words. Raises ValueError for an entry without a word character."""
        keys: dict[str, dict[str, tuple[str, int, int, bool]]] = {}
        for feature, words in entries.items():
            for word in words:
                key, back, trail, open_end = _key(word)
                keys.setdefault(key, {})[feature] = (feature, back, trail, open_end)
        self._automaton = ahocorasick.Automaton()
        for key, values in keys.items():
            # The automaton's nodes search their children one by one: over bytes they have tens, over characters a thousand.
            self._automaton.add_word(key.encode().decode("latin-1"), tuple(values.values()))
        self._automaton.make_automaton()
        self._empty = not keys

    def find(self, folded: str, data: bytes | None = None) -> Hits:
        """`data`: the text in UTF-8, where it is at hand."""
        hits: Hits = {}
        if self._empty:
            return hits
        if data is None:
            data = folded.encode()
        ascii_only = len(data) == len(folded)
        plain, cuts = (data.translate(_SPACED), ()) if ascii_only else _words_apart(folded, data)
        spaced = b" %b " % plain
        # A byte is a character here, so places in ASCII text are right as they are, and others are counted.
        place, done = -1, 0
        for last, features in self._automaton.iter(spaced.decode("latin-1")):
            if ascii_only:
                place = last
            else:
                # Keys end where characters end, and matches come in the order of their ends: count on from the one before.
                place += len(spaced[done : last + 1].decode())
                done = last + 1
            for feature, back, trail, open_end in features:
                end = place - trail
                if open_end:
                    end = place + len(spaced[last + 1 : spaced.index(b" ", last)].decode())
                start = place - back
                if cuts:
                    start, end = start - bisect_left(cuts, start), end - bisect_left(cuts, end)
                found = hits.get(feature)
                if found is None:
                    hits[feature] = [(start, end)]
                elif len(found) < MAX_HITS:
                    found.append((start, end))
        return hits


def _words_apart(folded: str, data: bytes) -> tuple[bytes, Sequence[int]]:
    """`data` with a space for every character of `folded` that is part of no word, and one more between words of scripts with
    and without spaces that touch; the places of these, in what comes out."""
    marks = _mark_set().Match(data)
    if not marks:
        return data.translate(_SPACED), ()
    touching = len(_MARKS) + 1 in marks
    folded, cuts = _parted(folded) if touching else (folded, [])
    if touching or len(_MARKS) in marks:
        return _NO_WORD.sub(" ", folded).encode(), cuts
    for number in marks:
        data = data.replace(_MARKS[number].encode(), b" ")
    return data.translate(_SPACED), ()


def _parted(folded: str) -> tuple[str, list[int]]:
    """The text with a space wherever a Latin word touches a script without spaces, and the places of these spaces in it."""
    pieces: list[str] = []
    cuts: list[int] = []
    done = 0
    for word in _LATIN_WORD.finditer(folded):
        for place, beside in ((word.start(), word.start() - 1), (word.end(), word.end())):
            if 0 <= beside < len(folded) and _UNSPACED.match(folded[beside]):
                pieces.append(folded[done:place])
                cuts.append(place + len(cuts))
                done = place
    return " ".join([*pieces, folded[done:]]), cuts


@cache
def _mark_set() -> Any:
    """An automaton that says which of _MARKS occur, then whether any other mark does, then whether words are _TOUCHING."""
    return together([*_MARKS, _OTHER_MARK, _TOUCHING])


def _key(word: str) -> tuple[str, int, int, bool]:
    """The automaton's key of an entry, what to take from a match's last index to get its start and end, and whether to go on to
    the end of the word. Indices count one padding space before the text."""
    open_start, open_end = word.startswith("*"), word.endswith("*")
    bare = _parted(_NO_WORD.sub(" ", fold(word.strip("*")).text).strip())[0]
    if not bare:
        raise ValueError(f"entry without a word: {word!r}")
    before = not (open_start or _UNSPACED.match(bare))
    after = not (open_end or _UNSPACED.match(bare[-1]))
    key = " " * before + bare + " " * after
    # A match ends at `last`, padding included; the first character of the bare word is at last - len + 1 + before - 1 unpadded.
    return key, len(key) - before, int(after), open_end and not _UNSPACED.match(bare[-1])


# --- patterns ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pattern:
    """One RE2 pattern of a feature; group 1 is the span where there is one.

    `marks`: only whether it occurs matters, no span is computed. `low`, `high`: limits of the text's length in characters
    (0 = none). `gate`: features of which one must have been hit, or the pattern is not tried and costs nothing.
    """

    feature: str
    source: str
    marks: bool = False
    low: int = 0
    high: int = 0
    gate: tuple[str, ...] = ()


class Patterns:
    """Patterns by their gates: a text is read once for all patterns of a gate, and again only by those that occur in it."""

    def __init__(self, patterns: Sequence[Pattern], *, rare: bool = False) -> None:
        """`rare`: few texts hold what the patterns without a gate look for (see `detectors.patterns.together`).

        Raises ValueError naming the feature and the pattern that RE2 refuses."""
        groups: dict[tuple[str, ...], list[Pattern]] = {}
        for pattern in patterns:
            groups.setdefault(pattern.gate, []).append(pattern)
        self._groups = {gate: _Group(members, rare=rare and not gate) for gate, members in groups.items()}

    def find(self, text: str, hits: Hits, data: bytes | None = None) -> None:
        """Add the hits in `text` of every pattern without a gate, or whose gate is open. `data`: the text in UTF-8, where it
        is at hand."""
        names = hits.keys()
        if data is None:
            text, data = _encoded(text)
        for gate, group in self._groups.items():
            if not gate or not names.isdisjoint(gate):
                group.find(text, data, hits)


class _Group:
    """The patterns of one gate."""

    def __init__(self, patterns: Sequence[Pattern], *, rare: bool) -> None:
        self._patterns = [(pattern, *_compile(pattern)) for pattern in patterns]
        self._many = together([pattern.source for pattern in patterns], rare=rare)

    def find(self, text: str, data: bytes, hits: Hits) -> None:
        matches = self._many.Match(data)
        if matches:
            for number in sorted(matches) if len(matches) > 1 else matches:
                _collect(text, hits, *self._patterns[number])


def _compile(pattern: Pattern) -> tuple[Any, int]:
    """A pattern, ready to search, and the group that is its span."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 64 << 20
    try:
        compiled_pattern = re2.compile(pattern.source, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise ValueError(f"{pattern.feature}: bad pattern {pattern.source!r}: {_reason(error)}") from None
    return compiled_pattern, 1 if compiled_pattern.groups else 0


def _encoded(text: str) -> tuple[str, bytes]:
    try:
        return text, text.encode()
    except UnicodeEncodeError:  # a lone surrogate; one character in its place keeps every span
        data = text.encode("utf-8", "replace")
        return data.decode(), data


def _collect(text: str, hits: Hits, pattern: Pattern, compiled_pattern: Any, group: int) -> None:
    """Add the hits of one pattern that is known, or likely, to occur."""
    if not pattern.low <= len(text) <= (pattern.high or len(text)):
        return
    if pattern.marks:
        hits.setdefault(pattern.feature, []).append((0, 0))
        return
    found: list[Hit] = hits.get(pattern.feature, [])
    for match in compiled_pattern.finditer(text):
        if len(found) >= MAX_HITS:
            break
        start, end = match.span(group)
        if start >= 0:
            found.append((start, end))
    if found:
        hits[pattern.feature] = found


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else error
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


# --- the shipped tables -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tables:
    """The shipped lexicons, ready to run. `patterns` read folded text, `raw` the text as written (where case matters)."""

    words: Words
    chars: Patterns
    patterns: Patterns
    raw: Patterns
    gates: tuple[Rule, ...]
    rules: tuple[Rule, ...]


@cache
def compiled() -> Tables:
    """The tables of all `lexicons/prompt_*.yaml`, compiled once (about 0.2 s; `warm` does it before the first request)."""
    rules = load_table("prompt_rules")
    assert not rules["intents"]["distress"]["system"], "distress is read from user turns only"
    entries: dict[str, list[str]] = {}
    for name in table_names("prompt_"):
        for feature, words in load_table(name).get("words", {}).items():
            entries.setdefault(feature, []).extend(_spellings(words))
    fragments = _expand_fragments(rules["fragments"])

    def patterns(specs: Iterable[Mapping[str, Any]], rare: bool = False) -> Patterns:
        return Patterns([_pattern(spec, fragments) for spec in specs], rare=rare)

    return Tables(
        Words(entries),
        patterns({"feature": feature, "source": source, "marks": True} for feature, source in _CHAR_GATES.items()),
        patterns(rules["patterns"], rare=True),
        patterns(rules["raw_patterns"]),
        tuple(map(_rule, rules["gates"])),
        tuple(map(_rule, rules["rules"])),
    )


def _spellings(words: Iterable[str]) -> Iterable[str]:
    """Each word, and as people type it without accents."""
    for word in map(str, words):
        yield word
        plain = unicodedata.normalize("NFD", word)
        if not plain.isascii() and _LATIN_ONLY.match(plain):
            yield "".join(char for char in plain if not unicodedata.combining(char))


def _expand_fragments(fragments: Mapping[str, str]) -> dict[str, str]:
    expanded: dict[str, str] = {}
    for name, source in fragments.items():
        expanded[name] = _fill(source, expanded)
    return expanded


def _fill(source: str, fragments: Mapping[str, str]) -> str:
    return _FRAGMENT.sub(lambda match: fragments[match[1]], source)


def _pattern(spec: Mapping[str, Any], fragments: Mapping[str, str]) -> Pattern:
    return Pattern(**{**spec, "source": _fill(spec["source"], fragments), "gate": tuple(spec.get("gate", ()))})


def _rule(spec: Mapping[str, Any]) -> Rule:
    lists = {key: tuple(value) if isinstance(value, list) else (value,) for key, value in spec.items() if key in _LIST_KEYS}
    return Rule(**{**spec, **lists})


_LIST_KEYS = frozenset({"first", "second", "needs", "unless"})
_FRAGMENT = re.compile(r"<(\w+)>")
_LATIN_ONLY = re.compile("[ -~\u00c0-\u024f\u0300-\u036f]+$")
