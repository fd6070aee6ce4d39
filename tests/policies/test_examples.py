from typing import Any

import pytest

from core.types import Conversation, Reply, Scores, Span, Tool, ToolCall, Turn
from policies.examples import read_conversation, verify_examples
from policies.rules import parse_policy
from policies.schema import Example, Policy


def policy_of(side: str, *examples: dict[str, Any]) -> Policy:
    data = {"name": "mine", "mode": "code", "triggers": ["riddle", "draw_ask"], "examples": {side: list(examples)}}
    policy, problems = parse_policy(data, "p")
    assert policy is not None, problems
    return policy


def score(conversation: Conversation, reply: Reply | None) -> tuple[Scores, Scores | None]:
    """Words stand for what detectors would say of them."""
    text = conversation.turns[-1].text
    spans = tuple(
        Span(name, conversation.turns[-1].index, 0, 1) for name in ("riddle", "draw_ask", "latex_math") if name in text
    )
    if reply is None or reply.text == "unscored":
        return Scores(spans=spans), None
    values = {"bad": 0.9, "odd": 0.5}.get(reply.text, 0.1)
    return Scores(spans=spans), Scores({} if reply.text == "missing" else {"code": values})


@pytest.mark.parametrize(
    ("side", "example", "reason"),
    [
        ("match", {"prompt": "x", "response": "bad"}, ""),
        ("match", {"prompt": "x", "response": "odd"}, ""),
        ("match", {"prompt": "x", "response": "odd", "expect": "misrouted"}, "verdict suspect, expected misrouted"),
        ("match", {"prompt": "x", "response": "good"}, "verdict clear, expected suspect or misrouted"),
        ("match", {"prompt": "riddle"}, ""),
        ("match", {"prompt": "x"}, "triggers raised: none; expected some"),
        ("match", {"prompt": "riddle latex_math", "triggers": ["riddle"]}, ""),
        ("match", {"prompt": "riddle draw_ask", "triggers": ["riddle"]}, "triggers raised: draw_ask, riddle; expected: riddle"),
        (
            "match",
            {"prompt": "riddle", "triggers": ["draw_ask"], "response": "bad"},
            "triggers raised: riddle; expected: draw_ask",
        ),
        ("match", {"prompt": "x", "response": "unscored"}, "its response was not scored"),
        ("match", {"prompt": "x", "response": "missing"}, "its response could not be judged"),
        ("no_match", {"prompt": "x", "response": "good"}, ""),
        ("no_match", {"prompt": "riddle", "response": "good", "expect": "clear"}, ""),
        ("no_match", {"prompt": "x", "response": "odd"}, "verdict suspect, expected clear"),
        ("no_match", {"prompt": "x"}, ""),
        ("no_match", {"prompt": "riddle"}, "triggers raised: riddle; expected none"),
        ("no_match", {"prompt": "x", "triggers": []}, ""),
        ("no_match", {"prompt": "riddle", "triggers": []}, "triggers raised: riddle; expected: none"),
    ],
)
def test_examples_come_out_as_they_say(side: str, example: dict[str, Any], reason: str) -> None:
    problems = verify_examples(policy_of(side, {"prompt": "riddle", "triggers": ["riddle"]}, example), score)
    assert [problem.reason for problem in problems] == ([reason] if reason else [])
    assert all(problem.key == f"examples.{side}.1" and problem.source == "mine" for problem in problems)


def test_a_whole_conversation_can_be_an_example() -> None:
    function = {"name": "look_up", "arguments": "{}"}
    example = Example(
        messages=(
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": function}, {"id": "2"}]},
            {"role": "tool", "content": "found"},
            {"role": "critic", "content": "x"},
        ),
        tools=({"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}, {"name": "bare"}),
    )
    assert read_conversation(example) == Conversation(
        (
            Turn("system", "Be brief.", 0),
            Turn("user", "a\nb", 1, media=True),
            Turn("assistant", "", 2, tool_calls=(ToolCall("look_up", "{}", "1"), ToolCall("", "", "2"))),
            Turn("tool", "found", 3),
            Turn("user", "x", 4),
        ),
        (Tool("look_up", {"type": "object"}), Tool("bare", None)),
    )
