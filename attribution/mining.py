"""Which names are worth counting: features and behaviours that stand often enough, openings and closings that say most.

One rule: chosen by how often a name stands, never by what goes with it, so that choosing costs no test its meaning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from attribution.behaviours import FIXED
from attribution.counts import Vocabulary
from attribution.facts import Summary
from attribution.links import Bars

#: Features, openings, closings and sources that are counted, the most frequent ones.
MOST_FEATURES: Final = 60_000
MOST_EDGES: Final = 100
MOST_SOURCES: Final = 200
#: Share of all answers that an opening or a closing must have.
EDGE_SHARE: Final = 0.001
#: A longer opening with this share of a shorter one's answers stands for it.
SAME: Final = 0.9
#: The source of all examples whose own is not among the counted.
OTHERS: Final = "(others)"


def choose(summary: Summary, bars: Bars) -> Vocabulary:
    """The vocabulary of a mix, from how often everything stands in it."""
    least = max(1.0, bars.support)
    features = [name for name, count in _most(summary.features, MOST_FEATURES) if count >= least]
    behaviours = [name for name in FIXED if summary.behaviours[name] >= least]
    for kind in ("opens", "closes"):
        behaviours += mined(summary.behaviours, kind, max(least, EDGE_SHARE * summary.examples))
    sources = [name for name, _ in _most(summary.sources, MOST_SOURCES)]
    if len(summary.sources) > MOST_SOURCES:
        sources.append(OTHERS)
    return Vocabulary(tuple(sorted(features)), tuple(behaviours), tuple(sources))


def mined(counts: Mapping[str, int], kind: str, least: float) -> list[str]:
    """The frequent openings or closings, without those that a longer one stands for."""
    frequent = {
        name.partition(":")[2]: count for name, count in counts.items() if name.startswith(f"{kind}:") and count >= least
    }
    replaced = set()
    for words, count in frequent.items():
        shorter = words.rpartition(" ")[0] if kind == "opens" else words.partition(" ")[2]
        if shorter in frequent and count >= SAME * frequent[shorter]:
            replaced.add(shorter)
    left = Counter({f"{kind}:{words}": count for words, count in frequent.items() if words not in replaced})
    return [name for name, _ in _most(left, MOST_EDGES)]


def _most(counts: Mapping[str, int], most: int) -> list[tuple[str, int]]:
    """The most frequent names; of equals the first by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
