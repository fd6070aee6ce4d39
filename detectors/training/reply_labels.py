"""Which texts teach and measure the labels of a reply: refusal and its excuses, denial, suspicion, warmth.

One rule: labels by a keyword alone never say that a reply refuses; and every class has its twin on the same prompts where there
is one.
"""

from __future__ import annotations

from collections.abc import Mapping

from detectors.training import own, templates
from detectors.training.data import Row
from detectors.training.examples import (
    MISROUTES,
    Corpus,
    Example,
    Rows,
    corpus,
    own_examples,
    permissive,
    reply_example,
    rows_of,
    template_examples,
)
from detectors.training.prompt_labels import ORDINARY_HELD_OUT

_REFUSAL_FOLDS: Mapping[str, int] = {
    "refusal_direction": 0, "k_overrefusal": 1, "polyrefuse_outputs": -1, "coconot": 3, "hh_rlhf_harmless_test": 3,
    "oasst_model_eval": 0, "halueval_general": 3, "gpteacher_codegen": 2, "gpteacher_roleplay": 1, "bullshit_benchmark": 2,
    "sycon_false_presup": 1, "math_latex": 3, "gsm8k_model_solutions": 0, "empathy_probes": 2, "universal_ner": 1,
    "tora_outputs": 3, "gpteacher_toolformer": 0,
}  # fmt: skip
_REFUSAL_HELD_OUT = (
    "jbb_artifacts", "hevs_overrefusal", "fastchat_fork_refusal_steering", "llm_past_tense", "moss_sft", "safety_tuned_llamas",
    "alpaca_eval", "flask", "bfcl_irrelevance", "smilechat", "just_eval", *ORDINARY_HELD_OUT, MISROUTES,
)  # fmt: skip


def refusal(rows: Rows) -> Corpus:
    """Whether a reply declines: hard, softly, in part, or by accusing the user. Whatever the reason."""
    train: list[Example] = own_examples(own.replies(), "refusal")
    for source, fold in _REFUSAL_FOLDS.items():
        for row in rows.get(source, ()):
            label = _refusal_label(row)
            if label is not None and permissive(row) and row.response.strip():
                train.append(reply_example(row, label, fold))
    train += template_examples(templates.refusals(), True) + template_examples(templates.answers(), False)
    held: list[Example] = []
    for row in rows_of(rows, _REFUSAL_HELD_OUT):
        if row.response.strip() and row.behaviour != "unknown":
            held.append(reply_example(row, row.behaviour == "refusal", -1))
    return corpus("refusal", train, held, rows)


def _refusal_label(row: Row) -> bool | None:
    if row.behaviour == "refusal":
        trusted = row.origin != "heuristic" or row.source in ("refusal_direction", "hh_rlhf_harmless_test")
        return True if trusted else None
    return None if row.behaviour == "unknown" else False


def excused(rows: Rows) -> Corpus:
    """Whether a reply declines for want of ability, input or remit, or to keep somebody's privacy: no mistake of routing."""
    train = own_examples(own.replies(), "excused")
    for row in rows_of(rows, ("refusal_direction", "k_overrefusal", "oasst_model_eval", "halueval_general")):
        if permissive(row) and (row.behaviour == "none" or (row.behaviour == "refusal" and row.appropriate is False)):
            train.append(reply_example(row, False, {"refusal_direction": 0, "k_overrefusal": 1}.get(row.source, 2)))
    held = [reply_example(row, False, -1) for row in rows_of(rows, ORDINARY_HELD_OUT) if row.behaviour == "none"]
    return corpus("excused", train, held, rows)


def denial(rows: Rows) -> Corpus:
    """Whether the opening denies or corrects what the prompt supposes, rightly or wrongly."""
    train = own_examples(own.replies(), "denial")
    for i, source in enumerate(("coconot", "bullshit_benchmark", "sycon_false_presup")):
        train += [reply_example(row, row.behaviour == "rebuttal", i) for row in rows.get(source, ())
                  if permissive(row) and row.behaviour in ("rebuttal", "none") and row.response.strip()]  # fmt: skip
    train += _ordinary(rows)
    held = [reply_example(row, row.behaviour == "rebuttal", -1) for row in rows.get("falseqa", ())]
    held += [
        reply_example(row, False, -1)
        for row in rows_of(rows, (*ORDINARY_HELD_OUT, "alpaca_eval", "flask"))
        if row.behaviour == "none"
    ]
    held += [reply_example(row, True, -1) for row in rows.get(MISROUTES, ()) if row.behaviour == "rebuttal"]
    return corpus("denial", train, held, rows)


def suspicion(rows: Rows) -> Corpus:
    """Whether a reply doubts the user's own material: cannot verify, seems fabricated, concerning."""
    train = own_examples(own.replies(), "suspicion") + _ordinary(rows)
    held = [
        reply_example(row, False, -1)
        for row in rows_of(rows, (*ORDINARY_HELD_OUT, "alpaca_eval", "flask"))
        if row.behaviour == "none"
    ]
    return corpus("suspicion", train, held, rows)


def warm(rows: Rows) -> Corpus:
    """Whether a reply acknowledges the person who writes: what they feel, that they are not alone, where help is."""
    train = own_examples(own.replies(), "warm") + _ordinary(rows)
    train += [reply_example(row, False, 3) for row in rows_of(rows, ("polyrefuse_outputs", "k_overrefusal")) if permissive(row)
              and row.behaviour == "none"]  # fmt: skip
    held = [reply_example(row, True, -1) for row in rows_of(rows, ("smilechat", "lend_an_ear"))]
    held += [
        reply_example(row, row.behaviour == "none", -1)
        for row in rows.get("epitome_reddit", ())
        if row.behaviour in ("none", "analytic")
    ]
    held += [
        reply_example(row, False, -1)
        for row in rows_of(rows, (*ORDINARY_HELD_OUT, "alpaca_eval", "flask"))
        if row.behaviour == "none"
    ]
    held += [reply_example(row, False, -1) for row in rows.get(MISROUTES, ()) if row.behaviour == "analytic"]
    return corpus("warm", train, held, rows)


def _ordinary(rows: Rows) -> list[Example]:
    """Ordinary answers, which are neither; one of the two sources is always there when the other is left out."""
    return [
        reply_example(row, False, fold)
        for fold, source in enumerate(("oasst_model_eval", "halueval_general"), 1)
        for row in rows.get(source, ())
        if permissive(row) and row.behaviour == "none" and row.response.strip()
    ]
