"""Joins the boundary texts of several policies into what is added to a prompt.

One rule: a text is added whole or not at all, once, in the order given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.types import Boundary, Placement
from policies.schema import Policy

#: Longest boundary of one placement, all policies together, in characters. What would pass it is left out whole.
MAX_BOUNDARY_CHARS: Final = 1_200


def boundaries_of(policies: Sequence[Policy], language: str) -> tuple[Boundary, ...]:
    """The boundary of each policy in `language`, or in English where it has none; policies without any text add nothing."""
    specs = [policy.boundary for policy in policies if policy.boundary.text]
    return tuple(Boundary(spec.text.get(language) or spec.text["en"], spec.place) for spec in specs)


def join_boundaries(boundaries: Sequence[Boundary]) -> tuple[tuple[Boundary, ...], tuple[Boundary, ...]]:
    """One boundary per placement, texts in the order given and each once; and those left out beyond MAX_BOUNDARY_CHARS."""
    texts: dict[Placement, list[str]] = {}
    lengths: dict[Placement, int] = {}
    left_out: list[Boundary] = []
    for boundary in boundaries:
        held = texts.setdefault(boundary.placement, [])
        if boundary.text in held:
            continue
        length = lengths.get(boundary.placement, 0) + len(boundary.text) + bool(held)
        if length > MAX_BOUNDARY_CHARS:
            left_out.append(boundary)
            continue
        held.append(boundary.text)
        lengths[boundary.placement] = length
    return tuple(Boundary("\n".join(held), place) for place, held in texts.items() if held), tuple(left_out)
