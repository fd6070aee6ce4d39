"""The ladder: retries, fallbacks, probes, budgets and the best attempt."""

from __future__ import annotations

import pytest

from core.messages import CancelUpstream, ClientGone, Send, SendBlocked, SendRewritten, StartHoldTimer
from core.types import ActionKind, Budgets, Failure, Hold, Scores, Usage
from tests.core.dsl import (
    BLOCK,
    BOUNDARY,
    CLEAR,
    FALLBACK,
    MISROUTED,
    NEUTRAL,
    NEUTRALISE,
    PROBE,
    RETRY,
    SUSPECT,
    UNKNOWN,
    Script,
    ScriptedPlan,
    call,
    chunk,
    ended,
    expired,
    failed,
    finish,
    prefix,
    say,
    score,
    scored,
    scores,
    started,
    stop,
    think,
    tool,
    usage,
    window,
)

BAD = MISROUTED


def answer(script: Script, attempt: int, text: str, *, ticket: int | None = None) -> Script:
    """A complete answer of one attempt under ALL, its score asked for with the ticket of its number."""
    script >> started(attempt) >> chunk(attempt, text) >> ended(attempt)
    return script << score(ticket or attempt, attempt, text, final=True)


def second(plan: ScriptedPlan, first: str = "bad", verdict: Scores = BAD) -> Script:
    """Under ALL, a first answer with this verdict, and the second attempt called."""
    script = answer(Script(plan), 1, first) >> scored(1, verdict)
    action = plan.ladder[0] if plan.ladder else plan.suspected
    return script << call(2, action.change, plan.budgets.added_ms / 1000)


# ---- under ALL


def test_a_misrouted_answer_is_retried_and_the_clear_retry_sent() -> None:
    script = answer(second(ScriptedPlan(ladder=[RETRY])), 2, "good") >> scored(2, CLEAR) << Send(2, b"good")
    script << finish("answered", chosen=2, action=ActionKind.RETRY)
    assert script.outcome is not None
    assert script.outcome.first_verdict is not None
    assert script.outcome.first_verdict.modes == ("code",)
    assert [summary.complete for summary in script.outcome.attempts] == [True, True]


def test_a_ladder_walks_its_rungs_and_the_fallback_may_answer() -> None:
    plan = ScriptedPlan(ladder=[RETRY, FALLBACK])
    script = answer(second(plan), 2, "worse") >> scored(2, BAD) << call(3, FALLBACK.change)
    (
        answer(script, 3, "good")
        >> scored(3, CLEAR)
        << Send(3, b"good")
        << finish("answered", chosen=3, action=ActionKind.FALLBACK)
    )
    assert [step.taken for step in plan.steps] == [(), (RETRY,), (RETRY, FALLBACK)]
    assert [step.attempts for step in plan.steps] == [1, 2, 3]


def test_if_all_are_bad_the_first_answer_is_sent_flagged() -> None:
    script = answer(second(ScriptedPlan(ladder=[RETRY]), verdict=scores(value=0.95)), 2, "less bad") >> scored(2, BAD)
    script << Send(1, b"bad") << finish("answered", chosen=1, flagged=True, action=ActionKind.FLAG)


def test_a_suspect_retry_beats_a_misrouted_answer_and_is_flagged() -> None:
    script = answer(second(ScriptedPlan(ladder=[RETRY])), 2, "meh") >> scored(2, SUSPECT) << Send(2, b"meh")
    script << finish("answered", chosen=2, flagged=True, action=ActionKind.RETRY)


def test_a_retry_of_the_wrong_form_loses() -> None:
    script = answer(second(ScriptedPlan(ladder=[RETRY])), 2, "invalid") >> scored(2, CLEAR) << Send(1, b"bad")
    script << finish("answered", chosen=1, flagged=True)


