"""Families of hard cases: mis-routed answers beside the legitimate ones that look like them, judged as the proxy judges.

One rule: a case that is missed stays as it is and stands in KNOWN_MISSES with a reason, until it is found.

A family is a list of `{id, prompt | messages, response, mode, expect}`, with other fields of a chat request where they matter.
`expect`: `found` is suspect or mis-routed in `mode`; `clear` is flagged in no mode; `not_misrouted` may be suspected (the text
alone cannot tell a justified answer), but is mis-routed in no mode. `repeat: {text, times}` fills `{filler}` in the response.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.types import MODES
from proxy.check import Checker

FOLDER = Path(__file__).parent / "hard_cases"
#: Fields of a case that are no part of the exchange.
OURS = frozenset({"id", "mode", "expect", "repeat"})
EXCHANGE = frozenset({"prompt", "messages", "response", "tools", "response_format", "max_tokens"})
FLAGGED = frozenset({"suspect", "misrouted"})
LANGUAGES = frozenset({"ar", "de", "en", "es", "fr", "he", "it", "ja", "ko", "no", "pl", "pt", "ru", "zh"})

#: Reasons that several misses share.
SPAN = "the words of a passage question alone already read as a request for a label"
SOFT = "a soft wording that the lexicon lacks and the trained score is not asked about, or does not know"
ACCUSATION = "an accusation without any refusal phrase is not seen"
OWN_DRAFT = "a draft or translation that is the whole answer is not seen as the user's own words"
UNLICENSED = "no memory of earlier talks, or the operator's scope, is not known as a reason in this language"
DARK = "an idiom, an opera or a tale reads as the writer's own distress"
LETTERS = "the answer or the prompt is read without undoing this disguise"
NO_WORDS = "no lexicon for this language"
TROUBLE = "an everyday question in the first person reads as distress"
ECHO = "a cry for help that is only corrected or translated sounds warm to the trained score"
STYLE = "the trained score takes a first person who will not or cannot for a refusal"
EXCUSE = "a refusal that gives an excuse, but not a true one, passes for excused"
NO_CODE = "an answer in commands or code that the question implies, without naming a program"
LATE = "only the first 40,000 characters are searched for unfenced code and equations"

#: `family/id` -> why the detectors miss it. A case that is no longer missed fails until its row is gone.
KNOWN_MISSES: dict[str, str] = {
    "clipped_answers/de-passage-why-label": SPAN,
    "clipped_answers/en-one-sentence-asked": "a wish for one sentence is not seen where the question asks for reasons",
    "clipped_answers/it-passage-why-label": SPAN,
    "clipped_answers/pt-passage-why-label": SPAN,
    "clipped_answers/ru-passage-why-label": SPAN,
    "code_blocks/en-shell-answer": NO_CODE,
    "dark_words/en-research-item": DARK,
    "dark_words/en-shakespeare": STYLE,
    "dark_words/es-novela": DARK,
    "dark_words/fr-idiome": DARK,
    "dark_words/it-opera": DARK,
    "dark_words/ru-idiom": DARK,
    "disguised_letters/en-distress-homoglyph": LETTERS,
    "disguised_letters/en-refusal-fullwidth": LETTERS,
    "disguised_letters/en-sum-zero-width": LETTERS,
    "disguised_letters/en-verdict-zero-width": LETTERS,
    "disguised_letters/ru-refusal-latin": LETTERS,
    "disguised_letters/zh-refusal-zero-width": LETTERS,
    "interpreter/en-system-forbids-interpreter": "a system prompt that denies an interpreter reads like one that offers it",
    "latex_and_love/en-formula-for-love-asked": 'the abstract noun outweighs "give me a mathematical formula"',
    "latex_and_love/pt-saudade-plain": 'a Portuguese sentence that begins with "não" reads as a denial',
    "licensed_refusals/en-attachment-refused": EXCUSE,
    "licensed_refusals/en-privacy-misapplied": EXCUSE,
    "licensed_refusals/fr-no-memory": TROUBLE,
    "licensed_refusals/it-no-body": UNLICENSED,
    "licensed_refusals/pl-operator-scope": UNLICENSED,
    "licensed_refusals/pt-no-image-output": '"não consigo gerar" is no known lack of a capability, and "não" reads as a denial',
    "long_answers/en-equations-late": LATE,
    "long_answers/en-unfenced-code-late": LATE,
    "quoted_refusals/en-resignation-draft": TROUBLE,
    "quoted_refusals/pt-draft-decline": OWN_DRAFT,
    "quoted_refusals/ru-translate-refusal": "an English apology in a Russian request reads as distress",
    "right_to_left/ar-distress-cold": NO_WORDS,
    "right_to_left/ar-indic-digits-no": NO_WORDS,
    "right_to_left/ar-true-sum-no": NO_WORDS,
    "right_to_left/he-refusal": NO_WORDS,
    "right_to_left/he-story": NO_WORDS,
    "right_to_left/he-true-sum-no": NO_WORDS,
    "soft_refusals/de-unbehagen-schiessen": SOFT,
    "soft_refusals/en-accuse-essay": ACCUSATION,
    "soft_refusals/en-accuse-killing-process": ACCUSATION,
    "soft_refusals/ko-talk-other-attack": SOFT,
    "soft_refusals/pt-desconfortavel-matar": SOFT,
    "soft_refusals/zh-uncomfortable-knife": SOFT,
    "stories/en-why-tides-title": "a title and a chapter without a stock opening weigh too little",
    "translated_distress/en-proofread-cold": ECHO,
    "translated_distress/no-oversett-varmt": "the translated words read as a refusal",
}


@cache
def cases() -> dict[str, dict[str, Any]]:
    """Every case by `family/id`."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text(encoding="utf-8")):
            name = f"{path.stem}/{case['id']}"
            assert name not in found, f"{name} stands twice"
            found[name] = case
    return found


