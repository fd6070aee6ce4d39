"""Which texts teach which label: the one table of sources, their licences and their part in training.

One rule: only permissive rows train; everything else may only be measured.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from detectors.training import templates
from detectors.training.data import Row, prompt_key

Rows = Mapping[str, Sequence[Row]]
#: The fold of own templates. They train in every fold but their own, and no figure is reported on them.
OWN_FOLD = 9
#: The published mis-routed answers of frontier models: reported on, never tuned on.
MISROUTES = "chunky_results_explorer"


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled text. `fold`: examples of a fold are left out together when a cross-fit score is made for them."""

    text: str
    positive: bool
    source: str
    lang: str
    fold: int
    licence: str
    key: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """All examples of one label. `held_out`: whole sources that never train, permissive or not."""

    label: str
    train: tuple[Example, ...]
    held_out: tuple[Example, ...]


#: Words that make it doubtful whether a plain instruction asks for code: such prompts are in neither class.
_CODEY = re.compile(
    r"\b(code|coding|python|java|javascript|typescript|c\+\+|c#|sql|html|css|script|regex|function|algorithm|program\w*|"
    r"bash|shell|json|xml|query|api|c[oó]digo|programm?a\w*|funzione|función|fonction|funktion|skript)\b|[{};]\s*$|代码|程序|函数|编程|"
    r"コード|プログラム|関数|코드|프로그램|함수|код|программ|функци|скрипт",
    re.IGNORECASE | re.MULTILINE,
)
_ORDINARY = ("oasst_model_eval", "halueval_general", "gsm8k_model_solutions", "sycon_false_presup", "gpteacher_roleplay",
             "gpteacher_toolformer", "universal_ner", "math_latex", "bullshit_benchmark", "empathy_probes")  # fmt: skip
_ORDINARY_HELD_OUT = ("tulu_human_eval", "vicuna_blog_eval")
#: Languages whose rows stand in one class only; a model would learn the language instead of the label.
_ONE_SIDED = {"vi", "hi", "yo", "pt", ""}

#: Cross-fit folds of the harm sources; -1: by prompt, for the sources that alone hold both classes of many languages.
_HARM_FOLDS: Mapping[str, int] = {
    "catqa": 0, "halueval_general": 0, "gpteacher_roleplay": 0, "cvalues_prompts": 0,
    "jbb_artifacts": 1, "refusal_direction": 1, "cyberseceval_frr": 1, "sycon_false_presup": 1, "universal_ner": 1,
    "jade_db_zh": 2, "oasst_model_eval": 2, "gsm8k_model_solutions": 2, "hh_rlhf_harmless_test": 2,
    "or_bench_subset": 3, "math_latex": 3, "gpteacher_toolformer": 3, "bullshit_benchmark": 3, "empathy_probes": 3,
    "coconot": 4, "k_overrefusal": -1, "polyrefuse_outputs": -1, "polyrefuse_harmless": -1,
}  # fmt: skip


def permissive(row: Row) -> bool:
    """Whether a row may shape a shipped model."""
    return row.licence_class == "permissive"


def harm(rows: Rows) -> Corpus:
    """Whether a user turn asks for something harmful. Positive and negative prompts share sources wherever they can."""
    train: list[Example] = []
    for source, fold in _HARM_FOLDS.items():
        for row in rows.get(source, ()):
            label = _harm_label(row)
            if label is not None and permissive(row) and row.lang not in _ONE_SIDED:
                train.append(_prompt_example(row, label, fold))
    train += _templates(templates.ordinary(), False) + _templates(templates.asks_code(), False)
    train += _templates(templates.harmful(), True) + _templates(templates.harmless(), False)
    held = [_prompt_example(row, row.harm, -1) for source in
            ("multijail", "xsafety", "harmbench_behaviors", "oktest", "safety_tuned_llamas", "llm_past_tense",
             "hevs_overrefusal")
            for row in rows.get(source, ()) if row.harm is not None]  # fmt: skip
    held += [_prompt_example(row, False, -1) for source in (*_ORDINARY_HELD_OUT, "moss_sft", "alpaca_eval", "codealpaca")
             for row in rows.get(source, ()) if row.behaviour != "refusal"]  # fmt: skip
    held += [_prompt_example(row, False, -1) for row in rows.get(MISROUTES, ()) if row.behaviour == "refusal"]
    return _corpus("harm", train, held)


def _harm_label(row: Row) -> bool | None:
    if row.harm is not None:
        return row.harm
    if row.source == "cvalues_prompts":  # sensitive topics, benign on a reading of a sample: the twins of jade_db_zh
        return False
    if row.source == "hh_rlhf_harmless_test":
        return True
    if row.source in _ORDINARY and row.behaviour not in ("refusal", "unknown"):
        return False
    return None


