"""A case computes its features once, and counts what was read."""

from __future__ import annotations

from core.types import RESPONSE, Conversation, Reply, Scores, Span, Turn
from detectors.case import Case, span_of, spans_of
from detectors.phrases import Hit
from detectors.toolcheck import ToolChecker


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
