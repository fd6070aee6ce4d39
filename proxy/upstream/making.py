"""Makes an upstream of its settings: the one of its kind, and around it what its settings ask for when it fails.

One rule: what is not asked for is not there, so it costs nothing. From the inside out: the breaker sees every single call, the
retries stop where it is open.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import Protocol

from proxy.admission import RetryShare
from proxy.config import Settings
from proxy.config_model import LiteLLMSettings, OpenAISettings, UpstreamSettings
from proxy.errors import ConfigError, Problem
from proxy.upstream.base import Upstream
from proxy.upstream.breaking import Breaking
from proxy.upstream.litellm import LiteLLMUpstream
from proxy.upstream.openai import OpenAIUpstream
from proxy.upstream.replay import ReplayUpstream
from proxy.upstream.retrying import Retrying


class Count(Protocol):
    """Counts one of a metric, by its label values."""

    def __call__(self, name: str, *values: str) -> None: ...


def uncounted(name: str, *values: str) -> None:
    """Where nobody looks."""


def make_upstream(name: str, own: UpstreamSettings, settings: Settings, count: Count) -> Upstream:
    """The upstream of a configuration. Raises ConfigError.

    Must be called inside a running event loop, or, for `embedded`, which reads whole models, in a thread."""
    upstream = _of_kind(name, own, settings)
    if not isinstance(own, OpenAISettings | LiteLLMSettings):
        return upstream
    if own.breaker is not None:
        changed = partial(count, "chunkguard_breaker_changes_total")
        upstream = Breaking(upstream, own.breaker, changed, partial(count, "chunkguard_breaker_refused_total"))
    if own.retries.times:
        share = RetryShare(settings.config.limits.retry_share)
        again = partial(count, "chunkguard_upstream_retries_total")
        upstream = Retrying(upstream, own.retries, own.timeouts.total_s, share, again)
    return upstream


def _of_kind(name: str, own: UpstreamSettings, settings: Settings) -> Upstream:
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
        case "embedded":
            # Here, because no other kind needs the organism.
            from proxy.upstream.embedded import EmbeddedUpstream

            return EmbeddedUpstream(name, own, settings.path(own.folder) if own.folder is not None else None)
