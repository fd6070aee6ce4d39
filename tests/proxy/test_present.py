"""What a client is shown of a decision, from made-up outcomes."""

from __future__ import annotations

import pytest

from core.types import (
    RESPONSE,
    Action,
    ActionKind,
    AttemptSummary,
    Change,
    Failure,
    Finding,
    Level,
    Outcome,
    Span,
    Usage,
    Verdict,
)
from proxy.present import Presenter, finding_document, span_document, usage_total, verdict_word

FINDING = Finding("code", 1, Level.MISROUTED, 0.912345, "mine", spans=(Span("code.block", RESPONSE, 3, 9),))
BAD = Verdict((FINDING,))
UNCHECKED = Verdict(unchecked=frozenset({"b", "a"}))


def attempt(number: int, usage: Usage | None = None, failure: Failure | None = None, probe: bool = False) -> AttemptSummary:
    action = Action(ActionKind.RETRY, probe=probe) if number > 1 else None
    return AttemptSummary(number, Change(("boundary",) if number > 1 else ()), action, failure is None, BAD, usage, failure)


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Outcome("answered", verdict=Verdict()), "clear"),
        (Outcome("answered", verdict=BAD), "misrouted"),
        (Outcome("answered", verdict=Verdict((Finding("code", 0, Level.SUSPECT, 0.5),))), "suspect"),
        (Outcome("answered", verdict=UNCHECKED), "unchecked"),
        (Outcome("answered", verdict=Verdict((FINDING,), frozenset({"b"}))), "misrouted"),
        (Outcome("relayed"), "pending"),
        (Outcome("failed"), "unjudged"),
    ],
)
def test_the_word_for_a_verdict(outcome: Outcome, word: str) -> None:
    assert verdict_word(outcome) == word


def test_headers_say_what_is_known() -> None:
    show = Presenter("id", "rev", observe_only=False)
    pending = [("x-chunkguard-decision-id", "id"), ("x-chunkguard-verdict", "pending"), ("x-chunkguard-policy-revision", "rev")]
    assert show.headers(None) == pending
    known = dict(show.headers(Outcome("answered", verdict=BAD, attempts=(attempt(1), attempt(2)))))
    assert (known["x-chunkguard-verdict"], known["x-chunkguard-modes"], known["x-chunkguard-attempts"]) == (
        "misrouted",
        "code",
        "2",
    )


@pytest.mark.parametrize("outcome", [None, Outcome("answered", verdict=BAD)])
def test_where_all_observe_only_the_id_is_shown(outcome: Outcome | None) -> None:
    assert Presenter("id", "rev", observe_only=True).headers(outcome) == [("x-chunkguard-decision-id", "id")]


def test_a_span_of_the_answer_names_no_message() -> None:
    assert span_document(Span("a", RESPONSE, 1, 2)) == {"name": "a", "start": 1, "end": 2}
    assert span_document(Span("a", 0, 1, 2)) == {"name": "a", "message": 0, "start": 1, "end": 2}


def test_a_finding_is_names_and_numbers() -> None:
    assert finding_document(FINDING) == {
        "mode": "code",
        "choice": 1,
        "verdict": "misrouted",
        "score": 0.9123,
        "policy": "mine",
        "evidence": [{"name": "code.block", "start": 3, "end": 9}],
    }


def test_all_tokens_of_all_attempts_count_and_one_estimate_marks_them() -> None:
    outcome = Outcome("answered", attempts=(attempt(1, Usage(5, 7)), attempt(2), attempt(3, Usage(0, 2, estimated=True))))
    assert usage_total(outcome) == {"prompt_tokens": 5, "completion_tokens": 9, "estimated": True}


def test_the_report_tells_every_attempt() -> None:
    outcome = Outcome(
        "answered", 1, UNCHECKED, attempts=(attempt(1), attempt(2, failure=Failure("timeout"), probe=True)), flagged=True
    )
    report = Presenter("id", "rev", False, (Span("t", 0, 0, 1),)).report(outcome)
    assert report["attempts"][1] == {
        "number": 2,
        "change": ["boundary"],
        "injected": [],
        "probe": True,
        "verdict": "misrouted",
        "complete": False,
        "failure": "timeout",
    }
    assert (report["unchecked"], report["flagged"], report["verdict"]) == (["a", "b"], True, "unchecked")
    assert report["triggers"] == [{"name": "t", "message": 0, "start": 0, "end": 1}]
