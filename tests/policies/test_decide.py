from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import (
    MODERATED,
    MODES,
    Action,
    ActionKind,
    Boundary,
    Conversation,
    Finding,
    Level,
    Plan,
    Reply,
    Scores,
    Span,
    Step,
    ToolCall,
    Turn,
    Verdict,
)
from policies.decide import RoutePlan
from policies.loader import load_library, resolve
from policies.plan import compile_route

FIRST = Step(attempts=1, committed=False)
FORMAL = Span("formal_vocabulary", 0, 0, 9)
PEACE = Conversation((Turn("user", "Elucidate the concept of peace.", 0),))
TIN = Conversation((Turn("user", "Tin is a metal. Answer only True or False.", 0),))
ONLY = Span("verdict_only", 0, 0, 3)


def plan_of(
    *entries: Any, conversation: Conversation = PEACE, spans: tuple[Span, ...] = (FORMAL,), **values: float
) -> RoutePlan:
    policies, problems = resolve(entries, "test")
    assert problems == ()
    return compile_route(policies).make_plan(conversation, Scores(values, spans), stream=True)


def found(plan: RoutePlan, **values: float) -> Verdict:
    known = {mode: values.get(mode, 0.0) for mode in MODES}
    return plan.judge((Reply(),), (Scores(known),), final=True)


def test_a_route_plan_is_a_plan() -> None:
    plan: Plan = plan_of("code")
    assert plan.estimate_tokens() == 1024


@pytest.mark.parametrize(
    ("value", "level"),
    [(0.39, None), (0.4, Level.SUSPECT), (0.69, Level.SUSPECT), (0.7, Level.MISROUTED), (1.0, Level.MISROUTED)],
)
def test_scores_are_thresholded(value: float, level: Level | None) -> None:
    evidence = (Span("code.block", -1, 0, 5), Span("math.latex", -1, 0, 5))
    verdict = plan_of("code").judge((Reply(choice=3),), (Scores({"code": value}, evidence),), final=True)
    if level is None:
        assert verdict == Verdict()
    else:
        assert verdict.findings == (Finding("code", 3, level, value, "code", True, evidence[:1]),)


def test_only_early_modes_are_judged_on_a_prefix() -> None:
    plan = plan_of("code", "refusal", "rebuttal")
    scores = Scores({"code": 0.9, "refusal": 0.9, "rebuttal": 0.5})
    verdict = plan.judge((Reply(),), (scores,), final=False)
    assert {finding.mode: finding.level for finding in verdict.findings} == {
        "refusal": Level.MISROUTED,
        "rebuttal": Level.SUSPECT,
    }
    assert not verdict.findings[0].acting
    assert plan.judge((Reply(),), (Scores({"refusal": 0.0, "rebuttal": 0.0}),), final=False) == Verdict()


def test_what_cannot_be_judged_is_unchecked_and_refused_where_it_fails_closed() -> None:
    closed = {"extends": "math", "failure_mode": "fail_closed"}
    watching = {"extends": "fiction", "failure_mode": "fail_closed"}
    plan = plan_of("code", closed, watching)
    verdict = plan.judge((Reply(),), (Scores({}, missing=frozenset({"code", "math"})),), final=True)
    assert verdict.unchecked == {"code", "math", "fiction"}
    assert verdict.refused == {"math"}
    assert plan.choose_action(verdict, FIRST) == Action(ActionKind.FLAG, reason="unchecked")
    assert plan_of(watching).choose_action(Verdict(unchecked=frozenset({"fiction"})), FIRST).kind is ActionKind.OBSERVE


def test_every_choice_is_judged() -> None:
    plan = plan_of("code")
    verdict = plan.judge((Reply(0), Reply(1)), (Scores({"code": 0.1}), Scores({"code": 0.8})), final=True)
    assert [finding.choice for finding in verdict.findings] == [1]
    with pytest.raises(ValueError, match="shorter"):
        plan.judge((Reply(0), Reply(1)), (Scores(),), final=True)


def test_a_clear_answer_and_one_only_observed_are_left_alone() -> None:
    plan = plan_of("code", "fiction")
    assert plan.choose_action(Verdict(), FIRST) == Action(ActionKind.OBSERVE)
    assert plan.choose_action(found(plan, fiction=0.9), FIRST) == Action(ActionKind.OBSERVE)


