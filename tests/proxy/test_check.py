"""One recorded exchange in, a verdict out."""

from __future__ import annotations

from typing import Any

import pytest

from core.types import MODES
from proxy.check import Checker, read_exchange
from proxy.errors import InvalidRequest

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def checker() -> Checker:
    checker = Checker()
    checker.suite.warm()
    return checker


def call(name: str, arguments: str) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}],
    }


def test_denied_true_sum_is_a_misrouted_rebuttal_with_evidence(checker: Checker) -> None:
    answer = "No, 5 + 8 = 13 is incorrect. The correct answer is 5 + 8 = 13."
    verdict = checker.check({"prompt": "Is 5+8=13?", "response": answer})
    assert verdict["verdict"] == "misrouted"
    found = verdict["modes"]["rebuttal"]
    assert found["verdict"] == "misrouted"
    assert found["score"] >= 0.7
    assert found["evidence"]
    assert all(0 <= span["start"] < span["end"] for span in found["evidence"])
    assert {key: verdict["triggers"][0][key] for key in ("name", "message")} == {"name": "equality_check", "message": 0}


def test_every_mode_is_reported_and_clear_ones_carry_no_evidence(checker: Checker) -> None:
    verdict = checker.check({"prompt": "Which river runs through Vienna?", "response": "The Danube."})
    assert tuple(verdict["modes"]) == MODES
    assert verdict["verdict"] == "clear"
    assert all(found["evidence"] == [] for found in verdict["modes"].values())


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (call("get_weather", '{"city": "Oslo"}'), "clear"),
        (call("get_weather", '{"town": "Oslo"}'), "misrouted"),
        (call("get_weather", "{not json"), "misrouted"),
        (call("launch_rocket", "{}"), "misrouted"),
    ],
)
def test_tool_calls_are_checked_against_the_declared_schema(checker: Checker, message: Any, expected: str) -> None:
    doc = {"prompt": "What is the weather in Oslo?", "response": message, "tools": [TOOL]}
    assert checker.check(doc)["modes"]["tool_call"]["verdict"] == expected


def test_messages_and_prompt_are_the_same_exchange(checker: Checker) -> None:
    messages = [{"role": "user", "content": "Elucidate the concept of peace."}]
    answer = "```python\nclass Peace:\n    def __init__(self, parties):\n        self.parties = parties\n\np = Peace([])\n```"
    one = checker.check({"messages": messages, "response": answer})
    other = checker.check({"prompt": messages[0]["content"], "response": answer})
    assert one == other
    assert one["modes"]["code"]["verdict"] == "misrouted"


@pytest.mark.parametrize(
    ("doc", "param"),
    [
        ([], None),
        ({"response": "x"}, "messages"),
        ({"prompt": 5, "response": "x"}, "messages"),
        ({"prompt": "x"}, "response"),
        ({"prompt": "x", "response": 5}, "response"),
        ({"messages": "x", "response": "x"}, "messages"),
        ({"prompt": "x", "response": {"content": 7}}, "response"),
    ],
)
def test_bad_exchange_names_the_field(doc: Any, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_exchange(doc)
    assert caught.value.param == param


def test_reasoning_refusal_and_legacy_calls_are_read() -> None:
    message = {"content": "Hi", "reasoning_content": "hm", "refusal": "no", "tool_calls": []}
    reply = read_exchange({"prompt": "x", "response": message}).reply
    assert (reply.text, reply.reasoning, reply.refusal, reply.tool_calls) == ("Hi", "hm", "no", ())
