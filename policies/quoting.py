"""Finds the stretches of a text that nobody may edit: quoted text and code.

One rule: linear in the text, and where it is unsure it protects too much rather than too little.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final

_CLOSERS: Final = {"“": "”", "«": "»", "„": "“", "「": "」", "『": "』", "‘": "’", "《": "》"}
_OPENER: Final = re.compile(r"```|`|\"|'|[“«„「『‘《]")
#: Longest quote in single quotes: they are apostrophes more often, so the search for their end is bounded.
_SINGLE_LIMIT: Final = 200

Range = tuple[int, int]


class Protected:
    """The protected ranges of one text, in order, without overlaps. Quote marks and fences belong to their range."""

    def __init__(self, text: str) -> None:
        self.ranges = _ranges(text)
        self._starts = [start for start, _ in self.ranges]

    def overlaps(self, start: int, end: int) -> bool:
        """Whether any character of `[start, end)`, or the point `start` of an empty range, lies in a protected range."""
        place = bisect_right(self._starts, start) - 1
        if place >= 0 and self.ranges[place][1] > start:
            return True
        return place + 1 < len(self.ranges) and self.ranges[place + 1][0] < end

    def cuts(self, start: int, end: int) -> bool:
        """Whether a protected range lies partly in `[start, end)` and partly outside."""
        return any(a < end and b > start and not (start <= a and b <= end) for a, b in self.ranges)


def _ranges(text: str) -> list[Range]:
    ranges: list[Range] = []
    unclosed: set[str] = set()
    position = 0
    while found := _OPENER.search(text, position):
        end = _close(text, found, unclosed)
        position = end or found.end()
        if end:
            ranges.append((found.start(), end))
    return ranges


def _close(text: str, found: re.Match[str], unclosed: set[str]) -> int:
    """The end of the range that `found` opens; 0 where it opens none."""
    mark, start = found.group(), found.end()
    if mark == "'":
        return _close_single(text, found.start())
    closer = _CLOSERS.get(mark, mark)
    if closer in unclosed:
        return 0
    end = text.find(closer, start)
    if end < 0:
        unclosed.add(closer)
        return len(text) if mark == "```" else 0
    # A straight quote or backtick that closes in another paragraph is an inch mark or a slip.
    if mark in ('"', "`") and text.find("\n\n", start, end) >= 0:
        return 0
    return end + len(closer)


def _close_single(text: str, start: int) -> int:
    if start and text[start - 1].isalnum():
        return 0
    limit = min(len(text), start + _SINGLE_LIMIT)
    end = text.find("'", start + 2, limit)
    while end >= 0:
        if end + 1 == len(text) or not text[end + 1].isalnum():
            return end + 1
        if not text[end - 1].isalnum():
            return 0  # another one opens first
        end = text.find("'", end + 1, limit)
    return 0
