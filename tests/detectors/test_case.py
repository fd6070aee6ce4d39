"""A case computes its features once, and counts what was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from core.types import RESPONSE, Conversation, Reply, Scores, Span, Turn
from detectors.case import ASKED, HINTED, LICENSED, Case, span_of, spans_of
from detectors.late import LateValues, Step
from detectors.phrases import Hit
from detectors.toolcheck import ToolChecker
from detectors.trained import NOTHING, Trained


def case(text: str, *turns: Turn, prompt: Scores | None = None) -> Case:
    return Case(Conversation(turns), prompt or Scores(), Reply(text=text), ToolChecker())


def test_features_are_computed_once_and_scanned_tells_what_was_read() -> None:
    one = case("Hello there")
    assert one.scanned == 0
    assert one.phrases is one.phrases
    assert one.scanned == len("Hello there")
    assert one.shape.blocks == ()
    assert one.scanned == len("Hello there")


def test_only_triggers_of_the_last_user_turn_act() -> None:
    prompt = Scores(spans=(Span("verdict_only", 0, 0, 1), Span("riddle", 2, 0, 1)))
    turns = (Turn("user", "a", 0), Turn("assistant", "b", 1), Turn("user", "c", 2))
    assert case("x", *turns, prompt=prompt).triggers == {"riddle"}
    assert case("x", prompt=prompt).triggers == frozenset()


def test_a_conversation_without_a_user_turn_has_no_user_text() -> None:
    assert case("x").user_text == ""
    assert case("x").statements == ()


def test_the_body_leaves_out_reasoning() -> None:
    assert case("<think>hm</think>\n\nYes").body == "Yes"


def test_evidence_spans_lie_in_the_response() -> None:
    assert span_of("code", "block", (1, 2)) == Span("code.block", RESPONSE, 1, 2)
    assert spans_of("refusal", "phrase", [Hit("g", 3, 4)] * 9, 2) == (Span("refusal.phrase", RESPONSE, 3, 4),) * 2


def late(again: Mapping[str, float], harm: float = 0.9, first: float = 0.5) -> Scores:
    """Scores of a prompt whose `harm` takes a step more."""
    known = {"asks_code": first}
    return Scores(LateValues(known, [Step(frozenset({"harm"}), lambda: known.update(harm=harm) is None)], lambda: again))


def judged(prompt: Scores, *, trained: bool = True, quick: bool = False) -> Case:
    models = cast("Trained", object()) if trained else None
    return Case(Conversation((Turn("user", "a", 0),)), prompt, Reply(text="x"), ToolChecker(), True, models, quick)


@pytest.mark.parametrize(
    ("first", "again", "licence"),
    [
        (0.5, {}, 0.5),
        (0.5, {"asks_code": ASKED}, 0.9),
        (0.5, {"asks_code": ASKED - 0.01}, 0.5),
        (HINTED, {"asks_code": ASKED}, 0.9),
        (HINTED - 0.01, {"asks_code": ASKED}, HINTED - 0.01),
        (LICENSED, {"asks_code": 0.0}, LICENSED),
    ],
)
def test_the_second_tier_licenses_what_the_first_hints_at(first: float, again: Mapping[str, float], licence: float) -> None:
    case = judged(late(again, first=first))
    assert case.licence("asks_code") == pytest.approx(licence)
    assert not case.unsettled


def test_a_quick_case_leaves_the_second_tier_alone_and_says_so() -> None:
    def never() -> Mapping[str, float]:
        raise AssertionError

    prompt = Scores(LateValues({"asks_code": 0.5}, [Step(frozenset({"harm"}), lambda: bool(never()))], never))
    for read in ("asked_again", "said_again", "answered"):
        case = judged(prompt, quick=True)
        assert not case.unsettled
        assert getattr(case, read) is NOTHING
        assert case.unsettled
    case = judged(prompt, quick=True)
    assert case.settle("asks_code") == 0.5
    assert not case.unsettled
    assert case.settle("harm") is None
    assert case.unsettled


def test_harm_that_is_settled_is_read_quickly() -> None:
    prompt = late({})
    assert judged(prompt).settle("harm") == 0.9
    quick = judged(prompt, quick=True)
    assert quick.settle("harm") == 0.9
    assert not quick.unsettled


def test_without_models_nothing_is_in_doubt() -> None:
    case = judged(Scores({"harm": 0.1}), trained=False, quick=True)
    assert (case.said, case.said_again, case.answered, case.asked_again) == (NOTHING,) * 4
    assert case.settle("harm") == 0.1
    assert not case.unsettled
