"""Records: what an outcome becomes, and that no text gets in."""

from __future__ import annotations

from typing import Any

import orjson

from core.types import (
    Action,
    ActionKind,
    AttemptSummary,
    Boundary,
    Change,
    Edit,
    Failure,
    Finding,
    HoldKind,
    Level,
    Mode,
    Outcome,
    Span,
    Usage,
    Verdict,
)
from proxy.records import DecisionRecord, Place, Seconds, from_outcome

CLEAR = Verdict()
SECRET = "sk-planted-secret and a prompt"


def found(*pairs: tuple[Mode, Level], acting: bool = True) -> Verdict:
    return Verdict(
        tuple(Finding(mode, 0, level, 0.91234567, mode, acting, (Span(f"{mode}.x", -1, 3, 9),)) for mode, level in pairs)
    )


def attempt(number: int, verdict: Verdict | None = None, **fields: Any) -> AttemptSummary:
    values = {"change": Change(), "action": None, "complete": True, "usage": None, "failure": None, **fields}
    return AttemptSummary(number=number, verdict=verdict, **values)


def record(outcome: Outcome, **fields: Any) -> DecisionRecord:
    values = {"decision_id": "d1", "time": 1.0, "route": "r", "endpoint": "chat_completions", "streamed": False, "status": 200}
    return from_outcome(outcome, **{**values, **fields})


def test_a_clear_answer() -> None:
    outcome = Outcome("answered", 1, CLEAR, CLEAR, attempts=(attempt(1, CLEAR, usage=Usage(10, 20)),))
    made = record(
        outcome,
        hold=HoldKind.ALL,
        seconds=Seconds(0.001, 0.5, 0.0001, 0.6),
        scanned_characters=40,
        scans=1,
        moderation="flagged",
    )
    assert made.moderation == "flagged"
    assert (made.verdict, made.first_verdict, made.action, made.hold, made.findings) == ("clear", "clear", "observe", "all", ())
    assert (made.prompt_tokens, made.completion_tokens, made.tokens_estimated) == (10, 20, False)
    assert (made.fixed, made.worse, made.seconds.added) == ((), (), 0.001)


def test_a_fixed_answer_keeps_what_was_found_first() -> None:
    first = found(("code", Level.MISROUTED), ("math", Level.SUSPECT))
    change = Change(("boundary",), (Boundary("text", "system_append"),))
    second = attempt(2, CLEAR, change=change, usage=Usage(5, 6, estimated=True), action=Action(ActionKind.RETRY))
    outcome = Outcome("answered", 2, CLEAR, first, ActionKind.RETRY, (attempt(1, first, usage=Usage(1, 2)), second))
    made = record(outcome, triggers=(Span("riddle", 0, 1, 4),))
    assert (made.verdict, made.first_verdict, made.modes) == ("clear", "misrouted", ("code", "math"))
    assert (made.fixed, made.worse, made.action, made.chosen) == (("code", "math"), (), "retry", 2)
    assert [(item.attempt, item.mode, item.level, item.score) for item in made.findings] == [
        (1, "code", "misrouted", 0.9123),
        (1, "math", "suspect", 0.9123),
    ]
    assert made.findings[0].spans == (Place("code.x", -1, 3, 9),)
    assert [(item.number, item.change, item.verdict) for item in made.attempts] == [
        (1, (), "misrouted"),
        (2, ("boundary",), "clear"),
    ]
    assert (made.prompt_tokens, made.completion_tokens, made.tokens_estimated) == (6, 8, True)
    assert made.triggers == (Place("riddle", 0, 1, 4),)


def test_what_only_observes_is_not_counted_as_fixed() -> None:
    first = found(("code", Level.MISROUTED), acting=False)
    made = record(Outcome("answered", 2, CLEAR, first, attempts=(attempt(1, first), attempt(2, CLEAR))))
    assert made.fixed == ()


def test_a_retry_that_ranked_worse_is_counted_even_though_it_was_dropped() -> None:
    first, second = found(("code", Level.SUSPECT)), found(("code", Level.MISROUTED), ("fiction", Level.SUSPECT))
    outcome = Outcome("answered", 1, first, first, attempts=(attempt(1, first), attempt(2, second)), flagged=True)
    made = record(outcome)
    assert (made.worse, made.fixed, made.flagged) == (("code", "fiction"), (), True)
    incomplete = Outcome("answered", 1, first, first, attempts=(attempt(1, first), attempt(2, second, complete=False)))
    assert record(incomplete).worse == ()


def test_a_failure_says_its_kind_only() -> None:
    failure = Failure("timeout", SECRET, 504)
    made = record(Outcome("failed", failure=failure, attempts=(attempt(1, complete=False, failure=failure),)), status=504)
    assert (made.failure, made.attempts[0].failure, made.verdict) == ("timeout", "timeout", "unjudged")
    assert record(Outcome("client_gone")).client_gone


def test_policies_that_could_not_judge_are_named() -> None:
    verdict = Verdict(unchecked=frozenset({"refusal", "code"}))
    assert record(Outcome("answered", 1, verdict, verdict, attempts=(attempt(1, verdict),))).unchecked == ("code", "refusal")


def test_no_text_of_an_outcome_reaches_its_record() -> None:
    change = Change(
        ("neutralise",), (Boundary(SECRET, "last_user_prefix"),), (Edit(0, 0, 1, SECRET),), upstream="u", model=SECRET
    )
    action = Action(ActionKind.RETRY, change, "code", "code", reason=SECRET)
    summary = attempt(2, CLEAR, change=change, action=action, failure=Failure("rejected", SECRET))
    outcome = Outcome("failed", 2, CLEAR, CLEAR, attempts=(summary,), failure=Failure("rejected", SECRET), reason=SECRET)
    assert SECRET.encode() not in orjson.dumps(record(outcome))
    assert b"planted" not in orjson.dumps(record(outcome))
