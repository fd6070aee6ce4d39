import pytest

from core.types import Budgets, Conversation, Hold, HoldKind, Scores, Step, Turn
from policies.gate import HARM_CEILING, against_budget, against_harm, against_policy
from policies.loader import load_library

PLAIN = Conversation((Turn("user", "x", 0),))
PICTURE = Conversation((Turn("user", "x", 0, media=True),))
HELD = Hold(HoldKind.ALL)


def test_what_a_policy_itself_forbids() -> None:
    code = load_library()["code"]
    assert against_policy(code.model_copy(update={"ladder": ()}), HELD, PLAIN) == "no ladder"
    assert against_policy(code, Hold(), PLAIN) == "not held"
    hosted = Conversation(PLAIN.turns, hosted_tools=True)
    stored = Conversation(PLAIN.turns, stored=True)
    assert against_policy(code, HELD, hosted) == "never re-run"
    assert against_policy(code, HELD, stored) == "never re-run"
    assert against_policy(code.model_copy(update={"rerun_safe": True}), HELD, stored) == ""
    assert against_policy(code, HELD, PLAIN) == ""


@pytest.mark.parametrize(
    ("mode", "conversation", "values", "refused", "reason"),
    [
        ("refusal", PLAIN, {"harm": 0.1}, True, ""),
        ("refusal", PLAIN, {"harm": 0.31}, True, "harm"),
        ("refusal", PLAIN, {}, True, "harm unknown"),
        ("refusal", PICTURE, {"harm": 0.1}, True, "harm unknown"),
        ("code", PLAIN, {}, False, ""),
        ("code", PLAIN, {}, True, "harm unknown"),
        ("code", PICTURE, {"harm": 0.1}, False, ""),
        ("code", PLAIN, {"harm": HARM_CEILING}, False, ""),
        ("code", PLAIN, {"harm": 0.3}, True, ""),
        ("code", PLAIN, {"harm": 0.31}, True, "harm"),
        ("code", PLAIN, {"harm": 0.9}, False, "harm"),
        ("code", PICTURE, {"harm": 0.9}, False, "harm"),
    ],
)
def test_the_harm_gate(mode: str, conversation: Conversation, values: dict[str, float], refused: bool, reason: str) -> None:
    assert against_harm(load_library()[mode], conversation, Scores(values), refused=refused) == reason


@pytest.mark.parametrize(
    ("mode", "conversation", "values", "limit", "reason"),
    [
        ("refusal", PLAIN, {}, 0.3, ""),
        ("refusal", PLAIN, {"harm": 0.3}, 0.3, ""),
        ("refusal", PLAIN, {"harm": 0.31}, 0.3, "harm"),
        ("refusal", PLAIN, {"harm": 0.5}, 0.5, ""),
        ("refusal", PLAIN, {"harm": HARM_CEILING + 0.01}, 1.0, "harm"),
        ("refusal", PICTURE, {}, 0.3, "harm unknown"),
        ("refusal", PICTURE, {"harm": 0.1}, 0.3, "harm unknown"),
        ("refusal", PLAIN, {}, None, "no harm gate"),
        ("code", PLAIN, {}, None, ""),
        ("code", PLAIN, {"harm": HARM_CEILING + 0.01}, None, "harm"),
    ],
)
def test_a_moderation_endpoint_stands_in_for_a_score_and_never_outweighs_one(
    mode: str, conversation: Conversation, values: dict[str, float], limit: float | None, reason: str
) -> None:
    policy = load_library()[mode].model_copy(update={"harm_at_most": limit})
    assert against_harm(policy, conversation, Scores(values), refused=True, cleared=True) == reason


def test_a_refusal_without_a_gate_is_never_retried() -> None:
    open_gate = load_library()["refusal"].model_copy(update={"harm_at_most": None})
    assert against_harm(open_gate, PLAIN, Scores({"harm": 0.0}), refused=True) == "no harm gate"


def test_budgets() -> None:
    budgets = Budgets(attempts=2, added_ms=100, added_tokens=1000)
    assert against_budget(budgets, Step(1, False), 1000) == ""
    assert against_budget(budgets, Step(2, False), 0) == "attempts spent"
    assert against_budget(budgets, Step(1, False, added_ms=100.0), 0) == "added_ms spent"
    assert against_budget(budgets, Step(1, False, added_tokens=1), 1000) == "added_tokens spent"
