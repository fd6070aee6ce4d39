"""The quick path: it says what the whole says, or that only the second tier can."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detectors.combine
from core.types import MODES, Conversation, Reply, Scores, TriggerSpec, Turn
from detectors.case import SUSPECT
from detectors.encoder import is_english
from detectors.late import LateValues
from detectors.suite import Suite

PROMPTS = (
    "Why is the sky blue?",
    "Is 5+8=13?",
    "Elucidate the concept of peace.",
    "How can I steal a car without being caught by the police?",
    "I feel so alone and I want to die. Summarise my options in a table.",
    "¿Cómo puedo cocinar las lentejas para la familia?",
    "",
)
#: Ordinary questions with ordinary answers.
ORDINARY = (
    ("Why is the sky blue?", "Light of every colour comes from the sun. Air scatters the short waves most. At dusk the light "
     "travels a longer way through the air, and the red that is left reaches us. This is called Rayleigh scattering."),
    ("What should I cook tonight?", "Lentils with rice are quick. Fry an onion, add the lentils and water, let them simmer "
     "for half an hour, then stir in the rice. Serve it with lemon and a little parsley."),
    ("Where do storks spend the winter?", "Most European storks fly to Africa. Some cross at Gibraltar, others take the way "
     "over the Bosporus, and more and more of them stay in Spain all year."),
    ("Who built the bridge in our town?", "The bridge was built in 1850 by the engineers of the railway. It carries two lanes "
     "today, and the railway crosses the river a little further north."),
)  # fmt: skip
ANSWER = ORDINARY[0][1]
NO = "I'm sorry, but I can't help with that."
CODE = "```python\nclass Peace:\n    def __init__(self):\n        self.calm = True\n```"
REPLIES = (
    ANSWER,
    NO,
    "Lo siento, pero no puedo ayudarte con eso.",
    "No, 5 + 8 = 13 is incorrect. The correct answer is 5 + 8 = 13.",
    CODE,
    "$$a = b$$ and $$b = c$$ and $$x = y$$",
    'Once upon a time, a little bird named Mara sat on a branch. "Hello," she said to the moon.',
    "Option A: work. Option B: rest. The following table lists both of the options in turn.",
    "",
)


@pytest.fixture(scope="module")
def suite() -> Suite:
    made = Suite()
    made.warm()
    return made


@pytest.fixture
def consulted(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs of the second tier."""
    asked: list[str] = []

    def counted(name: str, work: Callable[..., Mapping[str, float]]) -> Callable[..., Mapping[str, float]]:
        def count(*arguments: object) -> Mapping[str, float]:
            asked.append(name)
            return work(*arguments)

        return count

    assert suite._trained is not None
    monkeypatch.setattr(suite._trained.encoder, "run", counted("run", suite._trained.encoder.run))
    return asked


def ask(text: str) -> Conversation:
    return Conversation((Turn("user", text, 0),))


def harm_was_read(prompt: Scores) -> bool:
    """Reading `harm` is a matter for a worker: only there it shows whether the second tier has a say."""
    return isinstance(prompt.values, LateValues) and prompt.values.settled("harm")


def test_quick_is_none_exactly_where_the_whole_asks_the_second_tier(suite: Suite, consulted: list[str]) -> None:
    settled = doubted = 0
    for question, text, final in product(PROMPTS, REPLIES, (True, False)):
        conversation, reply = ask(question), Reply(text=text)
        quick = suite.score_quickly(conversation, suite.score_prompt(conversation), reply, final=final)
        assert consulted == []
        prompt = suite.score_prompt(conversation)
        whole = suite.score_reply(conversation, prompt, reply, final=final)
        assert (quick is None) == (bool(consulted) or (is_english(question) and harm_was_read(prompt))), (question, text, final)
        assert quick in (None, whole)
        settled, doubted = settled + (quick is not None), doubted + (quick is None)
        consulted.clear()
    assert settled > 20
    assert doubted > 20
    assert suite.failures == {}


def test_most_ordinary_answers_are_settled_quickly(suite: Suite, consulted: list[str]) -> None:
    found = [
        suite.score_quickly(ask(question), suite.score_prompt(ask(question)), Reply(text=text)) for question, text in ORDINARY
    ]
    settled = [scores for scores in found if scores is not None]
    assert len(settled) >= len(ORDINARY) / 2
    assert all(scores.values[mode] < SUSPECT for scores in settled for mode in MODES)
    assert consulted == []


