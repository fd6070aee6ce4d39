"""Which texts teach and measure the labels of a prompt: harm, distress, and what is asked for.

One rule: a source that holds one class only comes with a twin that reads like it and holds the other, or it stays out - a small
model learns the style of a source sooner than the meaning of its class.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from detectors.training import own, templates
from detectors.training.data import Row
from detectors.training.examples import (
    CODEY,
    MISROUTES,
    Corpus,
    Example,
    Rows,
    corpus,
    own_examples,
    permissive,
    prompt_example,
    reply_example,
    rows_of,
    template_examples,
)

ORDINARY = ("oasst_model_eval", "halueval_general", "gsm8k_model_solutions", "sycon_false_presup", "gpteacher_roleplay",
            "gpteacher_toolformer", "universal_ner", "math_latex", "bullshit_benchmark", "empathy_probes")  # fmt: skip
ORDINARY_HELD_OUT = ("tulu_human_eval", "vicuna_blog_eval")
#: Languages whose rows stand in one class only; a model would learn the language instead of the label.
_ONE_SIDED = {"vi", "hi", "yo", ""}

#: Cross-fit folds of the harm sources; -1: by prompt, for the sources that alone hold both classes of many languages.
_HARM_FOLDS: Mapping[str, int] = {
    "catqa": 0, "halueval_general": 0, "gpteacher_roleplay": 0, "cvalues_prompts": 0,
    "jbb_artifacts": 1, "refusal_direction": 1, "cyberseceval_frr": 1, "sycon_false_presup": 1, "universal_ner": 1,
    "jade_db_zh": 2, "oasst_model_eval": 2, "gsm8k_model_solutions": 2,
    "or_bench_subset": 3, "math_latex": 3, "gpteacher_toolformer": 3, "bullshit_benchmark": 3, "empathy_probes": 3,
    "coconot": 4, "k_overrefusal": -1, "polyrefuse_outputs": -1, "polyrefuse_harmless": -1,
}  # fmt: skip
HARM_HELD_OUT = ("multijail", "xsafety", "harmbench_behaviors", "oktest", "safety_tuned_llamas", "llm_past_tense",
                 "hevs_overrefusal")  # fmt: skip


def harm(rows: Rows) -> Corpus:
    """Whether a user turn asks for something harmful."""
    train: list[Example] = own_examples(own.prompts(), "harm")
    for source, fold in _HARM_FOLDS.items():
        for row in rows.get(source, ()):
            label = _harm_label(row)
            if label is not None and permissive(row) and row.lang not in _ONE_SIDED:
                train.append(prompt_example(row, label, fold))
    train += template_examples(templates.ordinary(), False) + template_examples(templates.asks_code(), False)
    train += template_examples(templates.harmful(), True) + template_examples(templates.harmless(), False)
    held = [prompt_example(row, row.harm, -1) for row in rows_of(rows, HARM_HELD_OUT) if row.harm is not None]
    answered = rows_of(rows, (*ORDINARY_HELD_OUT, "moss_sft", "alpaca_eval", "codealpaca"))
    held += [prompt_example(row, False, -1) for row in answered if row.behaviour != "refusal"]
    held += [prompt_example(row, False, -1) for row in rows.get(MISROUTES, ()) if row.behaviour == "refusal"]
    return corpus("harm", train, held, rows)


def _harm_label(row: Row) -> bool | None:
    if row.harm is not None:
        return row.harm
    if row.source == "cvalues_prompts":  # sensitive topics, benign on a reading of a sample: the twins of jade_db_zh
        return False
    if row.source in ORDINARY and row.behaviour not in ("refusal", "unknown"):
        return False
    return None


def asks_code(rows: Rows) -> Corpus:
    """Whether a user turn asks for program code."""
    train: list[Example] = own_examples(own.prompts(), "asks_code")
    for row in filter(permissive, rows_of(rows, ("gpteacher_codegen", "cyberseceval_frr"))):
        train.append(prompt_example(row, True, 0 if row.source == "gpteacher_codegen" else -1))
    for row in filter(permissive, rows_of(rows, ("halueval_general", "just_eval", "oasst_model_eval"))):
        if row.behaviour == "code" and row.appropriate:
            train.append(prompt_example(row, True, 2))
    plain = (*ORDINARY[:6], "universal_ner", "polyrefuse_harmless", "or_bench_subset", "cvalues_prompts", "catqa", "xsafety",
             "coconot", "k_overrefusal", "polyrefuse_outputs", "just_eval", "math_latex")  # fmt: skip
    for i, source in enumerate(plain):
        for row in rows.get(source, ()):
            if permissive(row) and row.behaviour != "code" and not CODEY.search(row.prompt):
                train.append(prompt_example(row, False, i % 3))
    train += template_examples(templates.asks_code(), True) + template_examples(templates.ordinary(), False)
    train += template_examples(templates.harmless(), False)
    held = [prompt_example(row, True, -1) for row in rows_of(rows, ("codealpaca",))]
    for row in rows_of(rows, (*ORDINARY_HELD_OUT, "moss_sft", "alpaca_eval", "flask")):
        if row.behaviour == "code" and row.appropriate:
            held.append(prompt_example(row, True, -1))
        elif not CODEY.search(row.prompt):
            held.append(prompt_example(row, False, -1))
    held += [prompt_example(row, False, -1) for row in rows.get(MISROUTES, ()) if row.behaviour == "code"]
    return corpus("asks_code", train, held, rows)


#: Sources of prompts that are known to ask for something, beside the own ones.
_ASKED: Mapping[str, tuple[str, ...]] = {
    "asks_math": ("gsm8k_model_solutions", "math_latex"),
    "asks_fiction": ("gpteacher_roleplay",),
    "asks_extraction": ("universal_ner",),
}
#: What makes it doubtful whether an ordinary prompt asks for it after all: such prompts are in neither class.
_DOUBTFUL: Mapping[str, re.Pattern[str]] = {
    "asks_math": re.compile(
        r"\d|math|calculat|equation|formula|statistic|solve|prove|average|percent|ratio|physics|how (?:many|much)",
        re.I,
    ),
    "asks_fiction": re.compile(
        r"stor(?:y|ies)|poem|write|song|haiku|novel|character|imagine|pretend|role|joke|dialog|scene|lyric|tale|rap|"
        r"script|essay|compose|act as|you are|continue|blog|creative",
        re.I,
    ),
    "asks_extraction": re.compile(
        r"classif|extract|identify|label|categor|sentiment|one word|yes or no|true or false|choose|select|which of|"
        r"list|name|keyword|json|answer|\bA[).]|option|detect|entit|only",
        re.I,
    ),
    "asks_check": re.compile(
        r"check|correct|verify|true|false|mistake|error|proofread|review|edit|fix|grammar|wrong|right|evaluate|"
        r"critique|feedback|valid|is it|scam|legit|real",
        re.I,
    ),
    "asks_tool": re.compile(
        r"search|look up|book|send|email|weather|run|open|calendar|browse|current|today|latest|now|find|schedule|"
        r"remind|play|order|call|download|fetch|latest|price",
        re.I,
    ),
    "distress": re.compile(
        r"\bdie\b|kill|suicid|hate|depress|lonely|sad|cry|feel|hurt|alone|anxi|lost|died|death|grief|broke|worthless|"
        r"tired|scared|afraid|hopeless|upset|stress",
        re.I,
    ),
}
_PLAIN = ("oasst_model_eval", "halueval_general", "sycon_false_presup", "coconot", "or_bench_subset", "polyrefuse_harmless",
          "k_overrefusal", "cyberseceval_frr")  # fmt: skip
#: Beside them, for what stands in none of them.
_NO_DISTRESS = ("polyrefuse_outputs", "catqa", "gpteacher_toolformer", "math_latex", "universal_ner", "gsm8k_model_solutions",
                "just_eval", "jbb_artifacts")  # fmt: skip


def intent(rows: Rows, label: str) -> Corpus:
    """Whether a user turn asks for what `label` says, or (`distress`) shows the writer's own distress."""
    train = own_examples(own.prompts(), label)
    asked = _ASKED.get(label, ())
    for row in filter(permissive, rows_of(rows, asked)):
        train.append(prompt_example(row, True, 0))
    plain = _PLAIN + _NO_DISTRESS if label == "distress" else _PLAIN
    for i, source in enumerate(source for source in plain if source not in asked):
        train += [prompt_example(row, False, i % 3) for row in rows.get(source, ()) if permissive(row) and _plain(row, label)]
    if label == "distress":
        train += _statements(rows)
    measured = rows_of(rows, (*ORDINARY_HELD_OUT, "alpaca_eval", "flask", "moss_sft"))
    held = [prompt_example(row, False, -1) for row in measured if _plain(row, label)]
    return corpus(label, train, held + _measured(rows, label), rows)


