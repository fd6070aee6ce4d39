"""Hold, release, commit and the end of one attempt. The ladder: `test_exchange_attempts.py`."""

from __future__ import annotations

import pytest

from core.exchange import Exchange, ProtocolViolation, State
from core.messages import (
    CallUpstream,
    CancelUpstream,
    ClientGone,
    Relay,
    ScoreResponse,
    Send,
    SendBlocked,
    StartHoldTimer,
)
from core.types import Action, ActionKind, Change, Failure, Hold, HoldKind, Step, Verdict
from tests.core.dsl import (
    ALL,
    BLOCK,
    CLEAR,
    MISROUTED,
    NONE,
    SUSPECT,
    UNKNOWN,
    Script,
    ScriptedPlan,
    chunk,
    ended,
    expired,
    failed,
    finish,
    prefix,
    prompt,
    refuse,
    say,
    score,
    scored,
    started,
    stop,
    table,
    think,
    tool,
    window,
)

# ---- start, relay, failure


def test_the_first_attempt_carries_the_plans_change_and_is_no_retry() -> None:
    change = Change(names=("boundary",), model="m")
    script = Script()
    script >> prompt(ScriptedPlan(first_change=change)) << CallUpstream(1, change)
    assert script.exchange.state is State.CALLING
    assert not script.exchange.committed


def test_hold_none_relays_at_once_and_judges_nothing() -> None:
    script = Script(ScriptedPlan(NONE)) >> started(1) << Relay(1)
    assert script.exchange.committed
    script >> ended(1) << finish("relayed", chosen=1, verdict=None)


@pytest.mark.parametrize("hold", [ALL, prefix(3), window(3)])
@pytest.mark.parametrize("status", [199, 300, 404, 429, 500])
def test_an_upstream_error_reply_is_relayed_untouched(hold: Hold, status: int) -> None:
    Script(ScriptedPlan(hold)) >> started(1, status) << Relay(1) >> ended(1) << finish("relayed", chosen=1)


def test_a_2xx_reply_is_held() -> None:
    (Script(ScriptedPlan(ALL)) >> started(1, 299)).quiet()


def test_a_relay_that_breaks_off_fails() -> None:
    script = Script(ScriptedPlan(NONE)) >> started(1) << Relay(1) >> failed(1, "timeout")
    script << finish("failed", chosen=1, failure=Failure("timeout"))


def test_an_upstream_that_cannot_be_reached_fails_the_exchange() -> None:
    Script(ScriptedPlan()) >> failed(1) << finish("failed", chosen=0, failure=Failure("unavailable"))


def test_an_upstream_that_breaks_off_before_commit_fails_the_exchange_and_its_late_score_is_ignored() -> None:
    script = Script(ScriptedPlan(prefix(2))) >> started(1) >> chunk(1, "ab") << score(1, 1, "ab", final=False)
    script >> failed(1, "protocol") << finish("failed", chosen=0, failure=Failure("protocol"))
    (script >> scored(1, CLEAR)).quiet()


def test_an_upstream_that_breaks_off_after_commit_fails_with_the_chosen_attempt() -> None:
    script = Script(ScriptedPlan(prefix(1))) >> started(1) >> chunk(1, "a") << score(1, 1, "a", final=False)
    script >> scored(1, CLEAR) << Send(1, b"a") >> failed(1) << finish("failed", chosen=1)


# ---- hold ALL


def test_under_all_nothing_leaves_before_the_verdict_over_the_whole() -> None:
    script = Script(ScriptedPlan(ALL)) >> started(1) >> chunk(1, "a", "b") >> chunk(1, "c", stop())
    script >> ended(1) << score(1, 1, "abc", final=True)
    script >> scored(1, CLEAR) << Send(1, b"abc#0") << finish("answered", chosen=1, action=ActionKind.OBSERVE)


def test_an_empty_body_is_answered_without_a_send() -> None:
    script = Script(ScriptedPlan(ALL)) >> started(1) >> ended(1) << score(1, 1, final=True)
    script >> scored(1) << finish("answered", chosen=1)


