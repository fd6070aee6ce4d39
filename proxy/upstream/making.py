"""Makes an upstream of its settings: the one of its kind, and around it what its settings ask for when it fails.

One rule: what is not asked for is not there, so it costs nothing. From the inside out: the breaker sees every single call, a
slow one is hedged, and the retries stop where the breaker is open.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from typing import Protocol

from proxy.admission import RetryShare
from proxy.config import Settings
from proxy.config_embedded import EmbeddedSettings
from proxy.config_model import Answering, LiteLLMSettings, OpenAISettings, ReplaySettings
from proxy.errors import ConfigError, Problem
from proxy.upstream.base import Upstream
from proxy.upstream.breaking import Breaking
from proxy.upstream.hedging import Hedging
from proxy.upstream.litellm import LiteLLMUpstream
from proxy.upstream.openai import OpenAIUpstream
from proxy.upstream.replay import ReplayUpstream
from proxy.upstream.retrying import Retrying


class Count(Protocol):
    """Counts one of a metric, by its label values."""

    def __call__(self, name: str, *values: str) -> None: ...


def uncounted(name: str, *values: str) -> None:
    """Where nobody looks."""


async def make_upstream(name: str, own: Answering, settings: Settings, count: Count) -> Upstream:
    """The upstream of a configuration. Raises ConfigError."""
    if own.kind == "embedded":
        return await asyncio.to_thread(_embedded, name, own, settings)
    upstream = _of_kind(name, own, settings)
    if not isinstance(own, OpenAISettings | LiteLLMSettings):
        return upstream
    if own.breaker is not None:
        changed = partial(count, "chunkguard_breaker_changes_total")
        upstream = Breaking(upstream, own.breaker, changed, partial(count, "chunkguard_breaker_refused_total"))
    share = RetryShare(settings.config.limits.retry_share)  # one for both: asked a second time is asked a second time
    if own.hedge_after_s is not None:
        hedged = partial(count, "chunkguard_upstream_hedges_total")
        upstream = Hedging(upstream, own.hedge_after_s, share, hedged)
    if own.retries.times or own.hedge_after_s is not None:
        again = partial(count, "chunkguard_upstream_retries_total")
        upstream = Retrying(upstream, own.retries, own.timeouts.total_s, share, again)
    return upstream


def _of_kind(name: str, own: OpenAISettings | ReplaySettings | LiteLLMSettings, settings: Settings) -> Upstream:
    match own.kind:
        case "openai":
            try:
                return OpenAIUpstream(name, own, settings.folder)
            except (OSError, ssl.SSLError) as error:
                key = f"upstreams.{name}.ca_file"
                reason = f"cannot be used: {error.strerror or error}"
                raise ConfigError([Problem(settings.source, key, reason)]) from error
        case "replay":
            return ReplayUpstream(name, settings.path(own.file), own.timeouts)
        case "litellm":
            return LiteLLMUpstream(name, own)


def _embedded(name: str, own: EmbeddedSettings, settings: Settings) -> Upstream:
    # Here, because it brings onnxruntime models along that no other kind needs.
    from proxy.upstream.embedded import EmbeddedUpstream

    return EmbeddedUpstream(name, own, settings.path(own.folder) if own.folder is not None else None)
