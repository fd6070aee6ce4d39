"""Makes the upstreams that are made of others, once those are there.

One rule: a group refers to its members by name and owns none of them; each is made once, however many groups name it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from proxy.config_model import FallbackSettings, UpstreamSettings, WeightedSettings
from proxy.upstream.base import Upstream
from proxy.upstream.fallback import FallbackUpstream
from proxy.upstream.making import Count, uncounted
from proxy.upstream.weighted import WeightedUpstream


def add_groups(settings: Mapping[str, UpstreamSettings], made: dict[str, Upstream], count: Count = uncounted) -> None:
    """Put every group into `made`, by name, beside the upstreams that are there. Names are those that `config_rules` has
    passed: every member exists and no group is in itself."""
    for name in settings:
        _find(name, settings, made, count)


def _find(name: str, settings: Mapping[str, UpstreamSettings], made: dict[str, Upstream], count: Count) -> Upstream:
    if name not in made:
        own = settings[name]
        assert isinstance(own, FallbackSettings | WeightedSettings)
        members = [_find(member, settings, made, count) for member in own.upstreams]
        if isinstance(own, FallbackSettings):
            made[name] = FallbackUpstream(name, members, own.statuses, partial(count, "chunkguard_upstream_moves_total", name))
        else:
            drawn = partial(count, "chunkguard_upstream_shares_total", name)
            made[name] = WeightedUpstream(name, members, list(own.upstreams.values()), asked=drawn)
    return made[name]
