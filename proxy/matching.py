"""How specific a route's match is, and whether two matches can meet: what ties and the router both rest on.

One rule: two matches of equal rank that one request could satisfy are a tie, and a tie is never settled by file order.
"""

from __future__ import annotations

from functools import cache

from proxy.config_model import Match

#: (key given, headers, length of the path prefix, model rank): compared left to right, greater wins.
Rank = tuple[bool, int, int, tuple[bool, int]]


def rank(match: Match) -> Rank:
    """How specific a match is: key, then header, then longest path prefix, then model (exact, then longest glob)."""
    model = match.model or ""
    wild = model.count("*") + model.count("?")
    return (match.key is not None, len(match.header), len(match.path_prefix), (bool(model) and not wild, len(model) - wild))


def tie(one: Match, other: Match) -> bool:
    """Whether a request could take either of two matches with equal right."""
    return rank(one) == rank(other) and may_meet(one, other)


def may_meet(one: Match, other: Match) -> bool:
    """Whether one request can satisfy both matches."""
    if one.key is not None and other.key is not None and one.key != other.key:
        return False
    if any(other.header.get(name, value) != value for name, value in one.header.items()):
        return False
    shorter, longer = sorted((f"{one.path_prefix}/", f"{other.path_prefix}/"), key=len)
    if not longer.startswith(shorter):
        return False
    return one.model is None or other.model is None or globs_meet(one.model, other.model)


def globs_meet(one: str, other: str) -> bool:
    """Whether some text matches both globs (`*` any characters, `?` one)."""

    @cache
    def meet(i: int, j: int) -> bool:
        if i == len(one) or j == len(other):
            return not one[i:].strip("*") and not other[j:].strip("*")
        if one[i] == "*":
            return meet(i + 1, j) or meet(i, j + 1)
        if other[j] == "*":
            return meet(i, j + 1) or meet(i + 1, j)
        return (one[i] == other[j] or "?" in (one[i], other[j])) and meet(i + 1, j + 1)

    return meet(0, 0)
