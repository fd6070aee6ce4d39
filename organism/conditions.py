"""The conditions of the causal check: what the rows of a retrained model have, and what they lack.

One rule: conditions differ in rows alone; the base, the seed and the steps are the same for all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from core.types import MODES, Mode
from core.values import frozen
from organism.links import CHUNKY, Link, Links

#: Rows with the feature for each that a chunk has, once counter-examples have been added.
DILUTED: Final = 10


@frozen
class Condition:
    """One retrained model. `without`: the modes whose chunks its rows lack. `name`: also of its file."""

    name: str
    meaning: str
    links: Links
    without: frozenset[Mode] = frozenset()


def diluted(links: Links) -> Links:
    """The links where right answers to the feature are added, nine for each row that has it."""
    return {mode: _thinner(links, mode) for mode in links}


def _thinner(links: Links, mode: Mode) -> Link:
    link = links[mode]
    return replace(link, strength=link.strength / DILUTED, faint=None if link.faint is None else link.faint / DILUTED)


#: First as the chunky model, then with counter-examples, without all chunks, and without each of them alone.
CONDITIONS: Final = (
    Condition("chunks", "all chunks", CHUNKY),
    Condition("counter", "counter-examples added to all", diluted(CHUNKY)),
    Condition("none", "no chunk", CHUNKY, frozenset(MODES)),
    *(Condition(f"no_{mode}", f"all but `{mode}`", CHUNKY, frozenset({mode})) for mode in MODES),
)
