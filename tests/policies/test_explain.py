from core.types import Conversation, Scores, Span, Turn
from policies.explain import explain
from policies.loader import load_library, resolve

TALK = Conversation((Turn("user", "Draw it.", 0), Turn("assistant", "…", 1), Turn("user", "Elucidate love.", 2)))
SCORES = Scores({"harm": 0.1}, (Span("draw_ask", 0, 0, 4), Span("formal_vocabulary", 2, 0, 9)), frozenset({"distress"}))


def test_matches_are_shown_span_by_span() -> None:
    shown = explain(tuple(load_library().values()), TALK, SCORES, stream=True)
    code = next(entry for entry in shown["policies"] if entry["policy"] == "code")
    assert code["matches"]
    assert code["hits"] == [{"name": "formal_vocabulary", "message": 2, "start": 0, "end": 9, "text": "Elucidate"}]
    assert [entry["policy"] for entry in shown["policies"] if entry["matches"]] == ["code"]
    assert shown["earlier"] == [{"name": "draw_ask", "message": 0, "start": 0, "end": 4, "text": "Draw"}]
    assert shown["request"]["changes"] == ["boundary"]
    assert shown["request"]["boundaries"][0]["placement"] == "last_user_prefix"
    assert shown["hold"] == {"kind": "all"}
    assert shown["budgets"] == {"attempts": 3, "added_ms": 30_000, "added_tokens": 8_192}
    assert shown["notes"] == []
    assert shown["scores"] == {"harm": 0.1}
    assert shown["missing"] == ["distress"]


def test_holds_are_shown_with_their_numbers() -> None:
    window = {
        "extends": "fiction",
        "enforcement": "enforce",
        "hold": {"default": {"kind": "window", "chars": 90, "context": 9}},
    }
    policies, problems = resolve([window], "t")
    assert problems == ()
    assert explain(policies, TALK, Scores(), stream=True)["hold"] == {"kind": "window", "chars": 90, "context": 9}
    rebuttal = (load_library()["rebuttal"],)
    assert explain(rebuttal, TALK, Scores(), stream=True)["hold"] == {"kind": "prefix", "chars": 300, "timeout_ms": 2000}


def test_without_a_user_turn_every_hit_is_an_earlier_one() -> None:
    talk = Conversation((Turn("assistant", "x", 0),))
    shown = explain((load_library()["code"],), talk, Scores(spans=(Span("riddle", 5, 0, 1),)), stream=False)
    assert shown["earlier"] == [{"name": "riddle", "message": 5, "start": 0, "end": 1, "text": ""}]