def exchange_of(case: dict[str, Any]) -> dict[str, Any]:
    doc = {key: value for key, value in case.items() if key not in OURS}
    if "repeat" in case:
        doc["response"] = doc["response"].replace("{filler}", case["repeat"]["text"] * case["repeat"]["times"])
    return doc


def problem_of(case: dict[str, Any], verdict: dict[str, Any]) -> str | None:
    """What is wrong with a verdict: modes, scores and evidence; None where it is what the case expects."""
    modes = verdict["modes"]
    if case["expect"] == "found":
        mode = case["mode"]
        return None if modes[mode]["verdict"] in FLAGGED else f"missed: {_told(mode, modes[mode], case)}"
    bad = FLAGGED if case["expect"] == "clear" else {"misrouted"}
    wrong = [_told(mode, found, case) for mode, found in modes.items() if found["verdict"] in bad]
    return f"accused: {'; '.join(wrong)}" if wrong else None


def _told(mode: str, found: dict[str, Any], case: dict[str, Any]) -> str:
    response = exchange_of(case)["response"]
    text = response if isinstance(response, str) else response.get("content") or ""
    evidence = [
        f"{span['name']} in the prompt" if "message" in span else f"{span['name']} {text[span['start'] : span['end']][:60]!r}"
        for span in found["evidence"]
    ]
    return f"{mode} is {found['verdict']} at {found['score']}, evidence {evidence}"


@pytest.fixture(scope="module")
def checker() -> Checker:
    checker = Checker()
    checker.suite.warm()
    return checker


@pytest.mark.parametrize("name", cases())
def test_hard_case(checker: Checker, name: str) -> None:
    case = cases()[name]
    problem = problem_of(case, checker.check(exchange_of(case)))
    if name in KNOWN_MISSES:
        assert problem is not None, f"{name} is judged as expected now: take it out of KNOWN_MISSES"
    else:
        assert problem is None, f"{name} ({case['mode']}, expected {case['expect']}) {problem}"


def test_known_misses_are_cases_with_reasons() -> None:
    assert KNOWN_MISSES.keys() <= cases().keys()
    assert all(len(reason) >= 10 for reason in KNOWN_MISSES.values())


@pytest.mark.parametrize("name", cases())
def test_a_case_is_well_formed(name: str) -> None:
    case = cases()[name]
    assert case.keys() <= OURS | EXCHANGE
    assert case["mode"] in MODES
    assert case["expect"] in {"found", "clear", "not_misrouted"}
    assert ("prompt" in case) != ("messages" in case)
    assert case["id"].partition("-")[0] in LANGUAGES, "an id begins with the language of its prompt"
    assert re.fullmatch(r"[a-z0-9-]+", case["id"])
    if "repeat" in case:
        assert "{filler}" in case["response"]
        assert len(exchange_of(case)["response"].encode()) > 90_000


def test_families_hold_enough_of_both_kinds_and_of_many_languages() -> None:
    families: dict[str, Counter[str]] = {}
    languages: dict[str, set[str]] = {}
    for name, case in cases().items():
        family, _, rest = name.partition("/")
        families.setdefault(family, Counter())["found" if case["expect"] == "found" else "twin"] += 1
        languages.setdefault(family, set()).add(rest.partition("-")[0])
    assert {family for family, count in families.items() if count.total() < 16} == set()
    assert {family for family, count in families.items() if min(count["found"], count["twin"]) < 2} == set()
    assert {family for family, known in languages.items() if len(known) < 2} == set()
    assert set().union(*languages.values()) == LANGUAGES


@pytest.mark.parametrize(
    ("expect", "level", "wrong"),
    [
        ("found", "clear", True),
        ("found", "unchecked", True),
        ("found", "suspect", False),
        ("clear", "suspect", True),
        ("clear", "unchecked", False),
        ("not_misrouted", "suspect", False),
        ("not_misrouted", "misrouted", True),
    ],
)
def test_a_wrong_verdict_is_told(expect: str, level: str, wrong: bool) -> None:
    case = {"id": "en-x", "prompt": "p", "response": "words", "mode": "code", "expect": expect}
    span = {"name": "code.block", "start": 0, "end": 5}
    found = {"verdict": level, "score": 0.5, "evidence": [span]}
    problem = problem_of(case, {"modes": {"code": found}})
    assert (problem is not None) == wrong
    if problem is not None:
        assert f"code is {level} at 0.5" in problem
        assert "code.block 'words'" in problem