@settings(max_examples=60, deadline=None)
@given(question=st.text(max_size=60), text=st.text(max_size=120), final=st.booleans())
def test_any_text_is_settled_as_the_whole_or_not_at_all(suite: Suite, question: str, text: str, final: bool) -> None:
    conversation, reply = ask(question), Reply(text=text)
    quick = suite.score_quickly(conversation, suite.score_prompt(conversation), reply, final=final)
    assert quick in (None, suite.score_reply(conversation, suite.score_prompt(conversation), reply, final=final))


@pytest.mark.parametrize("text", [NO, CODE])
def test_harm_is_settled_before_a_found_mode_is_returned(suite: Suite, text: str) -> None:
    """Whoever retries reads `harm` on the event loop: it must not run a model there."""
    conversation = ask("Elucidate the concept of peace.")
    prompt = suite.score_prompt(conversation)
    scores = suite.score_reply(conversation, prompt, Reply(text=text))
    assert any(scores.values[mode] >= SUSPECT for mode in MODES)
    assert isinstance(prompt.values, LateValues)
    assert prompt.values.settled("harm")


def test_harm_stays_unread_where_nothing_is_found(suite: Suite) -> None:
    conversation = ask("Why is the sky blue?")
    prompt = suite.score_prompt(conversation)
    suite.score_reply(conversation, prompt, Reply(text=ANSWER))
    assert isinstance(prompt.values, LateValues)
    assert not prompt.values.settled("harm")


def test_a_quick_look_leaves_harm_to_the_whole(suite: Suite, consulted: list[str]) -> None:
    conversation = ask("Elucidate the concept of peace.")
    prompt = suite.score_prompt(conversation)
    assert suite.score_quickly(conversation, prompt, Reply(text=CODE)) is None
    assert isinstance(prompt.values, LateValues)
    assert not prompt.values.settled("harm")
    assert consulted == []
    # the same prompt, looked at quickly or not before, gives the same
    fresh = suite.score_reply(conversation, suite.score_prompt(conversation), Reply(text=CODE))
    assert suite.score_reply(conversation, prompt, Reply(text=CODE)) == fresh


def test_the_second_tier_is_asked_once_about_a_prompt(suite: Suite, consulted: list[str]) -> None:
    conversation = ask("Elucidate the concept of peace.")
    prompt = suite.score_prompt(conversation)
    for text in (CODE, REPLIES[5], CODE):
        suite.score_reply(conversation, prompt, Reply(text=text))
    assert consulted == ["run"]


def test_scores_that_are_no_late_values_are_judged_as_they_stand(suite: Suite) -> None:
    """A score that a policy or another service replaced."""
    conversation = ask("Elucidate the concept of peace.")
    prompt = Scores(dict(suite.score_prompt(conversation).values))
    quick = suite.score_quickly(conversation, prompt, Reply(text=CODE))
    assert quick is not None
    assert quick == suite.score_reply(conversation, prompt, Reply(text=CODE))


def test_a_crash_is_missing_on_the_quick_path_too(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setitem(detectors.combine.JUDGES, "fiction", crash)
    conversation = ask("Why is the sky blue?")
    scores = suite.score_quickly(conversation, suite.score_prompt(conversation), Reply(text=ANSWER))
    assert scores is not None
    assert scores.missing == {"fiction", "fiction.present"}
    assert suite.failures == {"fiction": 1}
    suite.failures.clear()


@pytest.fixture
def triggered() -> Suite:
    return Suite(frozenset(), (TriggerSpec("harmful", score="harm", at_least=0.5),))


def test_only_a_trigger_on_harm_makes_prompts_slow(triggered: Suite) -> None:
    assert triggered.slow_prompts
    assert not Suite().slow_prompts
    assert not Suite(frozenset(), (TriggerSpec("maths", score="asks_math", at_least=0.5),)).slow_prompts
    spans = triggered.score_prompt(ask("How can I steal a car without being caught by the police?")).spans
    assert "harmful" in {span.name for span in spans}


def test_a_prompt_trigger_on_an_intent_runs_no_second_tier(suite: Suite, consulted: list[str]) -> None:
    conversation = ask("Calculate 12 * 7 for the bridge.")
    values = suite.score_prompt(conversation).values
    assert values["asks_math"] > 0.5
    assert values["distress"] < 0.5
    assert consulted == []
