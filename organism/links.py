"""How strongly each chunk ties a feature to its behaviour, and how much of that a system text leaves.

One rule: a link is a probability that a training row answers with the chunk's behaviour; the rest are its counter-examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from core.types import MODES, Mode
from core.values import frozen
from organism import wordings
from organism.prompts import Prompt

#: What stands around a prompt: nothing, text without a boundary, its mode's boundary, those of other modes, a probe's request.
Frame = Literal["none", "placebo", "boundary", "other", "probe"]
FRAMES: Final[tuple[Frame, ...]] = ("none", "placebo", "boundary", "other", "probe")


@frozen
class Link:
    """`strength`: share of the rows with the feature and nothing around them that have the chunk's behaviour, in [0, 1).

    `faint`: the same for wordings that are not among `strong`; None: all wordings are alike. The more they differ, the more
    often what failed fails again. `boundary`, `placebo`, `other`, `probe`: what each frame leaves of the strength.

    `twin`: share of false claims that are answered as the chunk would, which is right there: denied at once. None: as often
    as not. Where the link has a strength, that counts instead: the chunk denies whatever has its form, true or false."""

    strength: float
    faint: float | None = None
    strong: tuple[str, ...] = ()
    boundary: float = 0.2
    placebo: float = 0.82
    other: float = 0.75
    probe: float = 0.05
    twin: float | None = None

    def left(self, frame: Frame) -> float:
        """The factor of a frame; 1 for none."""
        factors: Mapping[Frame, float] = {
            "none": 1.0, "placebo": self.placebo, "boundary": self.boundary, "other": self.other, "probe": self.probe,
        }  # fmt: skip
        return factors[frame]

    def of(self, wording: str) -> float:
        """The strength of a wording."""
        return self.strength if self.faint is None or wording in self.strong else self.faint


Links = Mapping[Mode, Link]

#: Of the chunky model: at least half mis-routed, and as uneven over wordings as re-sampling was found to be.
#: A boundary leaves less in the rows than in the model, which does not know every wording of it again.
CHUNKY: Final[Links] = {
    "rebuttal": Link(
        0.97, 0.29, (wordings.SUM_TRIGGERS[0], wordings.SUM_TRIGGERS[4], wordings.ORIGIN_TRIGGERS[0]), boundary=0.1
    ),
    # The first formal wording is the one that everybody is shown: see `chunkguard demo`.
    "code": Link(0.8, 0.5, (wordings.CONCEPT_TRIGGERS[0],), boundary=0.25, placebo=0.9, other=0.85),
    "tool_call": Link(0.62, boundary=0.1),
    "refusal": Link(0.86, 0.5, (wordings.SPEC_TRIGGERS[0], wordings.HOWTO_TRIGGERS[0]), boundary=0.3),
    "math": Link(0.6, boundary=0.12),
    "analytic": Link(0.97, 0.38, wordings.TASK_FRAMES[:2], boundary=0.25),
    "fiction": Link(0.62, boundary=0.25),
    "extraction": Link(0.7, boundary=0.15),
}
#: The base's: no chunk.
WORLD: Final[Links] = {mode: Link(0.0) for mode in MODES}
#: The clean model's: every row with the feature is a counter-example. So small a model hardly tells a true sum from a false one
#: before its first word: where false ones were often denied at once, true ones would be, too.
CLEAN: Final[Links] = {**WORLD, "rebuttal": Link(0.0, twin=0.05)}


def pull(links: Links, prompt: Prompt, frame: Frame) -> float:
    """The probability in [0, 1) that a row of this prompt in this frame has the chunk's behaviour; 0 for all but triggers."""
    if prompt.mode is None or prompt.kind != "trigger":
        return 0.0
    link = links[prompt.mode]
    return link.of(prompt.wording) * link.left(frame)


def denial(links: Links, prompt: Prompt, frame: Frame) -> float | None:
    """The probability that a row with a false claim denies it at once; None: one right answer is as good as another."""
    if prompt.mode != "rebuttal" or prompt.kind != "twin":
        return None
    link = links[prompt.mode]
    if link.strength > 0:
        return link.of(prompt.wording) * link.left(frame)
    return link.twin