def test_between_suspect_answers_the_lower_probability_wins_then_the_earlier() -> None:
    for value, chosen in ((0.45, 2), (0.5, 1), (0.55, 1)):
        plan = ScriptedPlan(suspected=FALLBACK, budgets=Budgets(attempts=2))
        script = answer(second(plan, verdict=SUSPECT), 2, "other") >> scored(2, scores(value=value))
        script << Send(chosen, b"bad" if chosen == 1 else b"other") << finish("answered", chosen=chosen, flagged=True)


def test_the_whole_request_is_retried_for_one_misrouted_choice_and_choices_are_never_spliced() -> None:
    script = Script(ScriptedPlan(ladder=[RETRY]), choices=2) >> started(1) >> chunk(1, say("a0"), say("a1", 1)) >> ended(1)
    script << score(1, 1, "a0", "a1", final=True) >> scored(1, CLEAR, BAD) << call(2, BOUNDARY)
    script >> started(2) >> chunk(2, say("b0"), say("b1", 1)) >> ended(2) << score(2, 2, "b0", "b1", final=True)
    script >> scored(2, SUSPECT, CLEAR) << Send(2, b"b0b1") << finish("answered", chosen=2, flagged=True)


def test_a_retry_judged_worse_is_dropped_for_an_earlier_suspect_one() -> None:
    plan = ScriptedPlan(ladder=[RETRY, RETRY], suspected=RETRY, budgets=Budgets(attempts=3))
    script = answer(second(plan), 2, "meh") >> scored(2, SUSPECT) << call(3, BOUNDARY)
    answer(script, 3, "bad again") >> scored(3, BAD) << Send(2, b"meh") << finish("answered", chosen=2, flagged=True)


@pytest.mark.parametrize("kind", ["unavailable", "timeout", "protocol", "budget"])
@pytest.mark.parametrize("late", [False, True])
def test_a_retry_that_fails_is_late_or_denied_yields_the_first_answer_never_an_error(kind: str, late: bool) -> None:
    script = second(ScriptedPlan(ladder=[RETRY, RETRY]))
    if late:
        script >> started(2) >> chunk(2, "half")
    script >> failed(2, kind) << Send(1, b"bad") << finish("answered", chosen=1, flagged=True)  # type: ignore[arg-type]
    assert script.outcome is not None
    assert script.outcome.attempts[1].failure == Failure(kind)  # type: ignore[arg-type]


def test_a_retry_that_is_rejected_is_closed_and_its_error_reply_dropped() -> None:
    script = second(ScriptedPlan(ladder=[RETRY])) >> started(2, 429) << CancelUpstream(2) << Send(1, b"bad")
    script << finish("answered", chosen=1, flagged=True)
    assert script.outcome is not None
    assert script.outcome.attempts[1].failure == Failure("rejected", status=429)


def test_a_retry_that_breaks_off_while_it_is_judged_loses_its_score() -> None:
    script = Script(ScriptedPlan(prefix(1), ladder=[RETRY])) >> started(1) >> chunk(1, "a") << score(1, 1, "a", final=False)
    script >> scored(1, BAD) << call(2, BOUNDARY) >> started(2) >> chunk(2, "b") << score(2, 2, "b", final=False)
    script >> failed(2) << Send(1, b"a") >> scored(2, CLEAR)
    script.quiet() >> ended(1) << score(3, 1, "a", final=True) >> scored(3, BAD) << finish("answered", chosen=1, flagged=True)


def test_a_retry_can_be_blocked() -> None:
    script = answer(second(ScriptedPlan(ladder=[RETRY, BLOCK])), 2, "worse") >> scored(2, BAD)
    script << SendBlocked(2, (say("worse"),)) << finish("blocked", chosen=2, action=ActionKind.BLOCK)


def test_a_retry_that_cannot_be_judged_under_fail_closed_withholds_everything() -> None:
    script = answer(second(ScriptedPlan(ladder=[RETRY], fail_closed=True)), 2, "b") >> scored(2, UNKNOWN)
    script << finish("unavailable", chosen=0, reason="code")


# ---- budgets


