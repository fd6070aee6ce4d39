"""Fine-tuning, where torch is installed: which examples it uses, and that lines kept for calibration train nothing."""

from __future__ import annotations

from typing import Any

import pytest

from detectors.encoder import Encoder
from detectors.training import own
from detectors.training.examples import Corpus, Example, own_examples


def example(text: str, positive: bool = True, source: str = "coconot", **changes: Any) -> Example:
    said = {"text": text, "positive": positive, "source": source, "lang": "en", "fold": 0, "licence": "MIT", "key": text}
    return Example(**{**said, **changes})


def test_spared_lines_never_train(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training stops before its first step; what it would have trained on is looked at."""
    pytest.importorskip("torch")
    from detectors.training import tuning

    class Stop(Exception):
        pass

    class Network:
        def __getattr__(self, name: str) -> Any:
            raise Stop

    taken: list[str] = []
    add = tuning.Texts.add

    def added(self: Any, label: str, one: Example, weight: float) -> None:
        taken.append(one.text)
        assert not tuning.spared(one)
        add(self, label, one, weight)

    monkeypatch.setattr(tuning.Texts, "add", added)
    lines = [line for line in own_examples(own.prompts(), "asks_code") if line.lang == "en"]
    kept = [line for line in lines if tuning.spared(line)]
    assert 0.05 < len(kept) / len(lines) < 0.15
    with pytest.raises(Stop):
        tuning.tune(Network(), Encoder().tokenizer, {"asks_code": Corpus("asks_code", tuple(lines), ())}, print)  # type: ignore[arg-type]
    assert len(taken) == len(lines) - len(kept)
    assert {line.text for line in kept} & set(taken) == set()


def test_usable_examples_are_english_capped_and_answer_a_prompt_where_it_is_read() -> None:
    pytest.importorskip("torch")
    from detectors.training import tuning

    many = [example(f"t{i}") for i in range(tuning.CAP + 50)]
    mine = [example(f"o{i}", source="own_asks") for i in range(tuning.CAP + 50)]
    other = [example("d", lang="de"), example("m", source="own_templates")]
    chosen = tuning.usable("asks_code", many + mine + other)
    assert len([e for e in chosen if e.source == "coconot"]) == tuning.CAP
    assert len([e for e in chosen if e.source == "own_asks"]) == tuning.CAP + 50
    assert len(chosen) == 2 * tuning.CAP + 50
    assert chosen == tuning.usable("asks_code", many + mine + other)
    assert tuning.usable("denial", [example("a"), example("b", prompt="p")]) == [example("b", prompt="p")]


def test_both_classes_weigh_the_same() -> None:
    pytest.importorskip("torch")
    from detectors.training import tuning

    examples = [example(f"y{i}") for i in range(3)] + [example(f"n{i}", False, f"s{i % 2}") for i in range(9)]
    weights = tuning.weights(examples)
    assert sum(weights[:3]) == pytest.approx(sum(weights[3:])) == pytest.approx(len(examples) / 2)