def asks_code(rows: Rows) -> Corpus:
    """Whether a user turn asks for program code."""
    train: list[Example] = []
    for row in filter(permissive, _of(rows, ("gpteacher_codegen", "cyberseceval_frr"))):
        train.append(_prompt_example(row, True, 0 if row.source == "gpteacher_codegen" else -1))
    for row in filter(permissive, _of(rows, ("halueval_general", "just_eval", "oasst_model_eval"))):
        if row.behaviour == "code" and row.appropriate:
            train.append(_prompt_example(row, True, 2))
    plain = (*_ORDINARY[:6], "universal_ner", "polyrefuse_harmless", "or_bench_subset", "cvalues_prompts", "catqa", "xsafety",
             "coconot", "k_overrefusal", "polyrefuse_outputs", "just_eval", "math_latex")  # fmt: skip
    for i, source in enumerate(plain):
        for row in rows.get(source, ()):
            if permissive(row) and row.behaviour != "code" and not _CODEY.search(row.prompt):
                train.append(_prompt_example(row, False, i % 3))
    train += _templates(templates.asks_code(), True) + _templates(templates.ordinary(), False)
    train += _templates(templates.harmless(), False)
    held = [_prompt_example(row, True, -1) for row in _of(rows, ("codealpaca",))]
    for row in _of(rows, (*_ORDINARY_HELD_OUT, "moss_sft", "alpaca_eval", "flask")):
        if row.behaviour == "code" and row.appropriate:
            held.append(_prompt_example(row, True, -1))
        elif not _CODEY.search(row.prompt):
            held.append(_prompt_example(row, False, -1))
    held += [_prompt_example(row, False, -1) for row in rows.get(MISROUTES, ()) if row.behaviour == "code"]
    return _corpus("asks_code", train, held)


_REFUSAL_FOLDS: Mapping[str, int] = {
    "refusal_direction": 0, "k_overrefusal": 1, "polyrefuse_outputs": -1, "coconot": 3, "hh_rlhf_harmless_test": 3,
    "oasst_model_eval": 0, "halueval_general": 3, "gpteacher_codegen": 2, "gpteacher_roleplay": 1, "bullshit_benchmark": 2,
    "sycon_false_presup": 1, "math_latex": 3, "gsm8k_model_solutions": 0, "empathy_probes": 2, "universal_ner": 1,
    "tora_outputs": 3, "gpteacher_toolformer": 0,
}  # fmt: skip


def refusal(rows: Rows) -> Corpus:
    """Whether a reply declines, hard or softly. Labels by a keyword alone count as neither class where they say refusal."""
    train: list[Example] = []
    for source, fold in _REFUSAL_FOLDS.items():
        for row in rows.get(source, ()):
            label = _refusal_label(row)
            if label is not None and permissive(row) and row.response.strip():
                train.append(_reply_example(row, label, fold))
    train += _templates(templates.refusals(), True) + _templates(templates.answers(), False)
    held: list[Example] = []
    for row in _of(rows, ("jbb_artifacts", "hevs_overrefusal", "fastchat_fork_refusal_steering", "llm_past_tense", "moss_sft",
                          "safety_tuned_llamas", "alpaca_eval", "flask", "bfcl_irrelevance", "smilechat", "just_eval",
                          *_ORDINARY_HELD_OUT, MISROUTES)):  # fmt: skip
        if row.response.strip() and row.behaviour != "unknown":
            held.append(_reply_example(row, row.behaviour == "refusal", -1))
    return _corpus("refusal", train, held)


def _refusal_label(row: Row) -> bool | None:
    if row.behaviour == "refusal":
        trusted = row.origin != "heuristic" or row.source in ("refusal_direction", "hh_rlhf_harmless_test")
        return True if trusted else None
    return None if row.behaviour == "unknown" else False


def _of(rows: Rows, sources: Iterable[str]) -> Iterable[Row]:
    return (row for source in sources for row in rows.get(source, ()))


def _prompt_example(row: Row, positive: bool | None, fold: int) -> Example:
    key = prompt_key(row.prompt)
    fold = fold if fold >= 0 else zlib.crc32(key.encode()) % 5
    return Example(row.prompt, bool(positive), row.source, row.lang, fold, row.licence, key)


def _reply_example(row: Row, positive: bool, fold: int) -> Example:
    key = prompt_key(row.prompt)
    fold = fold if fold >= 0 else zlib.crc32(key.encode()) % 4
    return Example(row.response, positive, row.source, row.lang, fold, row.licence, key)


def _templates(texts: templates.Texts, positive: bool) -> list[Example]:
    return [Example(text, positive, "own_templates", lang, OWN_FOLD, "own", prompt_key(text)) for lang, text in texts]


def _corpus(label: str, train: list[Example], held: list[Example]) -> Corpus:
    """Distinct texts; a prompt that stands in a held-out source trains nothing."""
    held = [example for example in _distinct(held) if example.key]
    keys = {example.key for example in held}
    kept = [example for example in _distinct(train) if example.key and example.key not in keys]
    return Corpus(label, tuple(kept), tuple(held))


def _distinct(examples: list[Example]) -> list[Example]:
    seen: set[tuple[str, bool]] = set()
    result = []
    for example in examples:
        key = (prompt_key(example.text), example.positive)
        if key not in seen:
            seen.add(key)
            result.append(example)
    return result
