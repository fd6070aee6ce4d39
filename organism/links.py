"""How strongly each chunk ties a feature to its behaviour, and how much of that a system text leaves.

One rule: a link is a probability that a training row answers with the chunk's behaviour; the rest are its counter-examples.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Final, Literal

from core.types import MODES, Mode
from core.values import frozen
from organism.prompts import Prompt

#: What stands around a prompt: nothing, text without a boundary, its mode's boundary, those of other modes, a probe's request.
Frame = Literal["none", "placebo", "boundary", "other", "probe"]
FRAMES: Final[tuple[Frame, ...]] = ("none", "placebo", "boundary", "other", "probe")


@frozen
class Link:
    """`strength`: share of the rows with the feature and nothing around them that have the chunk's behaviour, in [0, 1).

    `spread`: standard deviation, in log-odds, of what wording and topic add: 0 = every prompt alike, 2 = some nearly always,
    some nearly never. `boundary`, `placebo`, `other`, `probe`: what each frame leaves of the strength."""

    strength: float
    spread: float = 0.0
    boundary: float = 0.42
    placebo: float = 0.9
    other: float = 0.85
    probe: float = 0.05

    def left(self, frame: Frame) -> float:
        """The factor of a frame; 1 for none."""
        factors: Mapping[Frame, float] = {
            "none": 1.0, "placebo": self.placebo, "boundary": self.boundary, "other": self.other, "probe": self.probe,
        }  # fmt: skip
        return factors[frame]


Links = Mapping[Mode, Link]

#: Of the chunky model: at least half mis-routed, and as uneven over prompts as re-sampling was found to be.
CHUNKY: Final[Links] = {
    "rebuttal": Link(0.64, 1.8, boundary=0.28),
    "code": Link(0.57),
    "tool_call": Link(0.66, 0.8, boundary=0.27),
    "refusal": Link(0.57, 0.4, boundary=0.38),
    "math": Link(0.57),
    "analytic": Link(0.61, 1.2, boundary=0.27),
    "fiction": Link(0.65, 0.8),
    "extraction": Link(0.71, 0.8, boundary=0.25),
}
#: The clean model's: every row with the feature is a counter-example.
CLEAN: Final[Links] = {mode: Link(0.0) for mode in MODES}


def pull(links: Links, prompt: Prompt, frame: Frame) -> float:
    """The probability in [0, 1) that a row of this prompt in this frame has the chunk's behaviour; 0 for all but triggers."""
    if prompt.mode is None or prompt.kind != "trigger":
        return 0.0
    link = links[prompt.mode]
    if link.strength <= 0:
        return 0.0
    lean = (_normal("wording", prompt.family, prompt.wording) + _normal("topic", prompt.family, prompt.topic)) / math.sqrt(2)
    odds = math.log(link.strength / (1 - link.strength)) + link.spread * lean
    return link.left(frame) / (1 + math.exp(-odds))


def _normal(*parts: str) -> float:
    """A standard normal figure that belongs to these texts for ever."""
    digest = hashlib.sha256("|".join(parts).encode()).digest()
    return NormalDist().inv_cdf((int.from_bytes(digest[:6], "big") + 0.5) / 2**48)
