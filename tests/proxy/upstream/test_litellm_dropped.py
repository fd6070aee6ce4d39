"""What a provider is not told, found out by litellm's own requests, which are never sent."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.upstream.litellm import load
from proxy.upstream.litellm_apis import CHAT, RESPONSES
from proxy.upstream.litellm_dropped import dropped

pytestmark = pytest.mark.filterwarnings("ignore")  # litellm warns at import and in use; those are not ours to mend

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture(autouse=True, scope="module")
def _loaded() -> None:
    load()


@pytest.mark.parametrize(
    ("model", "options", "lost"),
    [
        ("gemini/gemini-2.5-flash", {"temperature": 0.5, "user": "u"}, ["user"]),
        # Kept by the mapping of options, and left out of the request.
        ("gemini/gemini-2.5-flash", {"tools": TOOLS, "parallel_tool_calls": False}, ["parallel_tool_calls"]),
        ("vertex_ai/gemini-2.5-flash", {"tools": TOOLS, "parallel_tool_calls": False}, ["parallel_tool_calls"]),
        ("bedrock/converse/anthropic.claude-3-5-sonnet-20240620-v1:0", {"user": "u", "top_p": 0.5}, ["user"]),
        # Told to the provider beside the mapped options.
        ("mistral/mistral-large-latest", {"seed": 3, "user": "u"}, ["user"]),
        ("anthropic/claude-sonnet-4-5", {"user": "u", "stop": ["x"], "temperature": 0.2}, []),
        ("openai/gpt-4o", {"seed": 3, "user": "u", "logprobs": True, "n": 2}, []),
        # Without tools nothing is said of them.
        ("openai/gpt-4o", {"tool_choice": "auto", "parallel_tool_calls": True}, []),
        # Needs a token before its request is known: its mapping of options is compared.
        ("watsonx/ibm/granite-3-8b-instruct", {"temperature": 0.5}, []),
    ],
)
def test_what_changes_nothing_was_dropped(model: str, options: dict[str, Any], lost: list[str]) -> None:
    assert dropped(options, model, CHAT.options, drop=False) == lost


def test_the_clients_own_names_are_told() -> None:
    asked = {"max_output_tokens": 50, "user": "u", "text": {"verbosity": "low"}}
    assert dropped(asked, "gemini/gemini-2.5-flash", RESPONSES.options, drop=True) == ["user", "text"]


def test_what_the_operator_lets_drop_is_told_too() -> None:
    assert dropped({"seed": 1, "temperature": 0.5}, "anthropic/claude-sonnet-4-5", CHAT.options, drop=True) == ["seed"]


def test_what_litellm_refuses_is_left_to_it() -> None:
    assert dropped({"seed": 1}, "anthropic/claude-sonnet-4-5", CHAT.options, drop=False) == []
    assert dropped({"seed": 1}, "no-such-provider/x", CHAT.options, drop=False) == []
