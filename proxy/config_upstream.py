"""The settings of what is done when an upstream fails: ask it again, or leave it alone for a while.

One rule: neither is done unless it is asked for; official clients try again by themselves.
"""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from proxy.config_base import Model

HEDGE_AFTER = (
    "Seconds without an answer after which a request that may run twice is sent a second time; the first answer wins. "
    "Not set = never."
)


class Retries(Model):
    """When a request that failed is sent to its upstream again, before a byte of an answer has left."""

    times: int = Field(default=0, ge=0, le=10, description="Times that one request is sent again at most; 0 = never.")
    backoff_s: NonNegativeFloat = Field(
        default=0.25, description="Seconds before the first time; doubled for each further one, and half of it left to chance."
    )
    longest_s: PositiveFloat = Field(
        default=5.0,
        description="Longest wait in seconds. Where the upstream's Retry-After asks for more, its answer is passed on.",
    )


class Breaker(Model):
    """When an upstream that keeps failing is not asked any more, so that requests fail at once or fall back."""

    failures: PositiveInt = Field(default=5, description="Failures in a window that it takes at least.")
    share: float = Field(default=0.5, gt=0, le=1, description="Share of the window's requests that must have failed.")
    window_s: PositiveFloat = Field(default=10.0, description="Seconds of a window.")
    open_s: PositiveFloat = Field(
        default=10.0, description="Seconds without requests; then single ones try whether it is well."
    )