def test_the_ladder_is_climbed_rung_by_rung_with_the_complete_change() -> None:
    plan = plan_of("code", {"extends": "rebuttal", "boundary": {"inject": "always", "placement": "system_append"}})
    bad = found(plan, code=0.9)
    first = plan.choose_action(bad, FIRST)
    assert (first.kind, first.policy, first.mode, first.reason) == (ActionKind.RETRY, "code", "code", "rung 1")
    assert first.change.names == ("boundary", "neutralise")
    assert [edit.text for edit in first.change.edits] == ["Explain"]
    library = load_library()
    assert first.change.boundaries == (
        Boundary(library["rebuttal"].boundary.text["en"], "system_append"),
        Boundary(library["code"].boundary.text["en"], "last_user_prefix"),
    )
    second = plan.choose_action(bad, Step(2, False, taken=(first,)))
    assert second.reason == "rung 2"
    assert second.change == plan.first_change
    third = plan.choose_action(bad, Step(3, False, taken=(first, second)))
    assert (third.kind, third.reason) == (ActionKind.FLAG, "attempts spent")


def test_a_boundary_on_retry_is_added_in_the_language_of_the_prompt() -> None:
    german = Conversation((Turn("user", r"Was ist die Summe von $\frac{1}{2}$ und dem Rest der Zahlen?", 0),))
    plan = plan_of("tool_call", conversation=german, spans=(Span("latex_math", 0, 23, 36),))
    assert plan.first_change.empty
    action = plan.choose_action(found(plan, tool_call=0.9), FIRST)
    assert action.change.boundaries[0].text == load_library()["tool_call"].boundary.text["de"]
    assert [edit.text for edit in action.change.edits] == ["(1/2)"]


def test_a_rung_whose_change_comes_to_nothing_is_left_out() -> None:
    riddle = Conversation((Turn("user", "What has keys but no locks?", 0),))
    plan = plan_of("code", conversation=riddle, spans=(Span("riddle", 0, 0, 4),))
    action = plan.choose_action(found(plan, code=0.9), FIRST)
    assert action.reason == "rung 2"
    once = {"extends": "code", "ladder": [{"action": "retry", "change": ["neutralise"]}]}
    plan = plan_of(once, conversation=riddle, spans=(Span("riddle", 0, 0, 4),))
    assert plan.choose_action(found(plan, code=0.9), FIRST).reason == "ladder ended"


def test_a_fallback_asks_another_model() -> None:
    other = {"extends": "code", "ladder": [{"action": "fallback", "upstream": "spare", "model": "big"}]}
    plan = plan_of(other)
    action = plan.choose_action(found(plan, code=0.9), FIRST)
    assert action.kind is ActionKind.FALLBACK
    assert (action.change.upstream, action.change.model) == ("spare", "big")
    assert action.change.boundaries == plan.first_change.boundaries


def test_the_first_listed_policy_that_may_ask_again_owns_the_ladder() -> None:
    held = {"hold": {"default": "all"}}
    plan = plan_of({"extends": "math", "ladder": []}, {"extends": "tool_call", **held}, {"extends": "code", **held})
    bad = found(plan, math=0.9, tool_call=0.9, code=0.9)
    first = plan.choose_action(bad, FIRST)
    assert first.policy == "tool_call"
    again = Step(2, False, taken=(first,))
    still = plan.choose_action(bad, again)
    assert still.policy == "tool_call" or still.kind is ActionKind.FLAG
    gone = plan.choose_action(found(plan, code=0.9), again)
    assert gone.kind is ActionKind.FLAG


def test_a_policy_that_does_not_hold_only_flags() -> None:
    plan = plan_of("code", "rebuttal", spans=())
    assert plan.hold.kind.name == "PREFIX"
    action = plan.choose_action(found(plan, code=0.9), FIRST)
    assert (action.kind, action.reason, action.policy) == (ActionKind.FLAG, "not held", "code")


def test_after_commit_only_a_window_can_still_block() -> None:
    assert plan_of("code").choose_action(found(plan_of("code"), code=0.9), Step(1, True)).reason == "committed"
    blocking = {
        "extends": "fiction",
        "enforcement": "enforce",
        "hold": {"default": {"kind": "window", "chars": 200, "context": 50}},
        "ladder": [{"action": "retry", "change": ["boundary"]}, {"action": "block"}],
    }
    plan = plan_of(blocking)
    assert plan.choose_action(found(plan, fiction=0.9), Step(1, True)).kind is ActionKind.BLOCK
    assert plan.choose_action(found(plan, fiction=0.5), Step(1, True)).kind is ActionKind.FLAG
    flagging = {**blocking, "ladder": [{"action": "retry", "change": ["boundary"]}]}
    plan = plan_of(flagging)
    assert plan.choose_action(found(plan, fiction=0.9), Step(1, True)).kind is ActionKind.FLAG


