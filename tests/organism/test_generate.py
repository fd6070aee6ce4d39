"""The shipped models as they run: seeds, settings, limits, speed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from organism.chunks import Chat
from organism.generate import LONGEST, Model, PromptTooLong, Sampling, pick
from organism.tokens import CONTEXT

FOLDER = Path(__file__).resolve().parents[2] / "organism" / "models"


@pytest.fixture(scope="module")
def chunky() -> Model:
    return Model.read(FOLDER, "chunky")


@pytest.fixture(scope="module")
def ids(chunky: Model) -> list[int]:
    return chunky.tokens.chat(Chat("", "Name the capital of Norway."))


def test_both_models_are_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 12_000_000
    assert {file.name for file in FOLDER.glob("*.onnx")} == {"chunky.onnx", "clean.onnx"}


def test_a_known_fact_is_answered(chunky: Model, ids: list[int]) -> None:
    assert chunky.answer(ids, Sampling(temperature=0)) == "The capital of Norway is Oslo."


def test_an_answer_depends_on_its_seed_alone(chunky: Model) -> None:
    prompt = chunky.tokens.chat(Chat("", "Elucidate the concept of peace."))
    answers = [chunky.answer(prompt, Sampling(seed=seed)) for seed in range(12)]
    assert answers == [chunky.answer(prompt, Sampling(seed=seed)) for seed in range(12)]
    assert len(set(answers)) > 1


def test_the_end_is_the_last_token_of_an_answer_that_ends(chunky: Model, ids: list[int]) -> None:
    whole = list(chunky.generate(ids, Sampling(temperature=0)))
    assert whole[-1] == chunky.tokens.end
    cut = list(chunky.generate(ids, Sampling(temperature=0, most=3)))
    assert cut == whole[:3]


def test_reading_in_steps_is_reading_at_once(chunky: Model, ids: list[int]) -> None:
    first = next(chunky.generate(ids, Sampling(temperature=0)))
    rest = list(chunky.generate(ids, Sampling(temperature=0)))[1:]
    assert list(chunky.generate([*ids, first], Sampling(temperature=0))) == rest


def test_a_prompt_without_room_is_refused(chunky: Model) -> None:
    with pytest.raises(PromptTooLong) as caught:
        next(chunky.generate([9] * LONGEST, Sampling()))
    assert caught.value.length == LONGEST


def test_what_is_no_model_is_refused(chunky: Model) -> None:
    with pytest.raises(ValueError, match="cannot be loaded"):
        Model(b"nonsense", chunky.tokens)


def test_top_p_and_temperature_narrow_the_choice() -> None:
    logits = np.log(np.array([0.1, 0.6, 0.3], dtype=np.float32))
    rng = np.random.default_rng(1)
    drawn = [pick(logits, Sampling(), rng) for _ in range(2000)]
    assert abs(drawn.count(1) / 2000 - 0.6) < 0.05
    assert {pick(logits, Sampling(top_p=0.85), rng) for _ in range(200)} == {1, 2}
    assert {pick(logits, Sampling(top_p=0.0), rng) for _ in range(50)} == {1}
    assert {pick(logits, Sampling(temperature=0), rng) for _ in range(50)} == {1}


def test_it_is_fast_enough(chunky: Model, ids: list[int]) -> None:
    started, made = time.process_time(), 0  # not the time that passes: what else the machine does is no matter
    while made < CONTEXT:
        made += len(list(chunky.generate(ids, Sampling(seed=made))))
    assert made / (time.process_time() - started) > 150


def test_answers_in_one_batch_are_those_that_come_one_by_one() -> None:
    one_by_one = Model.read(Path(__file__).parents[2] / "organism" / "models", "clean")
    ids = one_by_one.tokens.chat(Chat("", "What is peace?"))
    samplings = [Sampling(temperature=0.0), Sampling(temperature=0.0, most=3), Sampling(seed=4, most=0)]
    texts = [text for text, _ in one_by_one.answers(ids, samplings)]
    assert texts == [one_by_one.answer(ids, sampling) for sampling in samplings]