def test_a_flagged_answer_is_sent_and_says_so() -> None:
    script = Script(ScriptedPlan(ALL)) >> started(1) >> chunk(1, "a") >> ended(1) << score(1, 1, "a", final=True)
    script >> scored(1, MISROUTED) << Send(1, b"a") << finish("answered", flagged=True, action=ActionKind.FLAG)


def test_what_an_observing_policy_finds_is_no_flag() -> None:
    script = Script(ScriptedPlan(ALL, acting=False)) >> started(1) >> chunk(1, "a") >> ended(1) << score(1, 1, "a", final=True)
    script >> scored(1, MISROUTED) << Send(1, b"a") << finish("answered", flagged=False)
    assert script.outcome is not None
    assert script.outcome.verdict is not None
    assert script.outcome.verdict.modes == ("code",)


def test_every_choice_is_judged_whatever_order_they_come_in() -> None:
    script = Script(ScriptedPlan(ALL), choices=2) >> started(1) >> chunk(1, say("b", 1), say("a", 0), say("B", 1))
    script >> ended(1) << score(1, 1, "a", "bB", final=True)
    script >> scored(1, CLEAR, MISROUTED) << Send(1, b"baB") << finish("answered", flagged=True)


# ---- PREFIX


def test_a_prefix_is_judged_once_it_is_long_enough_then_the_rest_goes_out_as_it_comes() -> None:
    script = Script(ScriptedPlan(prefix(4))) >> started(1) >> chunk(1, "abc")
    script.quiet() >> chunk(1, "d") << score(1, 1, "abcd", final=False)
    script >> chunk(1, "e")
    script.quiet() >> scored(1, CLEAR) << Send(1, b"abcd") << Send(1, b"e")
    assert script.exchange.committed
    script >> chunk(1, "f", stop()) << Send(1, b"f#0")
    script >> ended(1) << score(2, 1, "abcdef", final=True) >> scored(2, CLEAR) << finish("answered", chosen=1)


def test_a_whole_that_turns_out_misrouted_after_commit_is_flagged() -> None:
    plan = ScriptedPlan(prefix(1), ladder=[Action(ActionKind.RETRY, Change(("boundary",)))])
    script = Script(plan) >> started(1) >> chunk(1, "a") << score(1, 1, "a", final=False) >> scored(1, CLEAR) << Send(1, b"a")
    script >> ended(1) << score(2, 1, "a", final=True)
    script >> scored(2, MISROUTED) << finish("answered", flagged=True, action=ActionKind.FLAG)


@pytest.mark.parametrize("plan", [ScriptedPlan(prefix(1), ladder=[BLOCK]), ScriptedPlan(prefix(1), fail_closed=True)])
def test_after_the_last_byte_has_left_nothing_can_be_withheld(plan: ScriptedPlan) -> None:
    script = Script(plan) >> started(1) >> chunk(1, "a") << score(1, 1, "a", final=False) >> scored(1, CLEAR) << Send(1, b"a")
    script >> ended(1) << score(2, 1, "a", final=True)
    late = UNKNOWN if plan.fail_closed else MISROUTED
    script >> scored(2, late) << finish("answered", flagged=not plan.fail_closed)


def test_a_prefix_waits_for_every_choice() -> None:
    script = Script(ScriptedPlan(prefix(2)), choices=2) >> started(1) >> chunk(1, "abcdef")
    script.quiet() >> chunk(1, say("x", 1))
    script.quiet() >> chunk(1, say("y", 1)) << score(1, 1, "abcdef", "xy", final=False)
    script >> scored(1, CLEAR, CLEAR) << Send(1, b"abcdefxy")


def test_a_finished_choice_keeps_no_other_waiting() -> None:
    script = Script(ScriptedPlan(prefix(2)), choices=2) >> started(1) >> chunk(1, "a", stop(0), say("xy", 1))
    script << score(1, 1, "a", "xy", final=False)


