"""The headers of limits: as OpenAI and as Anthropic write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from proxy.limiting.bucket import Admission, Standing
from proxy.limiting.told import tell_anthropic, tell_openai


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0ms"), (0.0201, "21ms"), (1.204, "1.204s"), (30, "30s"), (60, "1m0s"), (90.5, "1m30.5s")]
)
def test_times_are_written_as_openai_does(seconds: float, text: str) -> None:
    headers = dict(tell_openai(Admission(requests=Standing(5, 3, seconds))))
    assert headers == {
        "x-ratelimit-limit-requests": "5",
        "x-ratelimit-remaining-requests": "3",
        "x-ratelimit-reset-requests": text,
    }


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "2026-03-01T23:59:59Z"), (0.0201, "2026-03-02T00:00:00Z"), (61, "2026-03-02T00:01:00Z")]
)
def test_moments_are_written_as_anthropic_does(seconds: float, text: str) -> None:
    at = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
    headers = dict(tell_anthropic(Admission(tokens=Standing(5, 3, seconds)), lambda: at))
    assert headers == {
        "anthropic-ratelimit-tokens-limit": "5",
        "anthropic-ratelimit-tokens-remaining": "3",
        "anthropic-ratelimit-tokens-reset": text,
    }


def test_nothing_is_told_of_what_is_not_limited() -> None:
    assert tell_openai(Admission()) == tell_anthropic(Admission()) == []
