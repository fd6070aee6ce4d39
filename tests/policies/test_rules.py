from typing import Any

import pytest

from policies.rules import parse_policy

TEXT = {"en": "Answer in prose."}
BASE: dict[str, Any] = {"name": "mine", "mode": "code", "triggers": ["riddle"], "hold": {"on_trigger": "all"}}
RETRY = [{"action": "retry"}]


def problems(**fields: Any) -> list[str]:
    policy, found = parse_policy({**BASE, **fields}, "p.yaml")
    assert (policy is None) == bool(found)
    return [f"{problem.key}: {problem.reason}" for problem in found]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"triggers": ["soup"]}, "triggers.0: unknown trigger 'soup'"),
        ({"triggers": [{"name": "riddle", "keywords": ["x"]}]}, "triggers.0: 'riddle' is the name of a shipped trigger"),
        ({"triggers": ["riddle", "riddle"]}, "triggers.1: trigger 'riddle' is listed twice"),
        ({"boundary": {"inject": "always"}}, "boundary.text: an English text (en) is required"),
        ({"boundary": {"inject": "always", "text": TEXT, "max_chars": 5}}, "boundary.text.en: 16 characters, more than"),
        ({"boundary": {"inject": "on_trigger", "text": TEXT}, "triggers": [], "hold": {}}, "boundary.inject: on_trigger, but"),
        ({"ladder": [{"action": "retry", "change": ["boundary"]}]}, "boundary.inject: never, but the ladder adds"),
        ({"boundary": {"inject": "on_retry", "text": TEXT}}, "boundary.inject: on_retry, but no rung"),
        ({"check": {"suspect_at": 0.8}}, "check.suspect_at: 0.8 is above check.misrouted_at = 0.7"),
        ({"hold": {"default": "prefix"}}, "hold.default.chars: a prefix needs a number"),
        ({"hold": {"default": {"kind": "all", "chars": 5}}}, "hold.default: all takes no chars"),
        (
            {"hold": {"default": {"kind": "window", "chars": 5, "context": 6}}},
            "hold.default.context: 6 is more than the window of 5",
        ),
        ({"hold": {"default": {"kind": "window", "chars": 5, "timeout_ms": 6}}}, "hold.default.timeout_ms: only a prefix"),
        ({"hold": {"default": {"kind": "prefix", "chars": 5, "context": 1}}}, "hold.default.context: only a window"),
        ({"hold": {"default": "all", "on_trigger": "none"}}, "hold.on_trigger: none is weaker than hold.default = all"),
        ({"triggers": []}, "hold.on_trigger: the policy lists no triggers"),
        ({"hold": {}, "ladder": RETRY}, "ladder: retry or fallback under hold none"),
        (
            {"hold": {"on_trigger": {"kind": "prefix", "chars": 300}}, "ladder": RETRY},
            "hold.on_trigger: prefix with a retry: code can only be judged on the whole answer",
        ),
        (
            {"hold": {"default": {"kind": "window", "chars": 300}}, "ladder": RETRY},
            "hold.default: window with a retry: code can only be judged on the whole answer",
        ),
        ({"ladder": [{"action": "flag"}, {"action": "retry"}]}, "ladder.0: flag ends the ladder"),
        ({"ladder": [{"action": "block", "model": "m"}]}, "ladder.0: block asks nobody"),
        ({"ladder": [{"action": "fallback"}]}, "ladder.0: fallback needs an upstream or a model"),
        ({"ladder": [{"action": "retry", "model": "m"}]}, "ladder.0: another upstream or model is a fallback"),
        (
            {"ladder": [{"action": "retry", "change": ["neutralise", "neutralise"]}]},
            "ladder.0.change: a change is listed twice",
        ),
        ({"mode": "analytic", "ladder": [{"action": "block"}]}, "ladder.0: analytic answers are never blocked"),
        ({"ladder": RETRY, "budgets": {"attempts": 1}}, "budgets.attempts: 1 attempt leaves none"),
        ({"ladder": [{"action": "retry", "change": ["probe"]}]}, "ladder.0.change: probe makes no sense for code"),
        (
            {"mode": "rebuttal", "ladder": [{"action": "retry", "change": ["probe", "neutralise"]}]},
            "ladder.0.change: a probe is a retry and the only change",
        ),
        (
            {"mode": "fiction", "ladder": [{"action": "retry", "change": ["neutralise"]}]},
            "ladder.0.change: neutralise knows no rewrite for fiction",
        ),
        ({"mode": "refusal", "ladder": RETRY}, "harm_at_most: required"),
        ({"mode": "refusal", "ladder": RETRY, "enforcement": "enforce"}, "harm_at_most: required"),
        ({"examples": {"match": [{"response": "x"}]}}, "examples.match.0: give either prompt or messages"),
        ({"examples": {"no_match": [{"prompt": "x", "expect": "clear"}]}}, "examples.no_match.0.expect: a verdict needs"),
        ({"examples": {"match": [{"prompt": "x", "triggers": ["draw_ask"]}]}}, "examples.match.0.triggers: not triggers of"),
    ],
)
def test_what_can_never_work_is_refused(fields: dict[str, Any], expected: str) -> None:
    assert any(problem.startswith(expected) for problem in problems(**fields)), problems(**fields)


def test_a_sound_policy_has_no_problems() -> None:
    assert problems() == []
    assert problems(ladder=[{"action": "retry"}, {"action": "block"}], boundary={"inject": "always", "text": TEXT}) == []
    early = {"default": {"kind": "prefix", "chars": 9}}
    assert problems(mode="refusal", ladder=RETRY, harm_at_most=0.2, hold=early) == []
    assert problems(mode="fiction", ladder=[{"action": "retry"}], hold=early) == []


def test_everything_wrong_is_said_at_once() -> None:
    found = problems(
        colour="red",
        triggers=["soup", {"name": "x", "regex": ["(a", "b"]}],
        check={"suspect_at": 0.9},
        hold={"default": "sometimes"},
        ladder=[{"action": "retry", "change": ["probe"]}],
    )
    assert {problem.split(":")[0] for problem in found} == {
        "triggers.1.regex.0",
        "hold.default.kind",
        "colour",
        "check.suspect_at",
        "ladder",
        "ladder.0.change",
    }
    assert "colour: unknown field" in found


def test_without_its_name_only_the_fields_alone_are_checked() -> None:
    policy, found = parse_policy({"mode": "soup", "check": {"suspect_at": 0.9}}, "p.yaml")
    assert policy is None
    assert {problem.key for problem in found} == {"name", "mode"}
    assert all(problem.source == "p.yaml" for problem in found)
