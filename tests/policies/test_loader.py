from collections.abc import Iterator

import pytest

from core.types import MODES
from policies import loader
from policies.loader import load_library, load_table, merge, resolve
from policies.schema import TRIGGERS

LANGUAGES = {"en", "zh", "ru", "es", "fr", "de", "it", "pt", "ja"}


def test_the_library_has_one_policy_per_mode_with_all_it_needs() -> None:
    library = load_library()
    assert tuple(library) == MODES
    for name, policy in library.items():
        assert policy.mode == name
        assert policy.description
        assert policy.why
        assert "2602.05910" in policy.evidence
        assert set(policy.boundary.text) == LANGUAGES
        assert {trigger.name for trigger in policy.triggers} == {key for key, mode in TRIGGERS.items() if mode == name}
        assert len(policy.examples.match) >= 4
        assert len(policy.examples.no_match) >= 4
        assert policy.retries
        assert policy.ladder[-1].action == "flag"


def test_the_library_enforces_what_can_be_judged_for_certain() -> None:
    enforcing = {name for name, policy in load_library().items() if policy.enforcing}
    assert enforcing == {"code", "tool_call", "math", "rebuttal"}


def test_no_boundary_says_the_user_is_right_and_the_refusal_one_speaks_of_no_safety() -> None:
    for policy in load_library().values():
        text = policy.boundary.text["en"].casefold()
        assert "user is right" not in text
        assert "you are right" not in text
    refusal = load_library()["refusal"].boundary.text["en"].casefold()
    assert not any(word in refusal for word in ("safe", "harm", "must", "should", "comply", "allowed", "always"))


def test_merge_goes_into_mappings_and_replaces_the_rest() -> None:
    assert merge({"hold": {"kind": "prefix", "timeout_ms": 5}}, {"hold": {"kind": "all"}}) == {"hold": {"kind": "all"}}
    assert merge({"a": {"b": 1, "c": 2}, "d": [1], "e": 1}, {"a": {"c": 3}, "d": [2], "e": {"f": 1}}) == {
        "a": {"b": 1, "c": 3},
        "d": [2],
        "e": {"f": 1},
    }


def test_names_extensions_and_whole_policies_resolve() -> None:
    policies, problems = resolve(
        [
            "code",
            {"extends": "refusal", "name": "strict", "enforcement": "enforce", "budgets": {"attempts": 2}},
            {"extends": "strict", "name": "stricter", "check": {"misrouted_at": 0.9}},
            {"name": "own", "mode": "math"},
            {"extends": "fiction"},
        ],
        "c.yaml",
    )
    assert problems == ()
    assert [policy.name for policy in policies] == ["code", "strict", "stricter", "own", "fiction"]
    assert policies[2].mode == "refusal"
    assert policies[2].enforcing
    assert policies[2].budgets.attempts == 2
    assert policies[2].check.misrouted_at == 0.9
    assert policies[2].harm_at_most == 0.3
    assert policies[2].extends == "strict"
    assert policies[1].examples.match == ()
    assert policies[0] == load_library()["code"]


def test_every_problem_of_a_list_is_said_at_once() -> None:
    entries = [
        "soup",
        {"extends": "soup"},
        {"extends": 5},
        7,
        {"extends": "code", "name": "bad", "hold": {"on_trigger": "none"}},
        "math",
        "math",
        {"name": "a", "mode": "code", "triggers": [{"name": "ours", "keywords": ["x"]}]},
        {"name": "b", "mode": "code", "triggers": [{"name": "ours", "keywords": ["y"]}]},
    ]
    policies, problems = resolve(entries, "c.yaml")  # type: ignore[arg-type]
    shown = [str(problem) for problem in problems]
    assert [policy.name for policy in policies] == ["math", "math", "a", "b"]
    for start in (
        "c.yaml[0]: unknown policy 'soup'",
        "c.yaml[1]: extends: unknown policy 'soup'",
        "c.yaml[2]: extends: unknown policy 5",
        "c.yaml[3]: a policy is a name or a mapping",
        "c.yaml[4]: ladder: retry or fallback under hold none",
        "c.yaml: math.name: two policies of the route have this name",
        "c.yaml: b.triggers: trigger 'ours' is defined differently",
    ):
        assert any(line.startswith(start) for line in shown), (start, shown)


@pytest.fixture
def broken_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(loader, "_library_data", lambda: {"code": {"name": "code", "mode": "soup"}})
    loader._library.cache_clear()
    yield
    loader._library.cache_clear()


@pytest.mark.usefixtures("broken_library")
def test_a_broken_library_is_a_fault_of_the_package() -> None:
    with pytest.raises(ValueError, match="mode"):
        load_library()


def test_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        load_table("words")["code"] = {}  # type: ignore[index]
