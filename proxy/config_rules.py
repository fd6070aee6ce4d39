"""The rules of a configuration that need more than one key: credentials, bindings, ties, names that must exist.

One rule: each check yields (key path, reason) for every breach it sees, so that all problems are reported at once.
The meanings are those of docs/concepts.md: "Credentials" and "Which policies apply".
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

from policies.schema import Policy
from proxy.config_keys import client_key
from proxy.config_model import Config, Group, LiteLLMSettings, OpenAISettings, RouteSettings
from proxy.keys import digest_of
from proxy.matching import may_meet, rank, tie

Breach = tuple[str, str]
#: The policies of each route, in the order of `Config.routes`.
Policies = Sequence[Sequence[Policy]]


def breaches(config: Config, policies: Policies) -> Iterator[Breach]:
    """Every breach of a rule across keys. `policies`: those of each route that could be resolved, in route order."""
    yield from _bindings(config)
    yield from _names(config)
    yield from _groups(config)
    yield from _ties(config)
    yield from _foreign_upstreams(config, policies)
    yield from _header_routes(config, policies)
    yield from _moderations(config, policies)


def is_loopback(address: str) -> bool:
    """Whether a host:port or unix:path address can be reached from this machine only."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def injects_key(config: Config, name: str) -> bool:
    """Whether requests to an upstream may carry a key of the operator; litellm takes one from the environment."""
    found = [config.upstreams.get(member) for member in members(config, name)]
    return any(
        isinstance(own, LiteLLMSettings) or (isinstance(own, OpenAISettings) and own.api_key is not None) for own in found
    )


def members(config: Config, name: str, above: tuple[str, ...] = ()) -> list[str]:
    """The upstreams that a name stands for in the end, the first choice first: itself, or what its group is made of."""
    own = config.upstreams.get(name)
    if name in above or not isinstance(own, Group):
        return [name]
    return [found for member in own.upstreams for found in members(config, member, (*above, name))]


def _bindings(config: Config) -> Iterator[Breach]:
    keyed = sorted(name for name in config.upstreams if injects_key(config, name))
    if keyed and not config.keys and not is_loopback(config.listen):
        yield "listen", f"upstream {keyed[0]!r} has a key and there are no client `keys`: only a loopback address is safe"
    if not is_loopback(config.admin) and config.admin_key is None:
        yield "admin", "is public: it needs `admin_key`, or a loopback or unix: address"
    if config.admin == config.listen and not config.listen.endswith(":0"):
        yield "admin", "must not be the address of `listen`"


def _names(config: Config) -> Iterator[Breach]:
    for name, count in Counter(route.name for route in config.routes).items():
        if count > 1:
            yield "routes", f"{count} routes are named {name!r}"
    yield from _keys(config)
    for index, route in enumerate(config.routes):
        if route.upstream not in config.upstreams:
            yield f"routes[{index}].upstream", f"there is no upstream {route.upstream!r}"
        if route.match.key is not None and route.match.key not in config.keys:
            yield f"routes[{index}].match.key", f"there is no key {route.match.key!r}"


def _keys(config: Config) -> Iterator[Breach]:
    digests = {name: digest_of(client_key(entry)) for name, entry in config.keys.items()}
    values = Counter(digests.values())
    routes = {route.name for route in config.routes}
    for name, entry in config.keys.items():
        if values[digests[name]] > 1:
            yield f"keys.{name}", "has the same value as another key"
        for route in client_key(entry).routes or ():
            if route not in routes:
                yield f"keys.{name}.routes", f"there is no route {route!r}"
    if (config.limit_store.kind == "redis") is not (config.limit_store.url is not None):
        yield "limit_store.url", "is needed by kind `redis`, and by no other"
    limited = any(client_key(entry).limits for entry in config.keys.values())
    if limited and config.workers > 1 and config.limit_store.kind == "memory":
        yield (
            "limit_store",
            f"each of {config.workers} workers would count alone: limits of keys need kind `redis`, or one worker",
        )
    if config.limit_store.kind == "redis" and find_spec("redis") is None:
        yield "limit_store.kind", "needs the library redis: install chunkguard with the extra 'redis'"


