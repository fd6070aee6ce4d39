"""The settings of a gateway as pydantic models: every key of the configuration file, its type, default and meaning.

One rule: a setting that is not described here does not exist (`extra="forbid"`), and one without a description fails a test.
Rules that need more than one key live in `config_rules`; reading files lives in `config`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator
from yarl import URL

from policies.injection import Injection
from proxy.config_base import Key, Name
from proxy.config_base import Model as _Model
from proxy.config_embedded import EmbeddedSettings
from proxy.config_keys import KeyEntry, LimitStore
from proxy.config_telemetry import DecisionSettings, TracingSettings
from proxy.config_upstream import HEDGE_AFTER, Breaker, Retries

LogLevel = Literal["debug", "info", "warning", "error"]
#: A policy of a route: the name of a shipped one, or a mapping that `policies.loader` understands.
PolicyEntry = str | dict[str, Any]

_HEADER = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")


def _check_url(url: str) -> str:
    parsed = URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("must be an http:// or https:// URL with a host")
    if parsed.user is not None or parsed.password is not None:
        raise ValueError("must not carry a user or password; use api_key")
    if parsed.query_string or parsed.fragment:
        raise ValueError("must not carry a query or a fragment")
    return url.rstrip("/")


def _check_proxy(text: str) -> str:
    if text != "none" and (URL(text).scheme not in ("http", "https") or not URL(text).host):
        raise ValueError("must be an http:// or https:// URL with a host, or `none`")
    return text


def _check_tcp(text: str) -> str:
    host, separator, port = text.rpartition(":")
    if not (separator and host and port.isdecimal() and int(port) < 65536):
        raise ValueError("must be host:port, for example 127.0.0.1:8800 or [::1]:8800")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("an IPv6 host stands in brackets: [::1]:8800")
    return text


def _check_address(text: str) -> str:
    if text.startswith("unix:"):
        if len(text) == len("unix:"):
            raise ValueError("must name a path after unix:")
        return text
    return _check_tcp(text)


def _check_prefix(prefix: str) -> str:
    prefix = prefix.rstrip("/")
    segments = prefix.split("/")
    if prefix and (segments[0] or "" in segments[1:]):
        raise ValueError("must begin with one / and hold no empty segment")
    if any(segment in (".", "..") for segment in segments) or re.search(r"[^A-Za-z0-9._~/-]", prefix):
        raise ValueError("may hold letters, digits and . _ ~ - in its segments, and no dot segment")
    if len(segments) > 1 and segments[1] in ("v1", "-"):
        raise ValueError(f"must not begin with /{segments[1]}: those paths have a meaning of their own")
    return prefix


def _check_header(name: str) -> str:
    if not _HEADER.match(name):
        raise ValueError("is no header name")
    if name.lower().startswith("x-chunkguard-"):
        raise ValueError("x-chunkguard-* headers of clients are stripped and match nothing")
    return name.lower()


def _check_rule(rule: str) -> str:
    if not re.match(r"^([A-Z]+|\*) /\S*$", rule):
        raise ValueError('must be "METHOD /path", for example "GET /v1/models/*"')
    return rule


Url = Annotated[str, AfterValidator(_check_url)]
Proxy = Annotated[str, AfterValidator(_check_proxy)]


class Timeouts(_Model):
    """How long an upstream may take."""

    connect_s: PositiveFloat = Field(default=5.0, description="Seconds to get a connection, name lookup and TLS included.")
    first_token_s: PositiveFloat = Field(
        default=120.0, description="Seconds from a connection in hand to the first byte of the reply's body."
    )
    between_tokens_s: PositiveFloat | None = Field(
        default=300.0,
        description="Seconds that a reply may be silent after its first byte, up to a quarter more; null = `total_s`.",
    )
    total_s: PositiveFloat = Field(default=600.0, description="Seconds for a whole exchange with the upstream.")


class OpenAISettings(_Model):
    """An OpenAI-compatible HTTP endpoint; its bytes pass unchanged."""

    kind: Literal["openai"] = Field(description="An OpenAI-compatible HTTP endpoint.")
    url: Url = Field(
        description="Base URL as an OpenAI client takes it, for example `https://api.openai.com/v1`. "
        "Without a path `/v1` is added to API calls."
    )
    api_key: Key | None = Field(
        default=None, description="Replaces the client's credentials. Without it, and without `keys`, they are passed on."
    )
    timeouts: Timeouts = Field(default_factory=Timeouts, description="How long the upstream may take.")
    pool_size: int = Field(default=0, ge=0, description="Connections open at once; 0 = unlimited.")
    pool_idle_s: PositiveFloat = Field(
        default=15.0, description="Seconds an idle connection is kept; choose less than the upstream's own."
    )
    models: dict[str, str] = Field(
        default_factory=dict, description="Model names that clients use -> the upstream's. Others pass unchanged."
    )
    ca_file: str | None = Field(
        default=None,
        min_length=1,
        description="PEM file of certificates that are trusted instead of the system's, relative to the configuration file.",
    )
    proxy: Proxy | None = Field(
        default=None,
        description="HTTP proxy on the way, or `none`. Not set = what `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` say.",
    )
    retries: Retries = Field(default_factory=Retries, description="When a failed request is sent again.")
    breaker: Breaker | None = Field(
        default=None, description="When an upstream that keeps failing is left alone; not set = never."
    )
    hedge_after_s: PositiveFloat | None = Field(default=None, description=HEDGE_AFTER)


class ReplaySettings(_Model):
    """Recorded exchanges from a file, chosen by a match on the request: for tests, demos and reproductions."""

    kind: Literal["replay"] = Field(description="Recorded exchanges, for tests, demos and reproductions.")
    file: str = Field(min_length=1, description="JSONL file of recorded exchanges, relative to the configuration file.")
    timeouts: Timeouts = Field(default_factory=Timeouts, description="How long the upstream may take.")


class LiteLLMSettings(_Model):
    """Any provider that the litellm library speaks to; the client sees OpenAI's or Anthropic's format."""

    kind: Literal["litellm"] = Field(description="Any provider that the litellm library speaks to.")
    models: dict[str, str] = Field(
        min_length=1,
        description="Model names that clients use -> litellm's, for example `claude: anthropic/claude-sonnet-4-5`. "
        "Other names are answered 404: a client must not choose where the key goes.",
    )
    url: Url | None = Field(default=None, description="The provider's base URL, where it is not litellm's default.")
    api_key: Key | None = Field(
        default=None, description="The provider's key. Without it litellm looks in the environment; never the client's."
    )
    retries: Retries = Field(default_factory=Retries, description="When a failed request is sent again.")
    breaker: Breaker | None = Field(
        default=None, description="When an upstream that keeps failing is left alone; not set = never."
    )
    hedge_after_s: PositiveFloat | None = Field(default=None, description=HEDGE_AFTER)
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further arguments of litellm's calls, for example `api_version`."
    )
    timeouts: Timeouts = Field(default_factory=Timeouts, description="How long the upstream may take.")


class FallbackSettings(_Model):
    """Other upstreams in order: the next one answers where one before it cannot."""

    kind: Literal["fallback"] = Field(description="Other upstreams in order: the next one answers where one before it cannot.")
    upstreams: list[Name] = Field(
        min_length=2, description="Names of upstreams, the first choice first. All but the first need keys of their own."
    )
    statuses: list[Annotated[int, Field(ge=400, le=599)]] = Field(
        default=[429, 500, 502, 503, 504, 529],
        description="Statuses that move a request on, beside an upstream that cannot be reached, is late or breaks off.",
    )


class WeightedSettings(_Model):
    """Other upstreams that share the requests."""

    kind: Literal["weighted"] = Field(description="Other upstreams that share the requests.")
    upstreams: dict[Name, PositiveInt] = Field(
        min_length=2, description="Names of upstreams with their weights. All but the first need keys of their own."
    )


#: Upstreams that are made of others, and those that answer themselves.
Group = FallbackSettings | WeightedSettings
Answering = OpenAISettings | ReplaySettings | LiteLLMSettings | EmbeddedSettings
UpstreamSettings = Annotated[
    OpenAISettings | ReplaySettings | LiteLLMSettings | EmbeddedSettings | FallbackSettings | WeightedSettings,
    Field(discriminator="kind"),
]


class Match(_Model):
    """Which requests a route takes; all that is given must hold. Most specific wins: key, header, longest prefix, model."""

    path_prefix: Annotated[str, AfterValidator(_check_prefix)] = Field(
        default="", description="Leading path segments, removed before forwarding, so that an app picks its route by base URL."
    )
    model: str | None = Field(default=None, min_length=1, description="Glob over the model name of the request (`*`, `?`).")
    header: dict[Annotated[str, AfterValidator(_check_header)], str] = Field(
        default_factory=dict,
        description="Header names with the exact value that each must have. May only tighten, unless `key` is given too.",
    )
    key: str | None = Field(default=None, description="Name of a client key of `keys`.")


class Moderation(_Model):
    """An endpoint that settles a suspected refusal: is the prompt benign?"""

    url: Url = Field(description="Base URL of an OpenAI-compatible API; `/moderations` is added.")
    api_key: Key = Field(description="The endpoint's own key; a client's is never sent there.")
    timeout_s: PositiveFloat = Field(default=2.0, description="Seconds to wait; afterwards the answer is unknown.")
    model: str | None = Field(default=None, min_length=1, description="Model to ask for, where not the endpoint's default.")


class RouteSettings(_Model):
    """What happens to the requests that it matches."""

    name: Name = Field(description="Name in records, metrics and errors.")
    match: Match = Field(default_factory=Match, description="Which requests it takes; empty = all.")
    upstream: str = Field(description="Name of the upstream that answers; the only one that may see client credentials.")
    policies: list[PolicyEntry] = Field(
        default_factory=list, description="Names of shipped policies, or mappings that extend one. Empty = untouched."
    )
    injection: Injection = Field(
        default="anywhere",
        description="What policies may add to prompts: `anywhere` as each says; `user_turn` only beside the last user message, "
        "for models without a system role; `never` nothing: boundaries and probes are left out.",
    )
    report: bool = Field(default=False, description="Add the `chunkguard` field to the bodies of guarded replies.")
    moderation: Moderation | None = Field(default=None, description="An endpoint that settles suspected refusals.")


class Limits(_Model):
    """What one worker allows."""

    body_bytes: PositiveInt = Field(default=33_554_432, description="Largest request body that is accepted, in bytes.")
    body_s: PositiveFloat = Field(
        default=120.0, description="Seconds a client may take to send a body; of one that is streamed on, between two pieces."
    )
    answer_bytes: PositiveInt = Field(
        default=67_108_864,
        description="Largest answer that is held back or judged as a whole, in bytes; a larger one is an error.",
    )
    held_bytes: int = Field(
        default=268_435_456,
        ge=0,
        description="Bytes of requests and held answers in memory at once; more requests are answered 503. 0 = unlimited.",
    )
    connections: int = Field(
        default=0, ge=0, description="Client requests handled at once; more are answered 503. 0 = unlimited."
    )
    retry_share: float = Field(default=0.1, ge=0, le=1, description="Share of requests, over 60 s, that may be tried again.")
    holdout: float = Field(default=0.01, ge=0, lt=1, description="Share of requests judged but not acted on, for comparison.")
    keepalive_s: PositiveFloat = Field(default=10.0, description="Seconds of silence on a stream before a keep-alive comment.")
    deadline_ms: PositiveInt = Field(default=250, description="Milliseconds that detectors may take for one check.")
    observer_queue: PositiveInt = Field(default=1024, description="Answers that may wait to be scored after they were relayed.")


class TLS(_Model):
    """The certificate of the public listener; read again when a file changes, and at a reload."""

    cert_file: str = Field(min_length=1, description="PEM file of the certificate and its chain, relative to this file.")
    key_file: str = Field(min_length=1, description="PEM file of its key, without a password, relative to this file.")


class Detectors(_Model):
    """What judges prompts and answers."""

    models: str | None = Field(
        default=None,
        min_length=1,
        description="Folder of trained models, relative to the configuration file, instead of the shipped ones.",
    )


class PassThrough(_Model):
    """What may pass unguarded."""

    allow: list[Annotated[str, AfterValidator(_check_rule)]] = Field(
        default=["GET /v1/models", "GET /v1/models/*", "POST /v1/embeddings", "POST /v1/moderations"],
        description='"METHOD /path-glob" rules (`*` = any characters) for unguarded requests that would use a configured key.',
    )


class Config(_Model):
    """The whole configuration of a gateway."""

    listen: Annotated[str, AfterValidator(_check_tcp)] = Field(
        default="127.0.0.1:8800",
        description="host:port that clients use. Public only with `keys`, where an upstream has a key.",
    )
    tls: TLS | None = Field(default=None, description="TLS for `listen`; not set = plain HTTP.")
    admin: Annotated[str, AfterValidator(_check_address)] = Field(
        default="127.0.0.1:8801", description="host:port or unix:path of `/metrics` and `/-/*`. Public only with `admin_key`."
    )
    workers: PositiveInt = Field(default=1, le=64, description="Processes that serve; as many as there are CPUs to use.")
    drain_delay_s: float = Field(
        default=0.0,
        ge=0,
        le=300,
        description="Seconds from a stop signal, with which readiness ends, until connections are refused: "
        "as long as load balancers take to notice.",
    )
    admin_key: Key | None = Field(default=None, description="Bearer key that the admin listener asks for.")
    upstreams: dict[Name, UpstreamSettings] = Field(min_length=1, description="Where answers come from, by name.")
    routes: list[RouteSettings] = Field(min_length=1, description="What happens to which requests. A tie is an error.")
    keys: dict[Name, KeyEntry] = Field(
        default_factory=dict,
        description="Client keys by name: a key, its hash, or a mapping. Where there are any, every request needs one.",
    )
    keys_file: str | None = Field(
        default=None,
        min_length=1,
        description="YAML file of further `keys`, relative to this file; read again when it changes.",
    )
    limit_store: LimitStore = Field(default_factory=LimitStore, description="Where it is counted what client keys have used.")
    limits: Limits = Field(default_factory=Limits, description="What one worker allows.")
    detectors: Detectors = Field(default_factory=Detectors, description="What judges prompts and answers.")
    pass_through: PassThrough = Field(default_factory=PassThrough, description="What may pass unguarded.")
    log_level: LogLevel = Field(default="info", description="Least severity that is logged.")
    log_sample: float = Field(default=1.0, ge=0, le=1, description="Share of usual decisions logged; others always are.")
    decisions: DecisionSettings = Field(default_factory=DecisionSettings, description="A file of all decisions.")
    tracing: TracingSettings | None = Field(default=None, description="OpenTelemetry spans. Without it there are none.")

    @model_validator(mode="before")
    @classmethod
    def _no_empty_sections(cls, data: object) -> object:
        # `limits:` with nothing under it is None in YAML: it means the defaults, not an error.
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data
