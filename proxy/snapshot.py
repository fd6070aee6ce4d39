"""Everything a request is served with: settings, compiled policies, warm detectors, upstreams, and the revision naming them.

One rule: `prepare` does all that can fail; swapping a prepared snapshot in is one assignment and cannot.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from core.types import TriggerSpec
from detectors.base import ModelError
from detectors.modelset import ModelSet
from detectors.runner import Runner
from detectors.suite import Suite
from policies.loader import load_table
from policies.plan import CompiledRoute, compile_route
from policies.schema import Policy
from policies.verdict_words import find_demand, opening_polarity, verdict_polarity
from proxy.check import Checker
from proxy.config import Settings
from proxy.config_keys import client_key
from proxy.config_model import Group, RouteSettings, UpstreamSettings
from proxy.config_rules import injects_key
from proxy.errors import ConfigError, Problem
from proxy.keys import Keys
from proxy.moderation import Moderator
from proxy.routing import PassRules, Router, make_router
from proxy.upstream.base import Upstream
from proxy.upstream.grouping import add_groups
from proxy.upstream.making import Count, make_upstream, uncounted
from proxy.wire.codecs import CODECS


@dataclass(frozen=True, slots=True)
class Route:
    """A route ready to serve. `compiled`: None where no policy touches it. `holdout`: its policies, none of them acting.

    `enforcing`: any of them may act."""

    settings: RouteSettings
    policies: tuple[Policy, ...]
    upstream: Upstream
    injects_key: bool
    compiled: CompiledRoute | None = None
    holdout: CompiledRoute | None = None
    runner: Runner | None = None
    moderator: Moderator | None = None
    enforcing: bool = False

    @property
    def name(self) -> str:
        return self.settings.name


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one revision of the configuration serves with. Requests keep the one they began with."""

    settings: Settings
    router: Router
    routes: Mapping[str, Route]
    upstreams: Mapping[str, Upstream]
    keys: Keys
    pass_rules: PassRules
    revision: str
    runners: tuple[Runner, ...]
    checker: Checker

    async def close(self) -> None:
        """Give back connections and threads. No request may still use it."""
        for runner in self.runners:
            await runner.close()
        for upstream in self.upstreams.values():
            await upstream.close()
        for moderator in _moderators(self.routes):
            await moderator.close()


async def prepare(settings: Settings, count: Count = uncounted) -> Snapshot:
    """Build and warm a snapshot, off the event loop where it takes time. Raises ConfigError; leaves nothing behind then.
    `count(metric, *labels)`: what its upstreams do is counted by."""
    upstreams: dict[str, Upstream] = {}
    runners: dict[tuple[frozenset[str], tuple[TriggerSpec, ...]], Runner] = {}
    routes: dict[str, Route] = {}
    limits = settings.config.limits
    try:
        checker = await asyncio.to_thread(_checker, settings.models)
        for name, own in settings.config.upstreams.items():
            if not isinstance(own, Group):
                upstreams[name] = await make_upstream(name, own, settings, count)
        add_groups(settings.config.upstreams, upstreams, count)
        for route in settings.config.routes:
            policies = settings.policies[route.name]
            upstream = upstreams[route.upstream]
            keyed = injects_key(settings.config, route.upstream)
            if not policies:
                routes[route.name] = Route(route, (), upstream, keyed)
                continue
            compiled = compile_route(policies)
            key = (compiled.needs, compiled.triggers)
            if key not in runners:
                suite = await asyncio.to_thread(_warm_suite, *key, settings.models)
                runners[key] = Runner(suite, deadline_ms=limits.deadline_ms)
                await runners[key].start()
            moderator = Moderator(route.moderation) if route.moderation is not None else None
            holdout = compile_route(observing(policies))
            acting = any(policy.enforcing for policy in policies)
            routes[route.name] = Route(route, policies, upstream, keyed, compiled, holdout, runners[key], moderator, acting)
    except BaseException:
        for runner in runners.values():
            await runner.close()
        for opened in upstreams.values():
            await opened.close()
        for made in _moderators(routes):
            await made.close()
        raise
    return Snapshot(
        settings=settings,
        router=make_router(settings.config),
        routes=routes,
        upstreams=upstreams,
        keys=Keys(settings.config.keys),
        pass_rules=PassRules(settings.config.pass_through.allow),
        revision=revision_of(settings),
        runners=tuple(runners.values()),
        checker=checker,
    )


