"""What litellm returns and raises, read without litellm."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import ProtocolError, Timeout
from proxy.upstream.litellm_wire import (
    broken,
    chunk_document,
    headers_of_answer,
    headers_of_error,
    message_of,
    settled,
    snake,
)


class Chunk:
    def __init__(self, doc: dict[str, Any]) -> None:
        self._doc = doc

    def model_dump(self, exclude_none: bool) -> dict[str, Any]:
        assert exclude_none
        return self._doc


def failed(message: str = "", **fields: Any) -> Exception:
    error = Exception(message)
    for name, value in {"message": message, **fields}.items():
        setattr(error, name, value)
    return error


def test_a_chunk_says_whether_it_is_the_end() -> None:
    assert chunk_document(Chunk({"choices": [{"index": 0, "delta": {"content": "a"}}]})) == {
        "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]
    }


def test_the_chunk_that_tells_the_usage_has_no_choices() -> None:
    usage = {"usage": {"total_tokens": 3}}
    assert chunk_document(Chunk({"choices": [{"index": 0, "delta": {}}], **usage})) == {"choices": [], **usage}
    kept = chunk_document(Chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **usage}))
    assert kept["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('litellm.RateLimitError: AnthropicException - {"type":"error","error":{"message":"slow"}}', "slow"),
        (
            'litellm.RateLimitError: litellm.RateLimitError: VertexAIException - b\'{"error": {"message": "slow"}}\'. Do x.',
            "slow",
        ),
        ('litellm.BadRequestError: BedrockException - {"message":"slow"}', "slow"),
        ("litellm.BadRequestError: the model is unknown", "the model is unknown"),
        ("litellm.BadRequestError: got {broken", "got {broken"),
        ('litellm.BadRequestError: {"error": 7}', '{"error": 7}'),
        ("", "Exception"),
    ],
)
def test_a_refusal_is_told_in_the_providers_words(said: str, told: str) -> None:
    assert message_of(failed(said)) == told


def test_headers_that_matter_are_kept() -> None:
    headers = {"Retry-After": "7", "request-id": "r", "date": "d", "x-ratelimit-remaining-tokens": "1", "set-cookie": "a"}
    kept = [("Retry-After", "7"), ("request-id", "r"), ("x-ratelimit-remaining-tokens", "1")]
    assert headers_of_error(failed(litellm_response_headers=headers)) == kept
    outer = failed()
    outer.__context__ = failed(response=type("R", (), {"headers": headers}))
    assert headers_of_error(outer) == kept
    assert headers_of_error(failed()) == []
    hidden = {"additional_headers": {f"llm_provider-{name}": value for name, value in headers.items()}}
    assert headers_of_answer(type("A", (), {"_hidden_params": hidden})) == kept
    assert headers_of_answer(object()) == []


def test_the_error_inside_is_the_error() -> None:
    inner = failed("slow")
    wrapped = type("MidStreamFallbackError", (Exception,), {"original_exception": inner})()
    assert settled(wrapped) is inner
    assert settled(inner) is inner
    other = failed(original_exception=inner)
    assert settled(other) is other


def test_a_stream_that_raised_is_late_or_broken() -> None:
    assert isinstance(broken(type("Timeout", (Exception,), {})()), Timeout)
    assert isinstance(broken(ValueError()), ProtocolError)
    late = Timeout("late")
    assert broken(late) is late


@pytest.mark.parametrize(
    ("name", "snaked"), [("RateLimitError", "rate_limit_error"), ("APIConnectionError", "api_connection_error")]
)
def test_names_are_snakes(name: str, snaked: str) -> None:
    assert snake(name) == snaked
