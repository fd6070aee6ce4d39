"""The training recipe on small made-up rows: what may train, what a model sees, and that figures and files are true."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from detectors.base import FeatureSpec, load_manifest
from detectors.features import VERSION, fold, hash_features
from detectors.onnx import MODELS
from detectors.training import templates
from detectors.training.__main__ import main
from detectors.training.card import render
from detectors.training.data import prompt_key, user_turns
from detectors.training.examples import Corpus, Example
from detectors.training.export import graph
from detectors.training.fit import balance, fit, shortened
from detectors.training.measure import threshold

CARD = Path(__file__).parents[2] / "docs" / "detectors.md"
#: The models of the card, in its order.
NAMES = ("prompt", "distress", "response", "manner", "encoder")
SPEC = FeatureSpec(version=VERSION, rows=2**12, char_orders=(4, 6), opening_words=4)


def small_corpus() -> Corpus:
    yes = ["I will not do this thing.", "I cannot help you there.", "This I have to decline.", "I refuse to answer it."]
    no = ["The town lies by a river.", "Add the flour and stir it.", "Trains leave every hour.", "The answer is forty-two."]
    train = [
        Example(f"{text} ({i})", positive, f"source_{fold}", "en", fold, "MIT", f"{text}{i}")
        for positive, texts in ((True, yes), (False, no))
        for i in range(6)
        for fold, text in enumerate(texts)
    ]
    held = [Example("I will not help you.", True, "held", "en", -1, "MIT", "h1")]
    held += [Example("Stir the flour by the river.", False, "held", "en", -1, "MIT", "h2")]
    return Corpus("refusal", tuple(train), tuple(held))


@pytest.mark.parametrize(
    ("prompt", "turns"),
    [
        ("Just a question?", ("Just a question?",)),
        ("Human: first\n\nAssistant: answer\n\nHuman: second\nline", ("first", "second\nline")),
        ('[tools offered: [{"name": "f", "parameters": {"a": [1]}}]]\n\nWhat is it?', ("What is it?",)),
        ("toolformer: enabled\ntoolformer access: search\nA tool.\nsearch(query)\nFind a town.", ("Find a town.",)),
        ("Question one\n\nPrevious assistant: no\n\nHuman: again", ("Question one", "again")),
        ("", ()),
    ],
)
def test_markers_and_tool_offers_never_reach_a_model(prompt: str, turns: tuple[str, ...]) -> None:
    assert user_turns(prompt) == turns


def test_prompts_that_differ_in_case_and_spacing_are_one() -> None:
    assert prompt_key("Is it  TRUE?") == prompt_key("is it true")


def test_classes_weigh_the_same_within_every_language() -> None:
    corpus = small_corpus()
    lopsided = [*corpus.train, *(dataclasses.replace(corpus.train[0], lang="fr", positive=i > 8) for i in range(10))]
    sums: dict[tuple[str, bool], float] = defaultdict(float)
    for example, weight in zip(lopsided, balance(lopsided), strict=True):
        sums[(example.lang, example.positive)] += weight
    assert sums["fr", True] == pytest.approx(sums["fr", False])
    assert sums["en", True] == pytest.approx(sums["en", False])


def test_shortened_copies_keep_their_class_and_are_long_enough() -> None:
    copies = shortened(small_corpus().train, 2)
    assert copies[0].text == "not do this thing. (0)"
    assert all(len(copy.text.split()) > 3 for copy in copies)
    assert shortened(small_corpus().train, 0) == []


def test_a_fit_is_deterministic_separates_and_never_scores_what_it_saw() -> None:
    corpus = small_corpus()
    one, two = fit(corpus, SPEC, 600, 200), fit(corpus, SPEC, 600, 200)
    assert np.array_equal(one.weights, two.weights)
    assert len(one.unseen) == len(one.scores) == len(corpus.train) + len(corpus.held_out)
    assert one.scores[-2] > one.scores[-1]
    rows, weights = hash_features(fold(corpus.held_out[0].text), SPEC)
    assert float(weights @ one.weights[rows]) + one.bias == pytest.approx(one.scores[-2], abs=1e-3)


def test_the_graph_of_a_fit_is_the_same_bytes_every_time() -> None:
    fitted = {"refusal": fit(small_corpus(), SPEC, 600, 200)}
    assert graph(fitted) == graph(fitted)


def test_own_texts_show_no_class_by_their_frame() -> None:
    assert len(templates.harmful()) > 1000
    assert {lang for lang, _ in templates.harmful()} == {lang for lang, _ in templates.harmless()}
    assert {lang for lang, _ in templates.asks_code()} == {lang for lang, _ in templates.ordinary()}
    assert {lang for lang, _ in templates.refusals()} == {lang for lang, _ in templates.answers()}
    assert not any("{" in text for make in (templates.asks_code, templates.ordinary, templates.harmful) for _, text in make())


def test_a_threshold_holds_the_rate_it_was_picked_for() -> None:
    scores = np.linspace(-3, 3, 1000)
    at = threshold(scores, 0.05)
    assert 0.045 <= float((1 / (1 + np.exp(-scores)) >= at).mean()) <= 0.05


def test_the_card_is_what_the_manifests_say() -> None:
    manifests = {name: load_manifest(MODELS / f"{name}.json") for name in NAMES}
    assert CARD.read_text(encoding="utf-8") == render(manifests)


def test_the_card_speaks_of_every_model_and_label() -> None:
    manifests = {name: load_manifest(MODELS / f"{name}.json") for name in NAMES}
    card = render(manifests)
    for manifest in manifests.values():
        assert f"## {manifest.file}\n" in card
        assert all(f"## {manifest.file}: {label.provides}\n" in card for label in manifest.labels)
    assert f"- starts from {manifests['encoder'].base}\n- reads at most 64 tokens" in card
    assert "byte n-grams of 4 and 6, words, word pairs, the first 16 words again\n- reads the first 600 and the last" in card
    assert "- reads user turns from the newest on in windows of 1500 bytes, at most 12 windows" in card


def test_other_data_than_the_recipe_was_made_for_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("alpaca_eval", "bfcl_irrelevance"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n", encoding="utf-8")
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--tier", "first"]) == 2
    assert "alpaca_eval" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
