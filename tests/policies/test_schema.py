from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from core.types import MODES, ActionKind, Budgets, Hold, HoldKind, TriggerSpec
from policies.schema import (
    TRIGGERS,
    BoundarySpec,
    BudgetsSpec,
    CheckSpec,
    Example,
    Examples,
    HoldSpec,
    HoldsSpec,
    Policy,
    Problem,
    Rung,
    Trigger,
)

BLOCKS: tuple[type[BaseModel], ...] = (
    Policy,
    Trigger,
    BoundarySpec,
    CheckSpec,
    HoldsSpec,
    HoldSpec,
    Rung,
    BudgetsSpec,
    Examples,
    Example,
)
DOCS = (Path(__file__).parents[2] / "docs" / "policies.md").read_text("utf-8")


@pytest.mark.parametrize("block", BLOCKS)
def test_every_field_is_described_and_documented(block: type[BaseModel]) -> None:
    section = DOCS.split(f"### {block.__name__}\n", 1)[1].split("\n### ", 1)[0]
    for name, field in block.model_fields.items():
        assert field.description
        assert f"| `{name}` |" in section
        assert field.description in section


def test_every_trigger_is_documented_with_its_mode() -> None:
    assert set(TRIGGERS.values()) == set(MODES)
    for name, mode in TRIGGERS.items():
        assert f"| `{name}` | `{mode}` |" in DOCS


def test_blocks_are_frozen_and_know_their_fields_only() -> None:
    policy = Policy.model_validate({"name": "mine", "mode": "code"})
    with pytest.raises(ValidationError, match="frozen"):
        policy.name = "other"
    with pytest.raises(ValidationError, match="Extra inputs"):
        Policy.model_validate({"name": "mine", "mode": "code", "colour": "red"})


def test_short_forms() -> None:
    policy = Policy.model_validate(
        {
            "name": "mine",
            "mode": "code",
            "triggers": ["riddle", {"name": "ours", "keywords": ["x"], "regex": "a+b", "score": "asks_code", "at_least": 0.6}],
            "hold": {"default": "none", "on_trigger": {"kind": "window", "chars": 200, "context": 50}},
            "boundary": {"inject": "always", "text": {"en": "x", False: "y"}},
            "enforcement": "enforce",
            "ladder": [{"action": "fallback", "model": "big"}, {"action": "flag"}],
            "budgets": {"attempts": 2, "added_ms": 5, "added_tokens": 6},
        }
    )
    assert not policy.triggers[0].custom
    assert policy.triggers[1].custom
    assert policy.triggers[1].spec() == TriggerSpec("ours", ("x",), ("a+b",), "asks_code", 0.6)
    assert policy.hold.default.value() == Hold()
    assert policy.hold.triggered.value() == Hold(HoldKind.WINDOW, 200, 50, 0)
    assert policy.boundary.text["no"] == "y"
    assert policy.boundary.place == "system_append"
    assert BoundarySpec(inject="on_trigger", text={"en": "x"}).place == "last_user_prefix"
    assert BoundarySpec(inject="always", placement="system_after_history", text={"en": "x"}).place == "system_after_history"
    assert policy.enforcing
    assert policy.retries
    assert [rung.kind for rung in policy.ladder] == [ActionKind.FALLBACK, ActionKind.FLAG]
    assert not policy.ladder[0].probe
    assert policy.budgets.value() == Budgets(2, 5, 6)
    assert HoldsSpec().triggered.kind == "none"


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("triggers", [{"name": "x", "regex": "(a"}], "not a valid RE2 pattern: missing )"),
        ("triggers", [{"name": "x", "regex": r"(a)\1"}], "not a valid RE2 pattern"),
        ("triggers", [{"name": "x", "score": "asks_soup"}], "unknown prompt score 'asks_soup'"),
        ("boundary", {"inject": "always", "text": {"xx": "y"}}, "unknown language 'xx'"),
        ("boundary", {"text": "plain"}, "valid dictionary"),
        ("licence", ["asks_soup"], "unknown prompt score"),
        ("mode", "cookery", "'rebuttal'"),
        ("harm_at_most", 1.5, "less than or equal to 1"),
    ],
)
def test_bad_values_are_named(key: str, value: object, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Policy.model_validate({"name": "mine", "mode": "code", key: value})
    assert reason in str(caught.value)


def test_a_problem_shows_file_key_and_reason() -> None:
    assert str(Problem("f.yaml", "hold.default", "wrong")) == "f.yaml: hold.default: wrong"
    assert str(Problem("f.yaml", "", "wrong")) == "f.yaml: wrong"