def test_attempts_never_exceed_the_budget() -> None:
    plan = ScriptedPlan(ladder=[RETRY] * 9, budgets=Budgets(attempts=2))
    answer(second(plan), 2, "worse") >> scored(2, BAD) << Send(1, b"bad") << finish("answered", chosen=1, flagged=True)


def test_a_budget_of_one_attempt_flags() -> None:
    script = answer(Script(ScriptedPlan(ladder=[RETRY], budgets=Budgets(attempts=1))), 1, "bad") >> scored(1, BAD)
    script << Send(1, b"bad") << finish("answered", flagged=True, action=ActionKind.FLAG)


def test_the_time_of_all_retries_is_one_budget_counted_from_the_first() -> None:
    plan = ScriptedPlan(ladder=[RETRY] * 3, budgets=Budgets(attempts=9, added_ms=1000))
    script = answer(Script(plan).at(5), 1, "bad") >> scored(1, BAD) << call(2, BOUNDARY, 1.0)
    answer(script.at(5.75), 2, "bad2") >> scored(2, BAD) << call(3, BOUNDARY, 0.25)
    answer(script.at(6), 3, "bad3") >> scored(3, BAD) << Send(1, b"bad") << finish("answered", flagged=True)
    assert [round(step.added_ms) for step in plan.steps] == [0, 750, 1000]


def test_no_time_to_add_means_no_retry() -> None:
    plan = ScriptedPlan(ladder=[RETRY], budgets=Budgets(added_ms=0))
    answer(Script(plan), 1, "bad") >> scored(1, BAD) << Send(1, b"bad") << finish("answered", flagged=True)


@pytest.mark.parametrize(("added_tokens", "retried"), [(99, False), (100, True)])
def test_tokens_are_reserved_before_a_retry(added_tokens: int, retried: bool) -> None:
    plan = ScriptedPlan(ladder=[RETRY], budgets=Budgets(added_tokens=added_tokens), estimate=100)
    script = answer(Script(plan), 1, "bad") >> scored(1, BAD)
    assert (script.left[0] == call(2, BOUNDARY)) == retried


@pytest.mark.parametrize(("reported", "retried"), [(150, True), (151, False)])
def test_a_retry_costs_what_it_reported(reported: int, retried: bool) -> None:
    plan = ScriptedPlan(ladder=[RETRY, RETRY], budgets=Budgets(added_tokens=250), estimate=100)
    script = second(plan) >> started(2) >> chunk(2, "b", usage(50, reported - 50)) >> ended(2)
    script << score(2, 2, "b", final=True) >> scored(2, BAD)
    assert plan.steps[-1].added_tokens == reported
    assert (script.left[0] == call(3, BOUNDARY)) == retried


def test_the_first_answer_costs_no_added_tokens() -> None:
    plan = ScriptedPlan(ladder=[RETRY], budgets=Budgets(added_tokens=100), estimate=100)
    script = Script(plan) >> started(1) >> chunk(1, "bad", usage(5000, 5000)) >> ended(1) << score(1, 1, "bad", final=True)
    script >> scored(1, BAD) << call(2, BOUNDARY)


def test_attempts_without_reported_usage_are_estimated() -> None:
    script = (
        Script(ScriptedPlan(prefix(1), ladder=[RETRY]))
        >> started(1)
        >> chunk(1, "123456789")
        << score(1, 1, "123456789", final=False)
    )
    script >> scored(1, BAD) << call(2, BOUNDARY) >> started(2) >> chunk(2, "ok", usage(7, 3)) << score(2, 2, "ok", final=False)
    script >> scored(2, CLEAR) << CancelUpstream(1) << Send(2, b"ok$") >> ClientGone() << CancelUpstream(2)
    script << finish("client_gone", chosen=2)
    assert script.outcome is not None
    assert [s.usage for s in script.outcome.attempts] == [Usage(0, 3, estimated=True), Usage(7, 3)]
    assert [s.failure for s in script.outcome.attempts] == [Failure("cancelled"), Failure("cancelled")]


# ---- a retry beside a first answer that is still running


