"""Many patterns of many languages over one short text: which of them occur, and where.

One rule: what a text costs does not depend on whether a text like it was read before. RE2 builds its automata as texts need
them, and nearly every answer is new: a set whose states multiply is fast in a benchmark that repeats itself, and slow at work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import re2

_LATIN = frozenset({"fr", "es", "it", "pt", "de", "pl", "no", "nl"})
_COUNTED = re.compile(r"\{\d*,(\d+)\}")
#: A gap of at least this many characters multiplies states.
_GAP = 8


class Automaton(Protocol):
    """What RE2 makes of many patterns: numbers of those that occur in some UTF-8, in any order, or None."""

    def Match(self, data: bytes) -> list[int] | None: ...


class Rare:
    """An Automaton of patterns of which a text holds few: it looks for the literals that each of them needs, and runs those
    patterns one by one whose literals are there. Patterns that need no literal share a set."""

    __slots__ = ("_announced", "_by_literal", "_others", "_set")

    def __init__(self, patterns: Sequence[str]) -> None:
        needless = set(_filter(patterns).Match(b"", True) or ())  # even an empty text might hold them
        self._announced = [number for number in range(len(patterns)) if number not in needless]
        self._others = sorted(needless)
        self._by_literal = _filter([patterns[number] for number in self._announced]) if self._announced else None
        self._set = _set([patterns[number] for number in self._others]) if self._others else None

    def Match(self, data: bytes) -> list[int] | None:
        return self._match(data, False)

    def likely(self, data: bytes) -> list[int] | None:
        """As `Match`, for less, and with patterns whose literals occur while they do not."""
        return self._match(data, True)

    def _match(self, data: bytes, potential: bool) -> list[int] | None:
        found = self._by_literal.Match(data, potential) if self._by_literal is not None else None
        others = self._set.Match(data) if self._set is not None else None
        if found is None and others is None:
            return None
        return [*(self._announced[each] for each in found or ()), *(self._others[each] for each in others or ())]


def together(patterns: Sequence[str], *, rare: bool = False) -> Automaton:
    """One automaton of many patterns: a re2.Set, or a Rare.

    A set is faster where few states are built. Patterns with open gaps multiply each other's states, and a text in a new
    language then took up to 4 ms (mean 230 us) for what takes 8 us of a Rare. Raises re2.error.
    """
    return Rare(patterns) if rare else _set(patterns)


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 96 << 20
    options.never_capture = True
    return options


def _set(patterns: Sequence[str]) -> Any:
    many = re2.Set.SearchSet(_options())
    for pattern in patterns:
        many.Add(pattern)
    many.Compile()
    return many


def _filter(patterns: Sequence[str]) -> Any:
    many = re2.Filter()
    for pattern in patterns:
        many.Add(pattern, _options())
    many.Compile()
    return many


class PatternSet:
    """Patterns of many groups behind one automaton (see `together`): which of them occur, and where."""

    def __init__(self, patterns: Iterable[tuple[str, str]], rare: bool = False) -> None:
        rows = list(patterns)
        self._groups = [group for group, _ in rows]
        self._patterns = [re2.compile(pattern, _options()) for _, pattern in rows]
        self._many = together([pattern for _, pattern in rows], rare=rare) if rows else None

    def match(self, data: bytes) -> Sequence[int]:
        """Numbers of the patterns that occur in UTF-8 `data`."""
        return (self._many.Match(data) or ()) if self._many is not None else ()

    def likely(self, data: bytes) -> Sequence[int]:
        """Numbers of the patterns that may occur, for less: of rare ones, those whose literals do."""
        return (self._many.likely(data) or ()) if isinstance(self._many, Rare) else self.match(data)

    def group(self, number: int) -> str:
        return self._groups[number]

    def span(self, number: int, data: bytes) -> tuple[int, int] | None:
        """The first match of pattern `number`, in characters; None where it does not occur."""
        found = self._patterns[number].search(data)
        if found is None:
            return None
        start, end = found.span()
        if data.isascii():
            return start, end
        first = len(data[:start].decode("utf-8", "ignore"))
        return first, first + len(data[start:end].decode("utf-8", "ignore"))


class Region:
    """The patterns that read one part of an exchange: the head of the answer, the prompt, or the system prompt."""

    def __init__(self, groups: Mapping[str, Mapping[str, Any]], region: str) -> None:
        plain: list[tuple[str, str]] = []
        rare: list[tuple[str, str]] = []
        scripts: list[tuple[str, str]] = []
        for group, entry in groups.items():
            for language, patterns in entry.get("patterns", {}).items() if entry["region"] == region else ():
                for pattern in patterns:
                    if pattern.startswith("^"):  # over after a few characters
                        plain.append((group, pattern))
                    elif language == "en":
                        (rare if _has_gap(pattern) else plain).append((group, pattern))
                    else:
                        (rare if language in _LATIN else scripts).append((group, _border(pattern)))
        self._latin = PatternSet(plain), PatternSet(rare, rare=True)
        self._all = (*self._latin, PatternSet(scripts, rare=True))

    def find(self, text: str) -> set[str]:
        """The groups of which a pattern occurs in a lower-cased text."""
        sets, data = self._read(text)
        return {patterns.group(number) for patterns in sets for number in patterns.match(data)}

    def likely(self, text: str) -> list[tuple[PatternSet, int, bytes]]:
        """Every pattern that may occur in a lower-cased text: its set, its number there, and the text in UTF-8.

        Most groups are never asked for: whether a pattern does occur is found out with its place (see `PatternSet.span`)."""
        sets, data = self._read(text)
        return [(patterns, number, data) for patterns in sets for number in patterns.likely(data)]

    def _read(self, text: str) -> tuple[tuple[PatternSet, ...], bytes]:
        data = text.encode("utf-8", "replace")
        return (self._latin if len(data) == len(text) else self._all), data


def _has_gap(pattern: str) -> bool:
    """Whether a pattern passes over many characters of any kind: such patterns multiply the states of a set."""
    return any(int(most) >= _GAP for most in _COUNTED.findall(pattern))


def _border(pattern: str) -> str:
    """RE2's word border knows ASCII letters only: before an accented one it would not hold."""
    return rf"(?:^|[^\pL\d]){pattern[2:]}" if pattern.startswith(r"\b") else pattern
