"""Which route takes a request, what of its path is forwarded, and whether it is guarded.

One rule: a path that any upstream might read as a guarded endpoint - double slashes, percent-encoding, dot segments, case, a
trailing slash - is guarded and forwarded in its plain form, or refused; it is never passed around the guard.

The path prefix of a route is removed before anything else: the longest configured prefix that the path carries, whichever route
is chosen in the end, so that the endpoint does not depend on headers or the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Literal
from urllib.parse import quote, unquote

from proxy.config_model import Config, RouteSettings
from proxy.matching import rank

Endpoint = Literal[
    "chat_completions", "guard_check", "models", "embeddings", "completions", "responses", "messages", "other", "refused"
]
#: The closed set of endpoints, for labels.
ENDPOINTS: tuple[Endpoint, ...] = (
    "chat_completions", "guard_check", "models", "embeddings", "completions", "responses", "messages", "other", "refused",
)  # fmt: skip
#: Endpoints whose answers are judged. A POST to a path that ends like one of these is never passed through.
GUARDED: frozenset[Endpoint] = frozenset({"chat_completions", "completions", "messages", "responses"})

_PLAIN: Mapping[str, Endpoint] = {
    "/v1/chat/completions": "chat_completions",
    "/v1/guard/check": "guard_check",
    "/v1/models": "models",
    "/v1/embeddings": "embeddings",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
}
_POSTED = GUARDED | {"guard_check"}
_CHECK = "/v1/guard/check"
#: Ends of paths that some upstream reads as a guarded endpoint (`/openai/deployments/x/completions`), the longer ones first.
_ENDS: Mapping[str, Endpoint] = {
    "/chat/completions": "chat_completions",
    "/completions": "completions",
    "/responses": "responses",
    "/v1/messages": "messages",  # not every `/messages`: `/v1/threads/x/messages` is another API
}
#: Decoded so often at most: `%252e` is two layers. What is still encoded after that is refused.
_LAYERS = 3
_ODD = re.compile(r"//|%|\\|/\.|/$|[^\x21-\x7e]|[;#]|[A-Z]")
#: What stands before the path where a client takes us for a proxy (RFC 9112, 3.2.2). We are the server that it names.
_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
#: Never part of a path: a fragment's mark, control characters, and an escape that only some servers know.
_NEVER = re.compile(r"#|%u[0-9a-f]{4}|%[01][0-9a-f]|%7f", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Location:
    """Where a path leads. `path`: what to forward, without prefix and query. `prefix`: the configured prefix it carried."""

    endpoint: Endpoint
    path: str
    prefix: str = ""

    @property
    def guarded(self) -> bool:
        return self.endpoint in GUARDED


@dataclass(frozen=True, slots=True)
class _Candidate:
    route: RouteSettings
    prefix: str
    header: tuple[tuple[str, str], ...]
    model: re.Pattern[str] | None
    key: str | None

    def takes(self, model: str, headers: Mapping[str, str], key: str | None) -> bool:
        return (
            (self.key is None or self.key == key)
            and (self.model is None or self.model.match(model) is not None)
            and all(headers.get(name) == value for name, value in self.header)
        )


class Router:
    """Chooses routes. Built once for a configuration; thread-safe, a few microseconds a request."""

    def __init__(self, routes: Sequence[RouteSettings]) -> None:
        ordered = sorted(routes, key=lambda route: rank(route.match), reverse=True)
        candidates = [
            _Candidate(
                route=route,
                prefix=route.match.path_prefix,
                header=tuple(route.match.header.items()),
                model=_glob(route.match.model) if route.match.model is not None else None,
                key=route.match.key,
            )
            for route in ordered
        ]
        self._prefixes = sorted({candidate.prefix for candidate in candidates if candidate.prefix}, key=len, reverse=True)
        self._candidates = {
            prefix: tuple(item for item in candidates if f"{prefix}/".startswith(f"{item.prefix}/"))
            for prefix in ("", *self._prefixes)
        }
        # Nearly every request has one of these paths: one dict look-up instead of the whole normalisation.
        self._known = {
            f"{prefix}{path}": Location(endpoint, path, prefix)
            for prefix in ("", *self._prefixes)
            for path, endpoint in _PLAIN.items()
        }
        #: Whether any route asks for a model: only then is it worth reading before the route is chosen.
        self.reads_model = any(candidate.model is not None for candidate in candidates)

    def locate(self, method: str, raw_path: str) -> Location:
        """Where a request leads. `raw_path`: as sent, without its query. A `refused` one is answered 404."""
        known = self._known.get(raw_path)
        if known is None:
            known = self._locate(method, raw_path)
        if method != "POST" and known.endpoint in _POSTED:
            # GET lists what is stored: nothing is generated, nothing to guard.
            return Location("other", known.path, known.prefix)
        return known

    def choose(self, prefix: str, model: str, headers: Mapping[str, str], key: str | None) -> RouteSettings | None:
        """The most specific route that takes the request, None where there is none.

        `prefix`: of its Location. `headers`: case-insensitive or with lower-case names. `key`: name of the client's key."""
        for candidate in self._candidates.get(prefix, ()):
            if candidate.takes(model, headers, key):
                return candidate.route
        return None

    def _locate(self, method: str, raw_path: str) -> Location:
        if raw_path[:1] != "/":
            absolute = _ABSOLUTE.match(raw_path)
            if absolute is None:
                return Location("refused", raw_path)
            return self.locate(method, raw_path[absolute.end() :] or "/")
        plain = normalise(raw_path)
        if plain is None:
            return Location("refused", raw_path)
        prefix = next((item for item in self._prefixes if plain == item or plain.startswith(f"{item}/")), "")
        rest = plain[len(prefix) :]
        lowered = rest.lower()
        for end, guarded in _ENDS.items():
            if lowered.endswith(end):
                exact = _PLAIN.get(lowered) == guarded
                return Location(guarded, lowered if exact else quote(rest, safe="/:@!$&'()*+,;=~"), prefix)
        if lowered == _CHECK:
            return Location("guard_check", _CHECK, prefix)
        if rest.startswith("/-/") or _has_dots(raw_path) or _has_never(raw_path):
            return Location("refused", raw_path, prefix)
        endpoint = _PLAIN.get(rest, "other")
        if raw_path.startswith(prefix) and raw_path[len(prefix) :].startswith("/"):
            return Location(endpoint, raw_path[len(prefix) :], prefix)
        # The prefix itself is spelled oddly (`//app`, `/%61pp`): only the plain form can be cut from it.
        return Location(endpoint, quote(rest or "/", safe="/:@!$&'()*+,;=~"), prefix)


