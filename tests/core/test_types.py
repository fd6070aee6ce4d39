"""The derived values of the contract."""

from __future__ import annotations

from core.types import (
    EARLY_MODES,
    MODES,
    ActionKind,
    Boundary,
    Change,
    Conversation,
    Edit,
    Finding,
    HoldKind,
    Level,
    Turn,
    Verdict,
)


def test_the_last_user_turn_is_found_behind_tool_results_and_answers() -> None:
    turns = (
        Turn("system", "s", 0),
        Turn("user", "one", 1),
        Turn("assistant", "a", 2),
        Turn("user", "two", 3, media=True),
        Turn("tool", "t", 4),
    )
    conversation = Conversation(turns)
    assert conversation.last_user == turns[3]
    assert conversation.user_turns == (turns[1], turns[3])
    assert conversation.has_tool_result
    assert conversation.has_media


def test_a_conversation_without_a_user_has_no_last_user_turn() -> None:
    conversation = Conversation((Turn("system", "s", 0),))
    assert conversation.last_user is None
    assert not conversation.has_tool_result
    assert not conversation.has_media


def test_an_empty_verdict_is_clear() -> None:
    assert (Verdict().level, Verdict().acting_level, Verdict().modes, Verdict().acting) == (Level.CLEAR, Level.CLEAR, (), ())


def test_a_verdict_is_as_bad_as_its_worst_finding_and_acts_on_acting_ones_only() -> None:
    seen = Finding("fiction", 0, Level.MISROUTED, 0.9, acting=False)
    acted = Finding("rebuttal", 0, Level.SUSPECT, 0.5)
    verdict = Verdict((seen, acted, seen))
    assert (verdict.level, verdict.acting_level) == (Level.MISROUTED, Level.SUSPECT)
    assert verdict.acting == (acted,)
    assert verdict.modes == ("rebuttal", "fiction")


def test_a_change_is_empty_only_when_the_clients_bytes_stay_untouched() -> None:
    assert Change().empty
    assert Change(names=("probe",)).empty
    assert not Change(boundaries=(Boundary("b", "system_append"),)).empty
    assert not Change(edits=(Edit(0, 0, 1, ""),)).empty
    assert not Change(upstream="other").empty
    assert not Change(model="other").empty


def test_orders_that_policies_rely_on() -> None:
    assert Level.CLEAR < Level.SUSPECT < Level.MISROUTED
    assert HoldKind.NONE < HoldKind.PREFIX < HoldKind.WINDOW < HoldKind.ALL
    assert list(ActionKind) == sorted(ActionKind)
    assert [kind.name for kind in sorted(ActionKind)] == ["OBSERVE", "FLAG", "RETRY", "FALLBACK", "BLOCK"]
    assert len(MODES) == 8
    assert set(MODES) > EARLY_MODES