def test_an_answer_shorter_than_its_prefix_is_judged_when_it_is_complete() -> None:
    script = Script(ScriptedPlan(prefix(100))) >> started(1) >> chunk(1, "ab") >> ended(1) << score(1, 1, "ab", final=True)
    script >> scored(1, CLEAR) << Send(1, b"ab") << finish("answered")


def test_an_answer_complete_while_its_prefix_is_judged_is_judged_whole_while_a_retry_is_possible() -> None:
    script = Script(ScriptedPlan(prefix(1))) >> started(1) >> chunk(1, "a") << score(1, 1, "a", final=False)
    script >> chunk(1, "b") >> ended(1)
    (
        script.quiet()
        >> scored(1, CLEAR)
        << score(2, 1, "ab", final=True)
        >> scored(2, CLEAR)
        << Send(1, b"ab")
        << finish("answered")
    )


def test_a_prefix_whose_time_runs_out_is_judged_as_it_is_and_counted() -> None:
    script = Script(ScriptedPlan(prefix(10, 250))) >> started(1) << StartHoldTimer(1, 250)
    script >> chunk(1, "abc") >> expired(1) << score(1, 1, "abc", final=False)
    script >> scored(1, CLEAR) << Send(1, b"abc") >> ended(1) << score(2, 1, "abc", final=True)
    script >> scored(2, CLEAR) << finish("answered", hold_expired=True)


def test_a_prefix_whose_time_runs_out_before_any_text_is_judged_at_the_first_text() -> None:
    script = (
        Script(ScriptedPlan(prefix(10, 250))) >> started(1) << StartHoldTimer(1, 250) >> chunk(1, think("hm")) >> expired(1)
    )
    script.quiet() >> chunk(1, "a") << score(1, 1, "a", final=False)


def test_a_timer_that_runs_out_while_a_score_is_awaited_after_commit_or_in_a_tool_call_changes_nothing() -> None:
    script = Script(ScriptedPlan(prefix(1, 9))) >> started(1) << StartHoldTimer(1, 9) >> chunk(1, "a")
    script << score(1, 1, "a", final=False) >> expired(1)
    script.quiet() >> scored(1, CLEAR) << Send(1, b"a") >> expired(1)
    script.quiet() >> ended(1) << score(2, 1, "a", final=True) >> scored(2, CLEAR) << finish("answered", hold_expired=False)

    script = Script(ScriptedPlan(prefix(9, 9))) >> started(1) << StartHoldTimer(1, 9) >> chunk(1, "a", tool("{")) >> expired(1)
    script.quiet() >> ended(1) << score(1, 1, "a", final=True) >> expired(1)
    script.quiet() >> scored(1, CLEAR) << Send(1, b"a<{>") << finish("answered", hold_expired=False)


def test_a_prefix_judged_misrouted_without_a_rung_goes_out_flagged() -> None:
    script = Script(ScriptedPlan(prefix(1))) >> started(1) >> chunk(1, "a") << score(1, 1, "a", final=False)
    script >> scored(1, MISROUTED) << Send(1, b"a") >> ended(1) << score(2, 1, "a", final=True)
    script >> scored(2, MISROUTED) << finish("answered", flagged=True)


# ---- WINDOW


def test_windows_leave_one_by_one_each_after_its_own_verdict() -> None:
    script = Script(ScriptedPlan(window(3))) >> started(1) >> chunk(1, "ab")
    script.quiet() >> chunk(1, "c") << score(1, 1, "abc", final=False)
    script >> chunk(1, "de") >> scored(1, CLEAR) << Send(1, b"abc") >> chunk(1, "f") << score(2, 1, "def", final=False)
    script >> scored(2, CLEAR) << Send(1, b"def") >> chunk(1, "g") >> ended(1) << score(3, 1, "abcdefg", final=True)
    script >> scored(3, CLEAR) << Send(1, b"g") << finish("answered", chosen=1)