def normalise(raw_path: str) -> str | None:
    """The plain form of a path: decoded, no empty or dot segments, no parameters, no trailing slash; None where it has none.

    Case is kept. It is meant for judging what a path may mean, and is wider than what any one server does."""
    path = raw_path
    if _ODD.search(path) is None:
        return path
    for _ in range(_LAYERS):
        decoded = unquote(path, errors="replace")
        if decoded == path:
            break
        path = decoded
    else:
        if unquote(path, errors="replace") != path:
            return None
    segments: list[str] = []
    for segment in path.replace("\\", "/").split("/"):
        # `;v=1` parameters and stray white space or control characters are dropped by some servers.
        segment = re.sub(r"[\x00-\x20\x7f]", "", segment.partition(";")[0].partition("?")[0].partition("#")[0])
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    return "/" + "/".join(segments)


def _has_never(raw_path: str) -> bool:
    path = raw_path
    for _ in range(_LAYERS):
        if _NEVER.search(path):
            return True
        path = unquote(path, errors="replace")
    return False


def _has_dots(raw_path: str) -> bool:
    path = raw_path
    for _ in range(_LAYERS):
        path = unquote(path, errors="replace")
    return any(segment.partition(";")[0] in (".", "..") for segment in path.replace("\\", "/").split("/"))


def _glob(pattern: str) -> re.Pattern[str]:
    """A glob of `*` and `?` only: brackets, which fnmatch would read, are plain characters."""
    return re.compile(translate(pattern.replace("[", "[[]")))


class PassRules:
    """Which unguarded requests may use a configured key: "METHOD /path-glob" rules over the plain form of the path."""

    def __init__(self, rules: Iterable[str]) -> None:
        split = [rule.split(" ", 1) for rule in rules]
        self._rules = [(method, _glob(path)) for method, path in split]

    def allow(self, method: str, path: str) -> bool:
        """`path`: that of the Location."""
        plain = normalise(path)
        return plain is not None and any(wanted in ("*", method) and glob.match(plain) for wanted, glob in self._rules)


def make_router(config: Config) -> Router:
    """The router of a configuration."""
    return Router(config.routes)