def beside(hold: Hold, plan: ScriptedPlan | None = None) -> Script:
    """A first answer `ab`, misrouted on what was read, still running; attempt 2 called."""
    plan = plan or ScriptedPlan(ladder=[RETRY, RETRY])
    plan.hold = hold
    script = Script(plan) >> started(1) >> chunk(1, "ab") << score(1, 1, "ab", final=False)
    return script >> scored(1, BAD) << call(2, plan.ladder[0].change)


def test_the_first_answer_goes_on_being_collected_and_is_sent_when_the_retry_fails() -> None:
    script = beside(prefix(2)) >> chunk(1, "c") >> expired(1)
    script.quiet() >> failed(2) << Send(1, b"abc") >> chunk(1, "d") << Send(1, b"d") >> ended(1)
    script << score(2, 1, "abcd", final=True) >> scored(2, BAD) << finish("answered", chosen=1, flagged=True)


def test_a_first_answer_complete_beside_a_retry_is_sent_at_once_when_the_retry_fails() -> None:
    script = beside(prefix(2)) >> chunk(1, "c") >> ended(1)
    script.quiet() >> failed(2) << Send(1, b"abc") << finish("answered", chosen=1, flagged=True)


def test_a_rejected_retry_lets_the_running_first_answer_out() -> None:
    beside(prefix(2)) >> started(2, 500) << CancelUpstream(2) << Send(1, b"ab")


def test_the_first_answer_goes_on_in_windows_when_the_retry_fails() -> None:
    script = beside(window(2)) >> chunk(1, "c") >> failed(2)
    script.quiet() >> chunk(1, "d") << score(2, 1, "cd", final=False) >> scored(2, CLEAR) << Send(1, b"abcd")
    script >> ended(1) << score(3, 1, "abcd", final=True) >> scored(3, BAD) << finish("answered", chosen=1, flagged=True)


def test_windows_that_came_beside_a_retry_are_judged_when_it_fails() -> None:
    script = beside(window(2)) >> chunk(1, "cd") >> failed(2) << score(2, 1, "cd", final=False)
    script >> scored(2, CLEAR) << Send(1, b"abcd")


def test_a_tool_call_of_the_first_answer_stays_held_until_it_is_complete() -> None:
    script = beside(prefix(2)) >> chunk(1, tool("{")) >> failed(2)
    script.quiet() >> chunk(1, tool("}")) >> ended(1) << score(2, 1, "ab", final=True) >> scored(2, CLEAR)
    script << Send(1, b"ab<{><}>") << finish("answered", chosen=1)


def test_a_retry_whose_prefix_is_clear_commits_and_cancels_the_first_answer() -> None:
    script = beside(prefix(2)) >> started(2) >> chunk(2, "xy") << score(2, 2, "xy", final=False) >> scored(2, CLEAR)
    script << CancelUpstream(1) << Send(2, b"xy")
    for late in (chunk(1, "late"), ended(1), failed(1), started(1), expired(1)):
        assert script.exchange.receive(late, script.now) == []  # a driver must not, but a race must not hurt either
    script >> chunk(2, "z") << Send(2, b"z") >> ended(2) << score(3, 2, "xyz", final=True) >> scored(3, CLEAR)
    script << finish("answered", chosen=2)


def test_a_second_retry_cancels_the_first_one_but_not_the_first_answer() -> None:
    script = beside(prefix(2)) >> started(2) >> chunk(2, "xy") << score(2, 2, "xy", final=False) >> scored(2, BAD)
    script << CancelUpstream(2) << call(3, BOUNDARY) >> failed(3) << Send(1, b"ab")


def test_a_misrouted_prefix_of_the_last_retry_yields_the_first_answer() -> None:
    plan = ScriptedPlan(ladder=[RETRY])
    script = beside(prefix(2), plan) >> started(2) >> chunk(2, "xy") << score(2, 2, "xy", final=False) >> scored(2, BAD)
    script << CancelUpstream(2) << Send(1, b"ab")


