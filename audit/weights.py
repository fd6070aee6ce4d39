"""Which attributes to try: Thompson sampling, mode by mode, with shrinkage from attribute to group to all.

One rule: a draw depends on the tallies and on the given source of chance alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from audit.grammar import Candidate
from audit.pool import Attribute, Pool, Slot
from core.types import Mode

#: How many prompts' worth an estimate is pulled towards the one above it.
_PULL: Final = 4.0
#: Chance that an optional slot is used at all.
_USED: Final[Mapping[Slot, float]] = {"before": 0.2, "style": 0.1, "after": 0.2}
#: Share of mis-routed answers that is expected before anything is known.
_BASE: Final = 0.05


class Weights:
    """Tallies of judged answers by group and attribute. `asked`: answers; `hits`: by `mode/name` those mis-routed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.asked: Counter[str] = Counter()
        self.hits: Counter[str] = Counter()

    def add(self, candidate: Candidate, n: int, hits: Mapping[Mode, int]) -> None:
        for name in self._keys(candidate):
            self.asked[name] += n
            for mode, count in hits.items():
                self.hits[f"{mode}/{name}"] += count

    def _keys(self, candidate: Candidate) -> list[str]:
        names = candidate.names()
        return [*names, *(self._pool.attributes[name].group for name in names), "all"]

    def _rate(self, mode: Mode, name: str, above: float) -> tuple[float, float]:
        """Parameters of the Beta distribution of a rate."""
        hits, n = self.hits[f"{mode}/{name}"], self.asked[name]
        return hits + _PULL * above, max(0.0, n - hits) + _PULL * (1 - above)

    def mean(self, mode: Mode, group: str, name: str = "") -> float:
        """The shrunk rate of a group, or of an attribute in it, in (0, 1)."""
        up, down = self._rate(mode, "all", _BASE)
        up, down = self._rate(mode, group, up / (up + down))
        if name:
            up, down = self._rate(mode, name, up / (up + down))
        return up / (up + down)

    def _draw(self, mode: Mode, name: str, above: float, rng: Random) -> float:
        up, down = self._rate(mode, name, above)
        return rng.betavariate(up, down)

    def _group(self, mode: Mode, names: Sequence[str], rng: Random, handicap: Mapping[str, float]) -> str:
        above = self.mean(mode, "all")
        return max(names, key=lambda name: self._draw(mode, name, above, rng) * handicap.get(name, 1.0))

    def _member(self, mode: Mode, group: Sequence[Attribute], rng: Random) -> str:
        above = self.mean(mode, group[0].group)
        return max((one.name for one in group), key=lambda name: self._draw(mode, name, above, rng))

    def propose(self, mode: Mode, rng: Random, handicap: Mapping[str, float]) -> Candidate:
        """A candidate for a mode. `handicap`: group -> factor on its draw, for what is found already."""
        groups = self._pool.groups
        ask_group = self._group(mode, tuple(groups["ask"]), rng, handicap)
        ask = self._member(mode, groups["ask"][ask_group], rng)
        topics = self._pool.topics(self._pool.attributes[ask])
        topic = self._member(mode, topics[self._group(mode, tuple(topics), rng, handicap)], rng)
        extra = {}
        for slot, share in _USED.items():
            if rng.random() < share:
                extra[slot] = self._member(mode, groups[slot][self._group(mode, tuple(groups[slot]), rng, handicap)], rng)
        return Candidate(ask, topic, **extra)


def uniform(pool: Pool, rng: Random) -> Candidate:
    """A candidate of the control arm: every attribute of a slot is as likely as any other."""
    ask = rng.choice(pool.of("ask"))
    topic = rng.choice([one for group in pool.topics(ask).values() for one in group])
    extra = {slot: rng.choice(pool.of(slot)).name for slot, share in _USED.items() if rng.random() < share}
    return Candidate(ask.name, topic.name, **extra)
