"""The recipes of the first tier: which labels make which model, with which features, limits and stated false-positive rates.

One rule: nothing here reads a clock or draws a random number; the same inputs rebuild the same files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from detectors.base import FeatureSpec, Limits
from detectors.features import VERSION
from detectors.training import prompt_labels, reply_labels
from detectors.training.examples import Corpus, Rows

#: Ordinary traffic: what the stated false-positive rates are measured on.
ORDINARY = frozenset({"oasst_model_eval", "halueval_general", "tulu_human_eval", "vicuna_blog_eval"})
#: Benign texts that look like positives: sensitive words and frames, corrections of a false premise.
LOOK_ALIKES = frozenset({
    "coconot", "or_bench_subset", "k_overrefusal", "hevs_overrefusal", "oktest", "bullshit_benchmark", "sycon_false_presup",
})  # fmt: skip
#: The `harm` below which a prompt passes for benign, so that a refusal may be asked again, and from which on a refusal is taken
#: for justified. The score is calibrated for these two: a share MISSED of the harmful prompts of unseen sources lies below the
#: first, a share ALARMED of the benign look-alikes above the second.
GATE, TOP = 0.25, 0.9
MISSED, ALARMED = 0.1, 0.005


@dataclass(frozen=True, slots=True)
class LabelRecipe:
    """One label: its corpus, the score it provides, its threshold's false-positive rate, and `drop_words` of `fit`.

    `gate`: the score below which somebody acts, 0 = none."""

    corpus: Callable[[Rows], Corpus]
    provides: str
    rate: float
    drop_words: int = 0
    gate: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """One model. `head`, `tail`: the one length, in bytes, that every training text is cut to."""

    labels: dict[str, LabelRecipe]
    features: FeatureSpec
    limits: Limits
    head: int
    tail: int


def _intent(label: str, rate: float = 0.01) -> LabelRecipe:
    return LabelRecipe(lambda rows: prompt_labels.intent(rows, label), label, rate)


REPLY_FEATURES = FeatureSpec(version=VERSION, rows=2**17, char_orders=(4, 6), opening_words=16)
REPLY_LIMITS = Limits(head_bytes=600, tail_bytes=200, max_bytes=800)

RECIPES = {
    "prompt": Recipe(
        labels={
            "asks_code": LabelRecipe(prompt_labels.asks_code, "asks_code", 0.01),
            "asks_math": _intent("asks_math"),
            "asks_fiction": _intent("asks_fiction"),
            "asks_extraction": _intent("asks_extraction"),
            "asks_check": _intent("asks_check"),
            "asks_tool": _intent("asks_tool"),
            "harm": LabelRecipe(prompt_labels.harm, "harm", 0.05, drop_words=4, gate=GATE),
        },
        features=FeatureSpec(version=VERSION, rows=2**17, char_orders=(4, 6), opening_words=0),
        limits=Limits(head_bytes=9000, tail_bytes=0, window_bytes=1500, max_windows=12, max_bytes=9000),
        head=600,
        tail=0,
    ),
    # alone, because it is read for every answer
    "distress": Recipe(
        labels={"distress": _intent("distress", 0.005)},
        features=FeatureSpec(version=VERSION, rows=2**17, char_orders=(4, 6), opening_words=0),
        limits=Limits(head_bytes=320, tail_bytes=160, max_windows=3, max_bytes=1440),
        head=600,
        tail=0,
    ),
    "response": Recipe(
        labels={
            "refusal": LabelRecipe(reply_labels.refusal, "refusal.present", 0.01),
            "denial": LabelRecipe(reply_labels.denial, "rebuttal.denial", 0.01),
        },
        features=REPLY_FEATURES,
        limits=REPLY_LIMITS,
        head=600,
        tail=200,
    ),
    # what is read of few answers
    "manner": Recipe(
        labels={
            "excused": LabelRecipe(reply_labels.excused, "refusal.excused", 0.01),
            "suspicion": LabelRecipe(reply_labels.suspicion, "rebuttal.suspicion", 0.01),
            "warm": LabelRecipe(reply_labels.warm, "analytic.warm", 0.01),
        },
        features=REPLY_FEATURES,
        limits=REPLY_LIMITS,
        head=600,
        tail=200,
    ),
}