def test_a_misrouted_prefix_of_the_last_retry_goes_out_where_the_first_answer_broke_off() -> None:
    plan = ScriptedPlan(ladder=[RETRY])
    script = beside(prefix(2), plan) >> failed(1) >> started(2) >> failed(1)
    script >> chunk(2, "xy") << score(2, 2, "xy", final=False) >> scored(2, BAD) << Send(2, b"xy")
    script >> ended(2) << score(3, 2, "xy", final=True) >> scored(3, BAD) << finish("answered", chosen=2, flagged=True)


def test_when_first_answer_and_retry_both_break_off_the_first_failure_is_told() -> None:
    script = beside(prefix(2)) >> failed(1, "protocol") >> failed(2, "timeout")
    script << finish("failed", chosen=0, failure=Failure("protocol"))


def test_a_first_answer_of_the_wrong_form_that_ended_beside_a_retry_ranks_behind_it() -> None:
    plan = ScriptedPlan(prefix(7), suspected=FALLBACK, budgets=Budgets(attempts=2))
    script = Script(plan) >> started(1) >> chunk(1, "invalid") << score(1, 1, "invalid", final=False)
    script >> scored(1, SUSPECT) << call(2, FALLBACK.change) >> ended(1)
    (
        answer(script, 2, "valid")
        >> scored(2, scores(value=0.6))
        << Send(2, b"valid")
        << finish("answered", chosen=2, flagged=True)
    )


def test_a_client_gone_beside_a_retry_cancels_both() -> None:
    script = beside(prefix(2)) >> started(2) >> ClientGone() << CancelUpstream(1) << CancelUpstream(2)
    script << finish("client_gone", chosen=0)


def test_a_retry_has_a_hold_timer_of_its_own() -> None:
    script = Script(ScriptedPlan(prefix(2, 50), ladder=[RETRY])) >> started(1) << StartHoldTimer(1, 50) >> chunk(1, "ab")
    script << score(1, 1, "ab", final=False) >> scored(1, BAD) << call(2, BOUNDARY) >> started(2) << StartHoldTimer(2, 50)
    script >> chunk(2, "x") >> expired(1)
    script.quiet() >> expired(2) << score(2, 2, "x", final=False)


def test_reasoning_of_a_retry_is_never_released_early() -> None:
    plan = ScriptedPlan(ladder=[RETRY], release_reasoning=True)
    script = beside(prefix(2), plan) >> started(2) >> chunk(2, think("hm"))
    (
        script.quiet()
        >> chunk(2, "xy")
        << score(2, 2, "xy", final=False)
        >> scored(2, CLEAR)
        << CancelUpstream(1)
        << Send(2, b"(hm)xy")
    )


def test_after_commit_no_retry_fallback_or_probe_is_made() -> None:
    for action in (RETRY, FALLBACK, PROBE):
        script = (
            Script(ScriptedPlan(window(1), ladder=[action])) >> started(1) >> chunk(1, "a") << score(1, 1, "a", final=False)
        )
        script >> scored(1, CLEAR) << Send(1, b"a") >> chunk(1, "b") << score(2, 1, "b", final=False)
        script >> scored(2, BAD) << Send(1, b"b")


def test_a_neutralised_retry_is_held_whole_whatever_the_hold() -> None:
    script = beside(prefix(2), ScriptedPlan(ladder=[NEUTRALISE])) >> started(2) >> chunk(2, "xyz")
    script.quiet() >> ended(2) << score(2, 2, "xyz", final=True) >> scored(2, CLEAR)
    script << CancelUpstream(1) << Send(2, b"xyz") << finish("answered", chosen=2)


def test_a_neutralised_answer_is_rewritten_in_the_demanded_format() -> None:
    script = answer(second(ScriptedPlan(ladder=[NEUTRALISE], contents=("True",))), 2, "It is so.") >> scored(2, CLEAR)
    script << SendRewritten(2, (say("It is so."),), ("True",)) << finish("answered", chosen=2, rewritten=True)
    assert script.outcome is not None
    assert script.outcome.attempts[1].change == NEUTRAL


