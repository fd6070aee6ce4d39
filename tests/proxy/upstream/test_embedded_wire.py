"""What the embedded upstream makes of a chat's messages."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from organism.prompts import CALL
from proxy.errors import InvalidRequest
from proxy.upstream.embedded_wire import Asked, call_of, usage_of
from proxy.upstream.embedded_wire import read_request as read

SEED = 77


def read_request(given: bytes) -> Asked:
    return read(given, SEED)


def body(*messages: tuple[str, str], **fields: Any) -> bytes:
    turns = [{"role": role, "content": text} for role, text in messages]
    return orjson.dumps({"model": "chunky", "messages": turns, **fields})


def test_system_texts_come_together_and_turns_in_pairs() -> None:
    asked = read_request(
        body(("system", "One."), ("user", "Hi"), ("assistant", "Hello"), ("system", "Two."), ("user", "A"), ("tool", "B"))
    )
    assert (asked.chat.system, asked.chat.user) == ("One.\n\nTwo.", "A\n\nB")
    assert asked.history == (("Hi", "Hello"),)


def test_defaults_are_openais() -> None:
    asked = read_request(body(("user", "Hi")))
    assert (asked.sampling.temperature, asked.sampling.top_p, asked.choices, asked.stream, asked.stops) == (1, 1, 1, False, ())
    assert asked.sampling.seed == SEED
    assert read_request(body(("user", "Hi"), seed=3)).sampling.seed == 3


def test_declared_tools_are_offered_unless_forbidden() -> None:
    tools = [{"type": "function", "function": {"name": "python"}}]
    assert read_request(body(("user", "Hi"), tools=tools)).chat.tools == ("python",)
    assert read_request(body(("user", "Hi"), tools=tools, tool_choice="none")).chat.tools == ()


@pytest.mark.parametrize("stop", ["x", ["x"]])
def test_a_stop_is_a_text_or_texts(stop: Any) -> None:
    assert read_request(body(("user", "Hi"), stop=stop)).stops == ("x",)


def test_a_stop_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="stop"):
        read_request(body(("user", "Hi"), stop=3))


def test_a_call_is_its_name_and_arguments() -> None:
    assert call_of("Peace.", 0) is None
    call = call_of(f'{CALL}python {{"code": "1"}}', 2)
    assert call == {"id": "call_2", "type": "function", "function": {"name": "python", "arguments": '{"code": "1"}'}}


def test_usage_adds_up() -> None:
    assert usage_of(3, 4) == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