def test_text_beyond_a_window_under_judgement_is_the_next_window() -> None:
    script = Script(ScriptedPlan(window(2))) >> started(1) >> chunk(1, "ab") << score(1, 1, "ab", final=False)
    script >> chunk(1, "cde") >> scored(1, CLEAR) << Send(1, b"ab") << score(2, 1, "cde", final=False)
    script >> ended(1)
    script.quiet() >> scored(2, CLEAR) << Send(1, b"cde") << score(3, 1, "abcde", final=True) >> scored(3, CLEAR)
    script << finish("answered")


def test_a_window_is_scored_with_its_context_and_the_whole_is_not_read_again() -> None:
    script = Script(ScriptedPlan(window(3, 2))) >> started(1) >> chunk(1, "abc") << score(1, 1, "abc", final=False)
    script >> scored(1, CLEAR) << Send(1, b"abc") >> chunk(1, "def")
    command = script.left[0]
    assert isinstance(command, ScoreResponse)
    assert [reply.offset for reply in command.replies] == [1]
    script << score(2, 1, "bcdef", final=False) >> scored(2, CLEAR) << Send(1, b"def") >> chunk(1, "g")
    script >> ended(1) << score(3, 1, "efg", final=False) >> scored(3, CLEAR) << Send(1, b"g") << finish("answered")


def test_a_first_window_that_is_the_whole_is_judged_as_final() -> None:
    script = Script(ScriptedPlan(window(9, 9))) >> started(1) >> chunk(1, "abc") >> ended(1) << score(1, 1, "abc", final=True)
    script >> scored(1, CLEAR) << Send(1, b"abc") << finish("answered")


def test_a_window_waits_for_every_choice_so_that_none_is_read_more_than_twice() -> None:
    script = Script(ScriptedPlan(window(2, 2)), choices=2) >> started(1) >> chunk(1, say("ab", 0), say("x", 1))
    script.quiet() >> chunk(1, say("y", 1)) << score(1, 1, "ab", "xy", final=False) >> scored(1, CLEAR, CLEAR)
    script << Send(1, b"abxy") >> chunk(1, say("cd", 0), stop(1)) << score(2, 1, "abcd", "", final=False)


def test_findings_of_windows_add_up() -> None:
    script = Script(ScriptedPlan(window(1, 1))) >> started(1) >> chunk(1, "a") << score(1, 1, "a", final=False)
    script >> scored(1, SUSPECT) << Send(1, b"a") >> chunk(1, "b") << score(2, 1, "ab", final=False)
    script >> scored(2, UNKNOWN) << Send(1, b"b") >> ended(1) << score(3, 1, "", final=False) >> scored(3, CLEAR)
    script << finish("answered", flagged=True)
    assert script.outcome is not None
    assert script.outcome.verdict is not None
    assert script.outcome.verdict.unchecked == {"code"}


def test_a_window_of_no_characters_still_needs_one() -> None:
    script = Script(ScriptedPlan(window(0))) >> started(1) >> chunk(1, "a") << score(1, 1, "a", final=False)
    script >> scored(1, CLEAR) << Send(1, b"a")


# ---- tool calls, reasoning, the API's own refusal


@pytest.mark.parametrize("hold", [prefix(2), window(2)])
def test_a_tool_call_before_commit_is_held_until_it_is_complete_and_checked(hold: Hold) -> None:
    script = Script(ScriptedPlan(hold)) >> started(1) >> chunk(1, "a", tool('{"x', name="f", id="c1")) >> chunk(1, "bcdef")
    script >> chunk(1, tool('":1}')) >> ended(1)
    command = script.left[0]
    assert isinstance(command, ScoreResponse)
    assert [(call.name, call.arguments, call.id) for call in command.replies[0].tool_calls] == [("f", '{"x":1}', "c1")]
    script << score(1, 1, "abcdef", final=True)
    script >> scored(1, CLEAR) << Send(1, b'a<f{"x>bcdef<":1}>') << finish("answered")