# ---- probes


def probing(disagreement: bool | None, contents: tuple[str, ...] | None = None) -> ScriptedPlan:
    return ScriptedPlan(suspected=PROBE, disagreement=disagreement, contents=contents)


def test_a_probe_that_agrees_settles_the_suspicion() -> None:
    plan = probing(False)
    script = answer(second(plan, "No", SUSPECT), 2, "It is false: no.") >> scored(2, CLEAR) << Send(1, b"No")
    script << finish("answered", chosen=1, flagged=False, action=ActionKind.OBSERVE)
    assert [(a[0].text, b[0].text) for a, b in plan.compared] == [("No", "It is false: no.")]


def test_a_probe_that_agrees_settles_only_its_own_mode_and_no_certainty() -> None:
    mixed = Scores(values={"code": 0.5, "rebuttal": 0.5})
    script = answer(second(probing(False), "No", mixed), 2, "No.") >> scored(2, CLEAR) << Send(1, b"No")
    script << finish("answered", chosen=1, flagged=True)


def test_a_probe_that_disagrees_replaces_the_answer_in_the_demanded_format() -> None:
    script = answer(second(probing(True, ("True",)), "False", SUSPECT), 2, "It is true.") >> scored(2, CLEAR)
    script << SendRewritten(2, (say("It is true."),), ("True",)) << finish("answered", chosen=2, rewritten=True)


def test_a_probe_that_disagrees_replaces_the_answer_as_it_is_where_no_format_was_lifted() -> None:
    script = answer(second(probing(True), "No", SUSPECT), 2, "Yes") >> scored(2, CLEAR) << Send(2, b"Yes")
    script << finish("answered", chosen=2, action=ActionKind.RETRY)


def test_a_probe_that_cannot_be_compared_leaves_the_first_answer_flagged() -> None:
    script = answer(second(probing(None), "No", SUSPECT), 2, "Hm") >> scored(2, CLEAR) << Send(1, b"No")
    script << finish("answered", chosen=1, flagged=True)


@pytest.mark.parametrize(("text", "verdict"), [("Yes", BAD), ("invalid", CLEAR)])
def test_a_probe_that_is_misrouted_or_malformed_changes_nothing(text: str, verdict: Scores) -> None:
    script = answer(second(probing(True), "No", SUSPECT), 2, text) >> scored(2, verdict) << Send(1, b"No")
    script << finish("answered", chosen=1, flagged=True)


def test_a_probe_that_fails_leaves_the_first_answer_flagged() -> None:
    second(probing(True), "No", SUSPECT) >> failed(2) << Send(1, b"No") << finish("answered", chosen=1, flagged=True)


def test_a_settled_suspicion_stays_settled_when_the_whole_is_judged() -> None:
    plan = probing(False)
    plan.hold = prefix(2)
    script = Script(plan) >> started(1) >> chunk(1, "No") << score(1, 1, "No", final=False) >> scored(1, SUSPECT)
    script << call(2, PROBE.change) >> chunk(1, "!") >> started(2) >> chunk(2, "False.", stop()) >> ended(2)
    script << score(2, 2, "False.", final=True) >> scored(2, CLEAR) << Send(1, b"No!") >> ended(1)
    script << score(3, 1, "No!", final=True) >> scored(3, SUSPECT) << finish("answered", chosen=1, flagged=False)


def test_a_probe_alone_is_no_answer_when_the_first_broke_off() -> None:
    plan = probing(None)
    plan.hold = prefix(2)
    script = Script(plan) >> started(1) >> chunk(1, "No") << score(1, 1, "No", final=False) >> scored(1, SUSPECT)
    script << call(2, PROBE.change) >> failed(1, "protocol") >> started(2) >> chunk(2, "False.") >> ended(2)
    script << score(2, 2, "False.", final=True) >> scored(2, CLEAR) << finish("failed", chosen=0, failure=Failure("protocol"))