def _moderators(routes: Mapping[str, Route]) -> list[Moderator]:
    return [route.moderator for route in routes.values() if route.moderator is not None]


def observing(policies: tuple[Policy, ...]) -> tuple[Policy, ...]:
    """The same policies, none of them acting: what the holdout share is judged by."""
    return tuple(policy.model_copy(update={"enforcement": "observe"}) for policy in policies)


#: What hosts that decide alike may differ in, and secrets.
_DECIDES_NOTHING = {
    "listen",
    "admin",
    "admin_key",
    "tls",
    "workers",
    "log_level",
    "keys",
    "keys_file",
    "limit_store",
    "upstreams",
}


def revision_of(settings: Settings) -> str:
    """Twelve hex digits that change with anything that decides: routes, limits, policies, models. No secret goes into it."""
    config = settings.config.model_dump(mode="json", exclude=_DECIDES_NOTHING)
    policies = {name: [policy.model_dump(mode="json") for policy in found] for name, found in settings.policies.items()}
    upstreams = {name: sorted(found.model_dump(mode="json", exclude={"api_key"}).items()) for name, found in _named(settings)}
    models = settings.models.digest if settings.models is not None else ""
    keys = {name: client_key(entry).model_dump(exclude={"key"}) for name, entry in settings.config.keys.items()}
    text = orjson.dumps([config, policies, upstreams, models, keys], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:12]


def coverage_rows(routes: Mapping[str, Sequence[Policy]]) -> list[dict[str, Any]]:
    """What is really enforceable: one row a route, endpoint, stream or not, and policy."""
    return [
        _row(name, endpoint, policy, streamed)
        for name, found in routes.items()
        for policy in found
        for endpoint in CODECS
        for streamed in (False, True)
    ]


def _row(route: str, endpoint: str, policy: Policy, streamed: bool) -> dict[str, Any]:
    quiet, triggered = policy.hold.default.value(), policy.hold.triggered.value()
    return {
        "route": route,
        "endpoint": endpoint,
        "stream": streamed,
        "policy": policy.name,
        "mode": policy.mode,
        "enforcement": policy.enforcement,
        "hold": quiet.kind.name.lower(),
        "hold_on_trigger": triggered.kind.name.lower(),
        "enforceable": _enforceable(policy, quiet.kind > 0, triggered.kind > 0),
    }


def _enforceable(policy: Policy, quiet: bool, triggered: bool) -> str:
    if not policy.enforcing:
        return "observed"
    if quiet:
        return "always"
    return "on_trigger" if triggered else "flagged"


def _warm_suite(needs: frozenset[str], triggers: tuple[TriggerSpec, ...], models: ModelSet | None) -> Suite:
    _warm_policies()
    try:
        suite = Suite(needs=needs, triggers=triggers, models=models)
        suite.warm()
    except (ValueError, OSError, ModelError) as error:
        raise ConfigError([Problem("detectors", "", f"cannot be warmed: {error}")]) from error
    return suite


def _checker(models: ModelSet | None) -> Checker:
    """What `/v1/guard/check` judges with: the shipped policies, the models of this configuration."""
    try:
        return Checker(models=models)
    except (OSError, ModelError) as error:
        raise ConfigError([Problem("detectors", "", f"cannot be loaded: {error}")]) from error


def _warm_policies() -> None:
    """Read and compile (33 ms) what the first retry and the first probe would else read on the event loop."""
    for name in ("probes", "scaffold", "verdicts", "words"):
        load_table(name)
    find_demand("Answer only yes or no.")
    opening_polarity("No.", None)
    verdict_polarity("Verdict: no", None)


def _named(settings: Settings) -> list[tuple[str, UpstreamSettings]]:
    return sorted(settings.config.upstreams.items())