def test_a_tool_call_after_commit_is_held_until_it_is_complete_and_checked() -> None:
    script = Script(ScriptedPlan(prefix(1), ladder=[BLOCK])) >> started(1) >> chunk(1, "a") << score(1, 1, "a", final=False)
    script >> scored(1, CLEAR) << Send(1, b"a") >> chunk(1, "b") << Send(1, b"b") >> chunk(1, tool("{", name="f"))
    script.quiet() >> chunk(1, tool("}"), "c") >> ended(1) << score(2, 1, "abc", final=True)
    held = (tool("{", name="f"), tool("}"), say("c"))
    script >> scored(2, MISROUTED) << SendBlocked(1, held) << finish("blocked", chosen=1, action=ActionKind.BLOCK)


def test_a_tool_call_after_windows_with_context_is_judged_as_final_with_the_tail_only() -> None:
    script = Script(ScriptedPlan(window(2, 1))) >> started(1) >> chunk(1, "ab") << score(1, 1, "ab", final=False)
    script >> chunk(1, "c", tool("{}", name="f")) >> scored(1, CLEAR) << Send(1, b"ab") >> ended(1)
    script << score(2, 1, "bc", final=True) >> scored(2, CLEAR) << Send(1, b"c<f{}>") << finish("answered")


def test_reasoning_is_held_with_the_content() -> None:
    script = Script(ScriptedPlan(prefix(1))) >> started(1) >> chunk(1, think("hm"))
    script.quiet() >> chunk(1, "a") << score(1, 1, "a", final=False) >> scored(1, CLEAR) << Send(1, b"(hm)a")


def test_released_reasoning_commits_and_leaves_only_flags() -> None:
    plan = ScriptedPlan(ALL, ladder=[Action(ActionKind.RETRY)], release_reasoning=True)
    script = Script(plan) >> started(1) >> chunk(1, say("")) >> chunk(1, think("hm")) << Send(1, b"(hm)")
    assert script.exchange.committed
    script >> chunk(1, think("so")) << Send(1, b"(so)") >> chunk(1, "a")
    script.quiet() >> chunk(1, think("late")) >> ended(1) << score(1, 1, "a", final=True)
    script >> scored(1, MISROUTED) << Send(1, b"a(late)") << finish("answered", flagged=True)
    assert plan.steps[0].committed


def test_a_prefix_whose_time_runs_out_after_released_reasoning_is_judged_as_it_is() -> None:
    script = Script(ScriptedPlan(prefix(9, 50), release_reasoning=True)) >> started(1) << StartHoldTimer(1, 50)
    script >> chunk(1, think("hm")) << Send(1, b"(hm)") >> chunk(1, "abc") >> expired(1) << score(1, 1, "abc", final=False)
    script >> scored(1, CLEAR) << Send(1, b"abc")


@pytest.mark.parametrize("piece", [refuse("I cannot"), tool("{")])
def test_released_reasoning_takes_no_refusal_and_no_tool_call_with_it(piece: object) -> None:
    script = Script(ScriptedPlan(ALL, release_reasoning=True)) >> started(1) >> chunk(1, piece, think("hm"))  # type: ignore[arg-type]
    script.quiet()


def test_the_apis_own_refusal_is_judged_and_ends_an_expired_hold() -> None:
    script = Script(ScriptedPlan(prefix(9, 9))) >> started(1) << StartHoldTimer(1, 9) >> chunk(1, refuse("no"), refuse("pe"))
    script >> expired(1)
    command = script.left[0]
    assert isinstance(command, ScoreResponse)
    assert command.replies[0].refusal == "nope"


# ---- block, failure to judge, disconnect


def test_a_block_before_commit_withholds_everything_and_stops_the_upstream() -> None:
    script = Script(ScriptedPlan(prefix(1), ladder=[BLOCK])) >> started(1) >> chunk(1, "a") << score(1, 1, "a", final=False)
    script >> chunk(1, "b") >> scored(1, MISROUTED) << SendBlocked(1, (say("a"), say("b"))) << CancelUpstream(1)
    script << finish("blocked", chosen=1, action=ActionKind.BLOCK)


def test_an_empty_answer_can_be_blocked() -> None:
    class Blocking(ScriptedPlan):
        def choose_action(self, verdict: Verdict, step: Step) -> Action:
            return BLOCK

    script = Script(Blocking(ALL)) >> started(1) >> ended(1) << score(1, 1, final=True)
    script >> scored(1) << SendBlocked(1, ()) << finish("blocked", chosen=1)


