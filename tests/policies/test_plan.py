from typing import Any

import pytest

from core.types import Budgets, Change, Conversation, Hold, HoldKind, Scores, Span, Turn
from policies.boundaries import MAX_BOUNDARY_CHARS
from policies.loader import load_library, resolve
from policies.plan import CompiledRoute, combine_budgets, combine_holds, compile_route, make_plan
from policies.schema import Policy

TALK = Conversation(
    (Turn("user", "Elucidate peace.", 0), Turn("assistant", "…", 1), Turn("user", "Elucidate love, please.", 2))
)
NOW = Span("formal_vocabulary", 2, 0, 9)
EARLIER = Span("formal_vocabulary", 0, 0, 9)


def policies_of(*entries: Any) -> tuple[Policy, ...]:
    policies, problems = resolve(entries, "test")
    assert problems == ()
    return policies


def route_of(*entries: Any) -> CompiledRoute:
    return compile_route(policies_of(*entries))


@pytest.mark.parametrize(
    ("holds", "strictest"),
    [
        ([], Hold()),
        ([Hold(), Hold()], Hold()),
        ([Hold(HoldKind.PREFIX, 300, 0, 2000), Hold(HoldKind.PREFIX, 100, 0, 3000)], Hold(HoldKind.PREFIX, 300, 0, 3000)),
        ([Hold(HoldKind.PREFIX, 300, 0, 2000), Hold(HoldKind.PREFIX, 100)], Hold(HoldKind.PREFIX, 300, 0, 0)),
        ([Hold(HoldKind.PREFIX, 300, 0, 9), Hold(HoldKind.WINDOW, 100, 50), Hold()], Hold(HoldKind.WINDOW, 300, 50)),
        ([Hold(HoldKind.ALL), Hold(HoldKind.WINDOW, 100, 50)], Hold(HoldKind.ALL)),
    ],
)
def test_the_strictest_hold_wins(holds: list[Hold], strictest: Hold) -> None:
    assert combine_holds(holds) == strictest


def test_the_smallest_of_each_budget_wins() -> None:
    first = {"extends": "code", "name": "a", "budgets": {"attempts": 4, "added_ms": 10, "added_tokens": 500}}
    second = {"extends": "code", "name": "b", "budgets": {"attempts": 2, "added_ms": 90, "added_tokens": 900}}
    assert combine_budgets(policies_of(first, second)) == Budgets(2, 10, 500)
    assert combine_budgets(()) == Budgets(1, 0, 0)


def test_the_shipped_policies_hold_a_prefix_and_change_nothing_without_a_trigger() -> None:
    route = compile_route(tuple(load_library().values()))
    plan = route.make_plan(TALK, Scores(), stream=True)
    assert plan.first_change == Change()
    assert plan.first_change.empty
    assert plan.hold == Hold(HoldKind.PREFIX, 300, 0, 2000)
    assert route.make_plan(TALK, Scores(), stream=False).hold == Hold(HoldKind.ALL)
    assert plan.budgets == Budgets()
    assert not plan.release_reasoning
    assert route.needs >= {"code", "harm", "refusal", "asks_code"}
    assert route.triggers == ()


def test_only_the_last_user_turn_raises_a_trigger() -> None:
    route = route_of("code")
    assert route.make_plan(TALK, Scores(spans=(EARLIER,)), stream=True).hold == Hold()
    plan = route.make_plan(TALK, Scores(spans=(EARLIER, NOW, Span("riddle", 1, 0, 1))), stream=True)
    assert plan.hold == Hold(HoldKind.ALL)
    assert plan.first_change.names == ("boundary",)
    assert plan.first_change.boundaries[0].placement == "last_user_prefix"
    assert plan.triggers == (EARLIER, NOW, Span("riddle", 1, 0, 1))
    nobody = Conversation((Turn("system", "x", 0),))
    assert route.make_plan(nobody, Scores(spans=(NOW,)), stream=True).hold == Hold()


def test_a_licence_silences_the_triggers() -> None:
    plan = route_of("code").make_plan(TALK, Scores({"asks_code": 0.5}, (NOW,)), stream=True)
    assert plan.first_change.empty
    assert plan.hold == Hold()
    assert plan.trace[0]["reason"] == "licensed"
    assert plan.trace[0]["hits"] == [{"name": "formal_vocabulary", "message": 2, "start": 0, "end": 9}]
    mixed = route_of("code", {"extends": "code", "name": "strict", "licence": []})
    assert [entry["reason"] for entry in mixed.make_plan(TALK, Scores({"asks_code": 0.5}, (NOW,)), stream=True).trace] == [
        "licensed",
        "trigger",
    ]


