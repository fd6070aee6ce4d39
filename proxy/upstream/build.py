"""Makes the upstreams of a configuration: first those that talk, then the groups that share them.

One rule: a group refers to its members by name and owns none of them; each is made once, however many groups name it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from proxy.config_model import FallbackSettings, UpstreamSettings, WeightedSettings
from proxy.upstream.base import Upstream
from proxy.upstream.fallback import FallbackUpstream
from proxy.upstream.litellm import LiteLLMUpstream
from proxy.upstream.openai import OpenAIUpstream
from proxy.upstream.replay import ReplayUpstream
from proxy.upstream.weighted import WeightedUpstream


def build(settings: Mapping[str, UpstreamSettings], path: Callable[[str], Path], made: dict[str, Upstream]) -> None:
    """Put every upstream into `made`, by name. `path`: of a file that a setting names. Must run inside an event loop.

    Names are those that `config_rules` has passed: every member exists and no group is in itself. Raises ConfigError; what
    was made until then is in `made`, to be closed."""
    for name in settings:
        _make(name, settings, path, made)


def _make(
    name: str, settings: Mapping[str, UpstreamSettings], path: Callable[[str], Path], made: dict[str, Upstream]
) -> Upstream:
    if name not in made:
        own = settings[name]
        if isinstance(own, FallbackSettings | WeightedSettings):
            members = [_make(member, settings, path, made) for member in own.upstreams]
            made[name] = (
                FallbackUpstream(name, members, own.statuses)
                if isinstance(own, FallbackSettings)
                else WeightedUpstream(name, members, list(own.upstreams.values()))
            )
        else:
            made[name] = _talking(name, own, path)
    return made[name]


def _talking(name: str, own: UpstreamSettings, path: Callable[[str], Path]) -> Upstream:
    match own.kind:
        case "openai":
            return OpenAIUpstream(name, own)
        case "replay":
            return ReplayUpstream(name, path(own.file), own.timeouts)
        case "litellm":
            return LiteLLMUpstream(name, own)
        case "fallback" | "weighted":
            raise AssertionError("a group talks to nobody")