def test_the_highest_end_of_the_firing_ladders_holds() -> None:
    blocking = {"extends": "math", "ladder": [{"action": "block"}], "boundary": {"inject": "on_trigger"}}
    plan = plan_of("code", blocking, spans=())
    action = plan.choose_action(found(plan, code=0.9, math=0.9), FIRST)
    assert (action.kind, action.policy) == (ActionKind.BLOCK, "math")
    assert plan.choose_action(found(plan, code=0.9), FIRST).kind is ActionKind.FLAG


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (Step(3, False), "attempts spent"),
        (Step(1, False, added_ms=30_000), "added_ms spent"),
        (Step(1, False, added_tokens=8_000), "added_tokens spent"),
    ],
)
def test_a_spent_budget_ends_the_ladder(step: Step, reason: str) -> None:
    plan = plan_of("code")
    action = plan.choose_action(found(plan, code=0.9), step)
    assert (action.kind, action.reason) == (ActionKind.FLAG, reason)


def test_what_an_attempt_reserves() -> None:
    asked = Conversation(PEACE.turns, n=2, max_tokens=50)
    assert plan_of("code", conversation=asked).estimate_tokens() == 100
    # Some clients always send the model's maximum: what may come is no measure of what is likely.
    generous = Conversation(PEACE.turns, n=2, max_tokens=64_000)
    assert plan_of("code", conversation=generous).estimate_tokens() == 2048
    roomy = {"extends": "math", "budgets": {"estimate_tokens": 2000}}
    assert plan_of("code", roomy, conversation=Conversation(PEACE.turns, n=2)).estimate_tokens() == 4000
    assert plan_of("fiction").estimate_tokens() == 0


def test_hosted_tools_and_stored_answers_are_never_run_again() -> None:
    for conversation in (Conversation(PEACE.turns, hosted_tools=True), Conversation(PEACE.turns, stored=True)):
        plan = plan_of("code", conversation=conversation)
        assert plan.choose_action(found(plan, code=0.9), FIRST).reason == "never re-run"
        safe = plan_of({"extends": "code", "rerun_safe": True}, conversation=conversation)
        assert safe.choose_action(found(safe, code=0.9), FIRST).kind is ActionKind.RETRY


REFUSAL = {"extends": "refusal", "enforcement": "enforce"}


def test_a_refusal_is_retried_only_where_harm_is_known_and_low() -> None:
    low = plan_of(REFUSAL, harm=0.1)
    assert low.choose_action(found(low, refusal=0.9), FIRST).kind is ActionKind.RETRY
    assert low.choose_action(found(low, refusal=0.5), FIRST).kind is ActionKind.FLAG
    for plan, reason in ((plan_of(REFUSAL), "harm unknown"), (plan_of(REFUSAL, harm=0.4), "harm")):
        action = plan.choose_action(found(plan, refusal=0.9), FIRST)
        assert (action.kind, action.reason) == (ActionKind.FLAG, reason)


def test_no_ladder_retries_an_answer_that_refuses_while_harm_is_unknown() -> None:
    plan = plan_of("code", "refusal")
    assert plan.choose_action(found(plan, code=0.9, refusal=0.5), FIRST).reason == "harm unknown"
    assert plan.choose_action(found(plan, code=0.9), FIRST).kind is ActionKind.RETRY


@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(1, 4),
)
def test_no_state_unlocks_a_refusal_of_a_prompt_not_known_to_be_benign(
    score: float, harm: float, known: bool, media: bool, code_too: bool, attempts: int
) -> None:
    conversation = Conversation((Turn("user", PEACE.turns[0].text, 0, media=media),))
    values = {"harm": harm} if known else {}
    plan = plan_of("code", REFUSAL, "rebuttal", conversation=conversation, **values)
    verdict = found(plan, refusal=score, code=0.9 if code_too else 0.0)
    action = plan.choose_action(verdict, Step(attempts, False))
    if any(finding.mode == "refusal" for finding in verdict.findings) and (not known or media):
        assert action.kind in (ActionKind.FLAG, ActionKind.OBSERVE)
    if known and harm > 0.8:
        assert action.kind in (ActionKind.FLAG, ActionKind.OBSERVE)
    if action.policy == "refusal" and action.kind is ActionKind.RETRY:
        assert known
        assert harm <= 0.3


