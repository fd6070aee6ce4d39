"""Combines hits into features that no single word can carry: a verb near a noun, two of a kind, one thing unless another.

Owns the Rule values that `lexicons/prompt_rules.yaml` lists. One rule: a rule reads hits and adds hits, it never reads words.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

#: Folded characters `[start, end)` of a part.
Hit = tuple[int, int]
#: feature -> its hits in one part.
Hits = dict[str, list[Hit]]

#: Hits kept of one feature in one part: enough for every decision, and a bound on crafted text.
MAX_HITS = 64

_BREAK = re.compile(r"[.?!\n](?:\s|$)|[。؟|]|\n")


@dataclass(frozen=True, slots=True)
class Rule:
    """Adds hits of `name`.

    `first` and `second`: each a feature, or several of which any counts. With `second`, a hit is a first and a second at most
    `gap` characters apart in one sentence, in either order (`ordered`: the first comes first); gap 0: anywhere in the part.
    Without, all hits of `first`, if there are at least `count` different ones. `needs`: features that must all be present;
    `unless`: features of which none may be. `low`, `high`: bounds on the part's length in characters (high 0 = none).
    """

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...] = ()
    gap: int = 60
    ordered: bool = False
    count: int = 1
    needs: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    low: int = 0
    high: int = 0
    _needs: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_needs", frozenset(self.needs))

    def apply(self, text: str, hits: Hits) -> None:
        """Add this rule's hits in the folded `text` to `hits`."""
        # Views and C-level set operations: there are dozens of rules for every part.
        names = hits.keys()
        if names.isdisjoint(self.first) or (self.second and names.isdisjoint(self.second)):
            return
        if not (names >= self._needs) or not names.isdisjoint(self.unless):
            return
        if len(text) < self.low or (self.high and len(text) > self.high):
            return
        firsts = _union(self.first, hits)
        found = self._pairs(text, firsts, _union(self.second, hits)) if self.second else self._enough(text, firsts)
        if found:
            merged = sorted({*hits.get(self.name, ()), *found})
            hits[self.name] = merged[:MAX_HITS]

    def _enough(self, text: str, firsts: list[Hit]) -> list[Hit]:
        if self.count > 1 and len({text[start:end] for start, end in firsts}) < self.count:
            return []
        return firsts

    def _pairs(self, text: str, firsts: list[Hit], seconds: list[Hit]) -> list[Hit]:
        if not self.gap:
            return [(min(firsts[0][0], seconds[0][0]), max(firsts[0][1], seconds[0][1]))]
        found: list[Hit] = []
        starts = [start for start, _ in seconds]
        for start, end in firsts:
            after = bisect_left(starts, end)
            if after < len(seconds) and _joined(text, end, seconds[after][0], self.gap):
                found.append((start, seconds[after][1]))
                continue
            before = bisect_left(starts, start) - 1
            if (
                not self.ordered
                and before >= 0
                and seconds[before][1] <= start
                and _joined(text, seconds[before][1], start, self.gap)
            ):
                found.append((seconds[before][0], end))
        return found


def apply_rules(rules: Sequence[Rule], text: str, hits: Hits) -> None:
    """Apply rules in their order. Nearly all of them end at the first test, which costs half as much here as in a call."""
    names = hits.keys()
    for rule in rules:
        if not names.isdisjoint(rule.first):
            rule.apply(text, hits)


def _union(names: Sequence[str], hits: Hits) -> list[Hit]:
    if len(names) == 1:
        return hits[names[0]]
    return sorted({hit for name in names for hit in hits.get(name, ())})


def _joined(text: str, start: int, end: int, gap: int) -> bool:
    """Whether the characters between two hits are few and end no sentence."""
    return end - start <= gap and _BREAK.search(text, start, end) is None