def _groups(config: Config) -> Iterator[Breach]:
    """A group's members exist, it is not in itself, and no member but the first lives on the client's credentials."""
    for name, group in config.upstreams.items():
        if not isinstance(group, Group):
            continue
        for place, member in enumerate(group.upstreams):
            key = f"upstreams.{name}.upstreams" + (f"[{place}]" if isinstance(group.upstreams, list) else f".{member}")
            if member not in config.upstreams:
                yield key, f"there is no upstream {member!r}"
            elif name in _inside(config, member):
                yield key, "leads back to this upstream"
            elif list(group.upstreams).count(member) > 1:
                yield key, "is named twice"
            elif place:
                yield from ((key, _needs_key(bare)) for bare in members(config, member) if not _keyed(config, bare))


def _inside(config: Config, name: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
    """All names that a name leads to, itself included."""
    own = config.upstreams.get(name)
    if name in seen or not isinstance(own, Group):
        return seen | {name}
    for member in own.upstreams:
        seen = _inside(config, member, seen | {name})
    return seen


def _keyed(config: Config, name: str) -> bool:
    own = config.upstreams.get(name)
    return not isinstance(own, OpenAISettings) or own.api_key is not None


def _needs_key(name: str) -> str:
    return f"upstream {name!r} has no api_key: client credentials are not sent to it from here"


def _ties(config: Config) -> Iterator[Breach]:
    for index, route in enumerate(config.routes):
        for other in config.routes[:index]:
            if tie(route.match, other.match):
                yield f"routes[{index}].match", f"ties with route {other.name!r}: a request could take either"


def _foreign_upstreams(config: Config, policies: Policies) -> Iterator[Breach]:
    for index, route in enumerate(config.routes):
        for policy in policies[index]:
            for step, rung in enumerate(policy.ladder):
                reason = _foreign(config, route, rung.upstream) if rung.upstream else ""
                if reason:
                    yield f"routes[{index}].policies.{policy.name}.ladder[{step}].upstream", reason


def _foreign(config: Config, route: RouteSettings, name: str) -> str:
    if name not in config.upstreams:
        return f"there is no upstream {name!r}"
    bare = next((member for member in members(config, name) if not _keyed(config, member)), None)
    if name != route.upstream and bare is not None:
        return f"upstream {bare!r} is not the route's own and has no api_key: client credentials are not sent there"
    return ""


def _moderations(config: Config, policies: Policies) -> Iterator[Breach]:
    """An endpoint that is never asked is a guard that somebody believes in and does not have."""
    for index, route in enumerate(config.routes):
        asks = any(policy.mode == "refusal" and policy.enforcing and policy.retries for policy in policies[index])
        if route.moderation is not None and not asks:
            yield f"routes[{index}].moderation", "is never asked: no policy of the route enforces `refusal` with a retry"


def _header_routes(config: Config, policies: Policies) -> Iterator[Breach]:
    """A header is the client's choice, so a route chosen by one must guard at least as the one chosen without it."""
    for index, route in enumerate(config.routes):
        if not route.match.header or route.match.key is not None:
            continue
        for other in _without_header(route, config.routes):
            lost = sorted(
                policy.name
                for policy in policies[config.routes.index(other)]
                if not any(as_strict(kept, policy) for kept in policies[index])
            )
            if lost:
                yield (
                    f"routes[{index}].policies",
                    f"a header may only tighten, but {', '.join(lost)} of route {other.name!r} would be lost or weaker; "
                    "add them, or give `match.key`",
                )


def as_strict(one: Policy, other: Policy) -> bool:
    """Whether policy `one` guards its mode at least as strictly as `other` does."""
    return (
        one.mode == other.mode
        and one.enforcing >= other.enforcing
        and one.check.misrouted_at <= other.check.misrouted_at
        and one.check.suspect_at <= other.check.suspect_at
        and one.hold.default.value().kind >= other.hold.default.value().kind
        and one.hold.triggered.value().kind >= other.hold.triggered.value().kind
        and max((rung.kind for rung in one.ladder), default=0) >= max((rung.kind for rung in other.ladder), default=0)
        and (one.failure_mode == "fail_closed" or other.failure_mode == "fail_open")
    )


def _without_header(route: RouteSettings, routes: list[RouteSettings]) -> Iterator[RouteSettings]:
    """The routes that requests of a header route would take without that header, most specific first."""
    bare = route.match.model_copy(update={"header": {}})
    others = [other for other in routes if not other.match.header and other.match.key is None]
    for other in sorted(others, key=lambda other: rank(other.match), reverse=True):
        if may_meet(bare, other.match):
            yield other
            covers_prefix = f"{bare.path_prefix}/".startswith(f"{other.match.path_prefix}/")
            if covers_prefix and other.match.model in (None, bare.model):
                return