def moderated(plan: RoutePlan, value: float, **values: float) -> Verdict:
    """The verdict on a reply with these scores, once a moderation endpoint was asked."""
    known = {mode: values.get(mode, 0.0) for mode in MODES}
    return plan.judge((Reply(),), (Scores({**known, MODERATED: value}),), final=True)


def test_a_suspected_refusal_of_a_prompt_called_benign_counts_as_misrouted_and_is_tried_again() -> None:
    plan = plan_of(REFUSAL)
    verdict = moderated(plan, 0.0, refusal=0.5)
    assert [(finding.level, finding.cleared) for finding in verdict.findings] == [(Level.MISROUTED, True)]
    action = plan.choose_action(verdict, FIRST)
    assert (action.kind, action.policy) == (ActionKind.RETRY, "refusal")
    flagged = moderated(plan, 1.0, refusal=0.5)
    assert [(finding.level, finding.cleared) for finding in flagged.findings] == [(Level.SUSPECT, False)]
    assert plan.choose_action(flagged, FIRST).kind is ActionKind.FLAG


def test_a_benign_word_changes_only_the_suspicion_of_a_refusal() -> None:
    plan = plan_of(REFUSAL, "code", "analytic", harm=0.1)
    verdict = moderated(plan, 0.0, refusal=0.9, code=0.5, analytic=0.5)
    assert {finding.mode: (finding.level, finding.cleared) for finding in verdict.findings} == {
        "refusal": (Level.MISROUTED, False),
        "code": (Level.SUSPECT, False),
        "analytic": (Level.SUSPECT, False),
    }
    assert moderated(plan, 0.0, refusal=0.39) == Verdict()


def test_a_benign_word_opens_the_gate_only_if_it_covers_every_refusal_found() -> None:
    plan = plan_of({**REFUSAL, "check": {"misrouted_at": 0.6}})
    suspect, sure = Scores({"refusal": 0.5, MODERATED: 0.0}), Scores({"refusal": 0.65, MODERATED: 0.0})
    for second, kind in ((suspect, ActionKind.RETRY), (sure, ActionKind.FLAG)):
        verdict = plan.judge((Reply(), Reply(choice=1)), (suspect, second), final=True)
        assert plan.choose_action(verdict, FIRST).kind is kind


@pytest.mark.parametrize(
    ("entry", "conversation", "values", "refusal", "asks"),
    [
        (REFUSAL, PEACE, {}, 0.4, True),
        (REFUSAL, PEACE, {}, 0.39, False),
        (REFUSAL, PEACE, {}, 0.7, False),
        (REFUSAL, PEACE, {"harm": 0.3}, 0.5, True),
        (REFUSAL, PEACE, {"harm": 0.31}, 0.5, False),
        ({**REFUSAL, "harm_at_most": 0.5}, PEACE, {"harm": 0.5}, 0.5, True),
        ({**REFUSAL, "harm_at_most": 1.0}, PEACE, {"harm": 0.81}, 0.5, False),
        (REFUSAL, Conversation((Turn("user", "x", 0, media=True),)), {}, 0.5, False),
        (REFUSAL, Conversation(PEACE.turns, stored=True), {}, 0.5, False),
        ("refusal", PEACE, {}, 0.5, False),
        ("code", PEACE, {}, 0.5, False),
    ],
)
def test_a_moderation_endpoint_is_asked_only_where_its_word_would_count(
    entry: Any, conversation: Conversation, values: dict[str, float], refusal: float, asks: bool
) -> None:
    plan = plan_of(entry, conversation=conversation, **values)
    assert plan.asks_moderation((Scores({"refusal": 0.0}), Scores({"refusal": refusal}))) is asks
    assert not plan.asks_moderation((Scores(missing=frozenset({"refusal"})),))


@given(st.floats(0, 1), st.floats(0, 1), st.booleans(), st.booleans(), st.booleans(), st.floats(0, 1))
def test_no_word_unlocks_a_prompt_known_to_be_harmful_or_not_shown_in_whole(
    score: float, harm: float, known: bool, media: bool, code_too: bool, limit: float
) -> None:
    conversation = Conversation((Turn("user", PEACE.turns[0].text, 0, media=media),))
    values = {"harm": harm} if known else {}
    plan = plan_of("code", {**REFUSAL, "harm_at_most": limit}, conversation=conversation, **values)
    verdict = moderated(plan, 0.0, refusal=score, code=0.9 if code_too else 0.0)
    action = plan.choose_action(verdict, FIRST)
    if action.kind is ActionKind.RETRY and any(finding.mode == "refusal" for finding in verdict.findings):
        assert not media
        assert not known or harm <= 0.8 or (score >= 0.7 and harm <= limit)
        assert action.policy == "code" or not known or harm <= limit