def test_custom_triggers_and_score_thresholds() -> None:
    own = {
        "name": "own",
        "mode": "code",
        "triggers": [{"name": "recipe", "keywords": ["recipe"]}, {"name": "sad", "score": "distress", "at_least": 0.6}],
        "hold": {"on_trigger": "all"},
        "enforcement": "enforce",
    }
    route = route_of(own)
    assert [spec.name for spec in route.triggers] == ["recipe", "sad"]
    assert route.needs == {"code", "distress"}
    assert route.make_plan(TALK, Scores({"distress": 0.5}), stream=True).hold == Hold()
    plan = route.make_plan(TALK, Scores({"distress": 0.6}), stream=True)
    assert plan.hold == Hold(HoldKind.ALL)
    assert plan.trace[0]["hits"] == [{"name": "sad", "message": 2, "start": 0, "end": 23}]
    reported = Scores({"distress": 0.6}, (Span("sad", 2, 0, 23),))
    assert len(route.make_plan(TALK, reported, stream=True).trace[0]["hits"]) == 1
    assert route.make_plan(TALK, Scores(spans=(Span("recipe", 2, 0, 1),)), stream=True).hold == Hold(HoldKind.ALL)


def test_an_observing_policy_changes_nothing() -> None:
    loud = {
        "extends": "code",
        "name": "loud",
        "enforcement": "observe",
        "hold": {"default": "all"},
        "boundary": {"inject": "always"},
        "budgets": {"attempts": 2},
        "release_reasoning": True,
    }
    scores = Scores(spans=(NOW,))
    for stream in (True, False):
        with_it = route_of("rebuttal", loud).make_plan(TALK, scores, stream=stream)
        without = route_of("rebuttal").make_plan(TALK, scores, stream=stream)
        assert with_it.first_change == without.first_change
        assert with_it.hold == without.hold
        assert with_it.budgets == without.budgets
        assert with_it.release_reasoning == without.release_reasoning
    alone = route_of(loud).make_plan(TALK, scores, stream=False)
    assert alone.hold == Hold()
    assert alone.first_change.empty
    assert not alone.release_reasoning


def test_boundaries_stand_in_the_order_of_the_mode_table_and_in_the_language_of_the_prompt() -> None:
    entries = [
        {"extends": "math", "boundary": {"inject": "always", "placement": "last_user_prefix"}},
        {"extends": "rebuttal", "boundary": {"inject": "always", "placement": "last_user_prefix"}},
    ]
    german = Conversation((Turn("user", "Was ist der Sinn des Lebens und wie ist er zu finden?", 0),))
    change = route_of(*entries).make_plan(german, Scores(), stream=True).first_change
    library = load_library()
    assert change.boundaries[0].text == (library["rebuttal"].boundary.text["de"] + "\n" + library["math"].boundary.text["de"])
    empty = route_of(*entries).make_plan(Conversation(()), Scores(), stream=True).first_change
    assert empty.boundaries[0].text.startswith(library["rebuttal"].boundary.text["en"])


def test_a_boundary_beyond_the_cap_is_left_out_and_noted() -> None:
    def long(name: str, letter: str) -> dict[str, Any]:
        text = letter * (MAX_BOUNDARY_CHARS // 2 + 1)
        return {
            "name": name,
            "mode": "code",
            "boundary": {"inject": "always", "text": {"en": text}, "max_chars": 4000},
            "enforcement": "enforce",
        }

    plan = route_of(long("a", "a"), long("b", "b")).make_plan(TALK, Scores(), stream=True)
    assert set(plan.first_change.boundaries[0].text) == {"a"}
    assert plan.trace[-1]["note"].startswith("boundary left out")


def test_reasoning_is_released_only_where_every_acting_policy_allows_it() -> None:
    free = {"extends": "code", "name": "free", "release_reasoning": True}
    assert route_of(free).make_plan(TALK, Scores(), stream=True).release_reasoning
    assert not route_of(free, "math").make_plan(TALK, Scores(), stream=True).release_reasoning


def test_one_conversation_can_be_planned_directly() -> None:
    assert make_plan(policies_of("code"), TALK, Scores(spans=(NOW,)), stream=True).hold == Hold(HoldKind.ALL)