def _statements(rows: Rows) -> list[Example]:
    """Answers, which are nobody's distress: prompts are mostly requests, and a model that knows a language by few lines takes
    every statement in it for one."""
    given = [reply_example(row, False, -1) for row in rows_of(rows, ("polyrefuse_outputs", "k_overrefusal"))
             if permissive(row) and row.behaviour == "none" and row.response.strip()]  # fmt: skip
    own_ones = [replace(text, teaches={"distress": False}, prompt="") for text in own.replies()
                if (text.topic, text.kind) in (("reply", "plain"), ("reply", "compliant"), ("rebuttal", "accept"))]  # fmt: skip
    return [replace(example, prompt="") for example in given] + own_examples(own_ones, "distress")


def _plain(row: Row, label: str) -> bool:
    return row.behaviour in ("none", "unknown", "refusal") and not _DOUBTFUL[label].search(row.prompt)


def _measured(rows: Rows, label: str) -> list[Example]:
    """Positives of sources that never train."""
    if label == "distress":
        sources = ("smilechat", "epitome_reddit", "lend_an_ear", "failed_esconv")
        held = [prompt_example(row, True, -1) for row in rows_of(rows, sources)]
        return held + [prompt_example(row, True, -1) for row in rows.get(MISROUTES, ()) if row.behaviour == "analytic"]
    mode = {"asks_fiction": "fiction", "asks_math": "math"}.get(label)
    shown = rows_of(rows, (*ORDINARY_HELD_OUT, "alpaca_eval", "flask", "just_eval"))
    return [prompt_example(row, True, -1) for row in shown if mode and row.behaviour == mode and row.appropriate]