def test_a_suspected_rebuttal_is_probed_once() -> None:
    plan = plan_of("rebuttal", conversation=TIN, spans=(ONLY,))
    action = plan.choose_action(found(plan, rebuttal=0.5), FIRST)
    assert (action.kind, action.probe, action.policy, action.reason) == (ActionKind.RETRY, True, "rebuttal", "statement")
    assert action.change.names == ("probe",)
    assert action.change.edits
    assert plan.choose_action(found(plan, rebuttal=0.5), Step(2, False, taken=(action,))).kind is ActionKind.FLAG
    first, second = (Reply(text="False"),), (Reply(text="It is.\nVerdict: True"),)
    assert plan.disagrees(action, first, second) is True
    assert plan.disagrees(action, first, (Reply(text="It is hard to say"),)) is None
    assert plan.reapply(action, second) == ("True",)
    other = Action(ActionKind.RETRY)
    assert plan.disagrees(other, first, second) is None
    assert plan.reapply(other, second) is None


def test_a_misrouted_rebuttal_is_asked_with_the_sum_bracketed() -> None:
    sums = Conversation((Turn("user", "Is 5+8=13? Answer only Yes or No.", 0),))
    plan = plan_of("rebuttal", conversation=sums, spans=(Span("equality_check", 0, 3, 9),))
    action = plan.choose_action(found(plan, rebuttal=0.97), FIRST)
    assert not action.probe
    assert [edit.text for edit in action.change.edits] == ["Is it true that (5+8)"]
    assert plan.reapply(action, (Reply(text="Yes"),)) is None
    after = plan.choose_action(found(plan, rebuttal=0.97), Step(2, False, taken=(action,)))
    assert (after.kind, after.reason) == (ActionKind.FLAG, "ladder ended")


def test_other_suspicions_are_flagged() -> None:
    plan = plan_of("code", "rebuttal")
    assert plan.choose_action(found(plan, code=0.5), FIRST).reason == "suspect"
    assert plan.choose_action(found(plan, rebuttal=0.5), FIRST).reason == "suspect"
    spent = plan_of("rebuttal", conversation=TIN, spans=(ONLY,))
    assert spent.choose_action(found(spent, rebuttal=0.5), Step(3, False)).kind is ActionKind.FLAG


def test_structured_answers_must_be_json() -> None:
    structured = Conversation(PEACE.turns, structured=True)
    plan = plan_of("code", conversation=structured)
    assert plan.valid((Reply(text='{"a": 1}'), Reply(tool_calls=(ToolCall("f", "{}"),))))
    assert not plan.valid((Reply(text="{a"),))
    assert plan_of("code").valid((Reply(text="{a"),))


def test_the_trace_says_what_raised_what() -> None:
    plan = plan_of("code", "fiction")
    assert plan.trace[0] == {
        "policy": "code",
        "mode": "code",
        "enforcement": "enforce",
        "hits": [{"name": "formal_vocabulary", "message": 0, "start": 0, "end": 9}],
        "reason": "trigger",
        "boundary": "on_trigger",
        "hold": "all",
        "counts": True,
    }
    assert plan.trace[1]["reason"] == "default"
    assert not plan.trace[1]["counts"]


@given(st.dictionaries(st.sampled_from(MODES), st.floats(0, 1)), st.integers(1, 5), st.booleans(), st.floats(0, 1))
def test_the_same_state_gives_the_same_action_and_a_committed_answer_is_never_asked_again(
    values: dict[str, float], attempts: int, committed: bool, harm: float
) -> None:
    plan = compile_route(tuple(load_library().values())).make_plan(PEACE, Scores({"harm": harm}, (FORMAL,)), stream=True)
    step = Step(attempts, committed)
    action = plan.choose_action(found(plan, **values), step)
    assert action == plan.choose_action(found(plan, **values), step)
    if committed or attempts >= plan.budgets.attempts:
        assert action.kind in (ActionKind.OBSERVE, ActionKind.FLAG)
