"""Which rows teach a label: permissive ones alone, none whose prompt is measured, and no class by a keyword alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from string import ascii_lowercase

import pytest

from detectors.encoder import KINDS
from detectors.training import prompt_labels, reply_labels
from detectors.training.data import Row, read_row
from detectors.training.digests import SHA256
from detectors.training.examples import FOLDS, OWN_FOLD, Corpus, Example, Rows, own_examples
from detectors.training.own import Own
from detectors.training.recipes import RECIPES

INTENTS = ("asks_math", "asks_fiction", "asks_extraction", "asks_check", "asks_tool", "distress")
LABELS: dict[str, Callable[[Rows], Corpus]] = {
    "harm": prompt_labels.harm,
    "asks_code": prompt_labels.asks_code,
    **{label: partial(prompt_labels.intent, label=label) for label in INTENTS},
    "refusal": reply_labels.refusal,
    "excused": reply_labels.excused,
    "denial": reply_labels.denial,
    "suspicion": reply_labels.suspicion,
    "warm": reply_labels.warm,
}
CLASSES = ("permissive", "permissive-check", "nc", "ambiguous", "unlicensed", "")
BEHAVIOURS = ("none", "code", "math", "fiction", "refusal", "rebuttal", "analytic", "unknown")


def row(source: str, **changes: object) -> Row:
    raw = {
        "id": "x:1",
        "source": source,
        "license": "MIT",
        "license_class": "permissive",
        "prompt": "a made-up prompt",
        "lang": "en",
    }
    return read_row({**raw, **changes})


def word(number: int) -> str:
    """A word without meaning for every number."""
    letters = ""
    for _ in range(4):
        number, digit = divmod(number, 26)
        letters += ascii_lowercase[digit] + "q"
    return letters


def of_everything() -> dict[str, list[Row]]:
    """A row of every source, licence class and behaviour, harmful or not; its texts end in the licence class."""
    rows: dict[str, list[Row]] = {}
    for i, (source, kind, behaviour, harm) in enumerate(product(SHA256, CLASSES, BEHAVIOURS, (True, False))):
        text = f"{word(i)} {kind}."
        said = {"behaviour": behaviour, "appropriate": True, "prompt_harm": harm, "label_origin": "human"}
        rows.setdefault(source, []).append(row(source, license_class=kind, prompt=text, response=text, **said))
    return rows


ROWS = of_everything()


def foreign(examples: tuple[Example, ...]) -> list[Example]:
    return [example for example in examples if example.licence != "own"]


def test_every_label_of_both_tiers_has_its_texts() -> None:
    assert LABELS.keys() == KINDS.keys() == {label for recipe in RECIPES.values() for label in recipe.labels}


@pytest.mark.parametrize("label", LABELS)
def test_only_permissive_rows_train(label: str) -> None:
    corpus = LABELS[label](ROWS)
    assert corpus.label == label
    texts = {example.text for example in foreign(corpus.train)}
    assert texts
    assert {text for text in texts if not text.endswith(" permissive.")} == set()


@pytest.mark.parametrize("label", LABELS)
def test_both_classes_are_taught_in_several_folds(label: str) -> None:
    corpus = LABELS[label](ROWS)
    assert {example.positive for example in corpus.train} == {True, False}
    assert {example.fold for example in corpus.train} <= {*range(FOLDS), OWN_FOLD}
    assert len({example.fold for example in corpus.train if example.positive}) > 1


@pytest.mark.parametrize("label", LABELS)
def test_a_source_that_measures_trains_nothing(label: str) -> None:
    corpus = LABELS[label](ROWS)
    held = {example.source for example in corpus.held_out}
    assert held
    # a source may only be in both where it teaches one class and measures the other by a trusted reading
    both = held & {example.source for example in foreign(corpus.train)}
    assert both <= {"just_eval"}
    assert {example.key for example in corpus.held_out} & {example.key for example in corpus.train} == set()


@pytest.mark.parametrize("label", LABELS)
def test_a_prompt_that_is_held_out_trains_nothing(label: str) -> None:
    """The same prompt, written otherwise, in a source that trains."""
    taught = foreign(LABELS[label](ROWS).train)
    measured = LABELS[label](ROWS).held_out[0]
    rows = {source: list(those) for source, those in ROWS.items()}
    known = {example.key: example for example in taught}
    mine, theirs = next(
        (a, b)
        for a in rows[taught[0].source]
        for b in rows[measured.source]
        if a.prompt in (taught[0].text, taught[0].prompt) and b.prompt in (measured.text, measured.prompt)
    )
    assert taught[0].key in known
    rows[theirs.source].append(
        row(
            theirs.source,
            license_class=theirs.licence_class,
            prompt=f"  {mine.prompt.upper()}!!",
            response=f"{theirs.response} And more.",
            behaviour=theirs.behaviour,
            appropriate=theirs.appropriate,
            prompt_harm=theirs.harm,
        )
    )
    again = LABELS[label](rows)
    assert len(again.held_out) == len(LABELS[label](ROWS).held_out) + 1
    assert taught[0].key not in {example.key for example in again.train}


def test_no_data_at_all_leaves_the_own_texts() -> None:
    for label, make in LABELS.items():
        corpus = make({})
        assert corpus.held_out == ()
        assert {example.positive for example in corpus.train} == {True, False}, label
        assert {example.licence for example in corpus.train} == {"own"}


def test_keyword_labels_of_refusal_teach_neither_class() -> None:
    kinds: dict[str, list[str]] = {"heuristic": [], "judge": ["No, sorry."]}
    for origin, expected in kinds.items():
        rows = {"coconot": [row("coconot", response="No, sorry.", behaviour="refusal", label_origin=origin)]}
        assert [e.text for e in reply_labels.refusal(rows).train if e.source == "coconot"] == expected


@pytest.mark.parametrize(
    ("label", "prompt"),
    [
        ("asks_code", "A page with a button, in html"),
        ("asks_math", "What is 3 and 4?"),
        ("asks_fiction", "A poem about rain"),
        ("asks_extraction", "Classify this"),
        ("asks_check", "Is it correct?"),
        ("asks_tool", "Search for a train"),
        ("distress", "I feel so alone"),
    ],
)
def test_a_prompt_that_may_ask_for_it_after_all_is_in_neither_class(label: str, prompt: str) -> None:
    for source in ("oasst_model_eval", "tulu_human_eval"):
        plain, doubtful = row(source, prompt="Qat?", behaviour="none"), row(source, prompt=prompt, behaviour="none")
        corpus = LABELS[label]({source: [plain, doubtful]})
        found = [e.text for e in (*corpus.train, *corpus.held_out) if e.source == source]
        assert found == ["Qat?"]


def test_a_language_of_one_class_teaches_no_harm() -> None:
    rows = {"coconot": [row("coconot", lang=lang, prompt=lang, prompt_harm=True) for lang in ("vi", "hi", "yo", "de")]}
    assert [e.lang for e in foreign(prompt_labels.harm(rows).train)] == ["de"]


def test_own_lines_teach_what_their_class_says_and_are_split_by_their_prompt() -> None:
    lines = [
        Own("reply", "hard", "en", "I will not.", "Do it!", {"refusal": True}),
        Own("reply", "plain", "en", "Done.", "do IT", {"refusal": False, "warm": False}),
    ]
    refusing, warm = own_examples(lines, "refusal"), own_examples(lines, "warm")
    assert [(e.text, e.prompt, e.positive, e.source) for e in refusing] == [
        ("I will not.", "Do it!", True, "own_reply"),
        ("Done.", "do IT", False, "own_reply"),
    ]
    assert refusing[0].key == refusing[1].key
    assert refusing[0].fold == refusing[1].fold
    assert [e.text for e in warm] == ["Done."]