def test_a_block_after_commit_withholds_what_is_held() -> None:
    script = Script(ScriptedPlan(window(1), ladder=[BLOCK])) >> started(1) >> chunk(1, "a") << score(1, 1, "a", final=False)
    script >> scored(1, CLEAR) << Send(1, b"a") >> chunk(1, "b") << score(2, 1, "b", final=False)
    script >> scored(2, MISROUTED) << SendBlocked(1, (say("b"),)) << CancelUpstream(1) << finish("blocked", chosen=1)


@pytest.mark.parametrize("hold", [ALL, prefix(1), window(1)])
def test_failing_to_judge_under_fail_closed_withholds_the_answer(hold: Hold) -> None:
    script = Script(ScriptedPlan(hold, fail_closed=True)) >> started(1) >> chunk(1, "a")
    if hold.kind is HoldKind.ALL:
        script >> ended(1) << score(1, 1, "a", final=True) >> scored(1, UNKNOWN)
    else:
        script << score(1, 1, "a", final=False) >> scored(1, UNKNOWN) << CancelUpstream(1)
    script << finish("unavailable", chosen=0, reason="code")


def test_failing_to_judge_under_fail_open_passes_the_answer_unchecked() -> None:
    script = Script(ScriptedPlan(ALL)) >> started(1) >> chunk(1, "a") >> ended(1) << score(1, 1, "a", final=True)
    script >> scored(1, UNKNOWN) << Send(1, b"a") << finish("answered", flagged=False)
    assert script.outcome is not None
    assert script.outcome.verdict is not None
    assert script.outcome.verdict.unchecked == {"code"}


def test_a_client_gone_before_the_prompt_is_scored_just_ends() -> None:
    script = Script() >> ClientGone() << finish("client_gone", chosen=0, attempts=())
    (script >> ClientGone()).quiet()


def test_a_client_gone_in_any_state_cancels_what_runs() -> None:
    calling = Script(ScriptedPlan())
    holding = Script(ScriptedPlan()) >> started(1)
    relaying = Script(ScriptedPlan(NONE)) >> started(1) << Relay(1)
    committed = Script(ScriptedPlan(prefix(1))) >> started(1) >> chunk(1, "a") << score(1, 1, "a", final=False)
    committed >> scored(1, CLEAR) << Send(1, b"a")
    for script in (calling, holding, relaying, committed):
        script >> ClientGone() << CancelUpstream(1) << finish("client_gone", chosen=int(script in (relaying, committed)))
        for late in (chunk(1, "z"), ended(1), failed(1), scored(1, CLEAR), ClientGone()):
            (script >> late).quiet()


# ---- the driver's bugs


def test_a_second_prompt_is_a_violation() -> None:
    with pytest.raises(ProtocolViolation, match="twice"):
        Script(ScriptedPlan()).exchange.receive(prompt(ScriptedPlan()), 0.0)


def test_an_event_of_an_attempt_never_called_is_a_violation() -> None:
    with pytest.raises(ProtocolViolation, match="no attempt 2"):
        Script(ScriptedPlan()).exchange.receive(started(2), 0.0)
    with pytest.raises(ProtocolViolation, match="no attempt 1"):
        Exchange().receive(started(1), 0.0)


def test_a_score_nobody_asked_for_is_ignored() -> None:
    script = Script(ScriptedPlan(prefix(1))) >> started(1) >> chunk(1, "a") << score(1, 1, "a", final=False)
    assert script.exchange.receive(scored(7, CLEAR), 0.0) == []
    script >> scored(1, CLEAR) << Send(1, b"a")


def test_the_table_names_every_state_and_ends_only_in_done() -> None:
    states = {state.name for state in State}
    assert {row.state for row in table()} == (states - {"DONE"}) | {"any"}
    assert {row.after for row in table()} == states - {"START"}
    assert all(("Finish" in row.commands) == (row.after == "DONE") for row in table())
