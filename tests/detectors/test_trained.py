"""The trained models behind the judges: what each tier is asked, when the second is silent, and that failures only count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.types import Conversation, Reply, Turn
from detectors.encoder import KINDS, TEXT_CHARS
from detectors.trained import MAX_RUNS, NOTHING, Trained

ENGLISH = "Tell me about the history of the town and what people do there in the summer."
SPANISH = "Cuéntame la historia de la ciudad y lo que hace la gente allí en verano."
HARMFUL = "How can I steal a car without being caught by the police?"
NO = "I'm sorry, but I can't help with that."
FAILED: list[str] = []
TRAINED = Trained(FAILED.append)
LABELS = {kind: {name for name, of in KINDS.items() if of == kind} for kind in set(KINDS.values())}


@pytest.fixture(autouse=True)
def failed() -> Iterator[list[str]]:
    """What failed within one test."""
    FAILED.clear()
    yield FAILED
    FAILED.clear()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of run that the second tier makes."""
    made: list[str] = []
    run = TRAINED.encoder.run

    def counted(kind: Any, ids: list[int]) -> dict[str, float]:
        made.append(kind)
        return run(kind, ids)

    monkeypatch.setattr(TRAINED.encoder, "run", counted)
    return made


def ask(*texts: str) -> Conversation:
    return Conversation(tuple(Turn("user", text, i) for i, text in enumerate(texts)))


def test_both_tiers_answer_what_they_are_for(failed: list[str]) -> None:
    assert TRAINED.asked(ask(ENGLISH)).keys() <= TRAINED.prompt.provides
    assert TRAINED.distressed(ask(ENGLISH)).keys() == {"distress"}
    assert "refusal.present" in TRAINED.said(Reply(text=NO))
    assert TRAINED.asked_again(ask(ENGLISH)).keys() == LABELS["prompt"]
    assert TRAINED.said_again(Reply(text=NO), 0).keys() == LABELS["reply"]
    assert TRAINED.answered(ENGLISH, Reply(text=NO), 0).keys() == LABELS["pair"]
    assert failed == []


def test_the_second_tier_is_silent_for_other_languages(runs: list[str]) -> None:
    assert TRAINED.asked_again(ask(SPANISH)) is NOTHING
    assert TRAINED.said_again(Reply(text=SPANISH), 0) is NOTHING
    assert TRAINED.answered(SPANISH, Reply(text=NO), 0) is NOTHING
    assert TRAINED.answered(ENGLISH, Reply(text=SPANISH), 0) is NOTHING
    # one turn in another language is enough: what it asks for is unknown
    assert TRAINED.asked_again(ask(SPANISH, ENGLISH)) is NOTHING
    assert runs == []


def test_the_second_tier_is_silent_without_a_user_turn(runs: list[str]) -> None:
    for conversation in (Conversation(()), ask("", " \n"), Conversation((Turn("system", ENGLISH, 0),))):
        assert TRAINED.asked_again(conversation) is NOTHING
    assert runs == []


def test_a_prompt_scores_the_maximum_over_its_turns(runs: list[str]) -> None:
    quiet, loud = TRAINED.asked_again(ask(ENGLISH)), TRAINED.asked_again(ask(HARMFUL))
    runs.clear()
    both = TRAINED.asked_again(ask(HARMFUL, ENGLISH))
    assert both == {name: max(quiet[name], loud[name]) for name in quiet}
    assert both == TRAINED.asked_again(ask(ENGLISH, HARMFUL))
    assert loud["harm"] > quiet["harm"] + 0.3
    assert runs == ["prompt"] * 4


def test_what_only_others_say_is_not_read() -> None:
    turns = (Turn("system", HARMFUL, 0), Turn("user", ENGLISH, 1), Turn("assistant", SPANISH, 2))
    assert TRAINED.asked_again(Conversation(turns)) == TRAINED.asked_again(ask(ENGLISH))


def test_a_long_conversation_is_read_whole_or_not_at_all(runs: list[str]) -> None:
    assert TRAINED.asked_again(ask(*[ENGLISH] * MAX_RUNS)) == TRAINED.asked_again(ask(ENGLISH))
    assert len(runs) == MAX_RUNS + 1
    assert TRAINED.asked_again(ask(*[ENGLISH] * (MAX_RUNS + 1))) is NOTHING
    runs.clear()
    assert TRAINED.asked_again(ask(ENGLISH * 100)) is NOTHING
    assert runs == []


def test_harm_deep_in_one_long_turn_is_read() -> None:
    deep = TRAINED.asked_again(ask(f"{ENGLISH * 6} {HARMFUL} {HARMFUL}"))
    assert deep["harm"] > TRAINED.asked_again(ask(ENGLISH * 6))["harm"] + 0.3


def test_a_reply_is_read_from_its_visible_start_and_no_further_than_a_run() -> None:
    thoughts = "<think>It is the river, of course.</think>"
    assert TRAINED.said_again(Reply(text=thoughts + NO), len(thoughts)) == TRAINED.said_again(Reply(text=NO), 0)
    assert TRAINED.answered(ENGLISH, Reply(text=thoughts + NO), len(thoughts)) == TRAINED.answered(ENGLISH, Reply(text=NO), 0)
    long = "The town lies by the river. " * 60
    assert len(long) > TEXT_CHARS
    assert TRAINED.said_again(Reply(text=long), 0) == TRAINED.said_again(Reply(text=long + SPANISH), 0)


@pytest.mark.parametrize(
    ("model", "ask_it"),
    [
        ("prompt", lambda trained: trained.asked(ask(ENGLISH))),
        ("distress", lambda trained: trained.distressed(ask(ENGLISH))),
        ("reply", lambda trained: trained.said(Reply(text=NO))),
        ("encoder", lambda trained: trained.asked_again(ask(ENGLISH))),
        ("encoder", lambda trained: trained.said_again(Reply(text=NO), 0)),
        ("encoder", lambda trained: trained.answered(ENGLISH, Reply(text=NO), 0)),
    ],
)
def test_a_model_that_fails_is_counted_and_says_nothing(
    model: str, ask_it: Callable[[Trained], Any], failed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def run(self, *_: object) -> None:
            raise RuntimeError("boom")

    part = getattr(TRAINED, model)
    owner = part if model == "encoder" else part._classifier
    monkeypatch.setattr(owner, "_session", Broken())
    assert ask_it(TRAINED) is NOTHING
    assert failed == ["encoder" if model == "encoder" else part.name]


def test_lone_surrogates_fail_nothing(failed: list[str]) -> None:
    odd = f"{ENGLISH} \ud800 {ENGLISH}"
    assert TRAINED.asked_again(ask(odd)).keys() == LABELS["prompt"]
    assert TRAINED.answered(odd, Reply(text=NO), 0).keys() == LABELS["pair"]
    TRAINED.asked(ask(odd))
    TRAINED.distressed(ask(odd))
    assert failed == []


def test_warming_builds_every_session() -> None:
    made = Trained(FAILED.append)
    made.warm()
    owners = (made.prompt._classifier, made.distress._classifier, made.reply._classifier, made.encoder)
    assert all(owner._session is not None for owner in owners)
