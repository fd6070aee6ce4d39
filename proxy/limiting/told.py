"""What a client is told of its limits, in the headers that its API's official clients read.

One rule: pure; both dialects tell the same of the same admission.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import ceil

from proxy.errors import Headers
from proxy.limiting.bucket import Admission, Standing

#: Admission -> headers.
Tell = Callable[[Admission], Headers]


def tell_as(path: str) -> Tell:
    """How clients of this endpoint are told. `path`: without its prefix."""
    return tell_anthropic if path.startswith("/v1/messages") else tell_openai


def tell_openai(admission: Admission) -> Headers:
    """`x-ratelimit-*`, as OpenAI's: the time until a bucket is full as a duration."""
    headers: Headers = []
    for name, standing in _standings(admission):
        headers += [
            (f"x-ratelimit-limit-{name}", str(standing.limit)),
            (f"x-ratelimit-remaining-{name}", str(standing.remaining)),
            (f"x-ratelimit-reset-{name}", _duration(standing.reset_s)),
        ]
    return headers


def tell_anthropic(admission: Admission, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Headers:
    """`anthropic-ratelimit-*`, as Anthropic's: the moment at which a bucket is full, in whole seconds (RFC 3339)."""
    headers: Headers = []
    for name, standing in _standings(admission):
        # Rounded up: a client that waits until then must not come too early.
        full = now() + timedelta(seconds=standing.reset_s)
        full = full.replace(microsecond=0) + timedelta(seconds=full.microsecond > 0)
        headers += [
            (f"anthropic-ratelimit-{name}-limit", str(standing.limit)),
            (f"anthropic-ratelimit-{name}-remaining", str(standing.remaining)),
            (f"anthropic-ratelimit-{name}-reset", full.strftime("%Y-%m-%dT%H:%M:%SZ")),
        ]
    return headers


def _standings(admission: Admission) -> list[tuple[str, Standing]]:
    both = (("requests", admission.requests), ("tokens", admission.tokens))
    return [(name, standing) for name, standing in both if standing is not None]


def _duration(seconds: float) -> str:
    """As OpenAI writes them: `6m0s`, `1.204s`, `20ms`."""
    milliseconds = ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return (f"{minutes}m" if minutes else "") + f"{rest / 1000:g}s"
