"""The settings of client keys: which routes a key may use, how much of them, and where that is counted.

One rule: a limit that is not set costs nothing and limits nothing.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, PositiveInt, SecretStr, Tag

from proxy.config_base import Key, Model, Name

#: What a hash in place of a key looks like.
HASHED = re.compile(r"sha256:[0-9a-f]{64}")


def _check_entry(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if text.startswith("sha256:") and not HASHED.fullmatch(text):
        raise ValueError("a hash is `sha256:` and 64 lower-case hex digits")
    return secret


def _check_redis(secret: SecretStr) -> SecretStr:
    if not re.match(r"(rediss?|unix)://.", secret.get_secret_value()):
        raise ValueError("must be a redis://, rediss:// or unix:// URL")
    return secret


KeyOrHash = Annotated[Key, AfterValidator(_check_entry)]


class KeyLimits(Model):
    """How much a client key may use. Nothing is limited that is not set."""

    requests_per_minute: PositiveInt | None = Field(
        default=None, description="Requests a minute. A quiet key may use a whole minute's at once."
    )
    tokens_per_minute: PositiveInt | None = Field(
        default=None, description="Tokens a minute, of prompts and answers, all attempts of the guard included."
    )
    tokens_per_day: PositiveInt | None = Field(default=None, description="Budget of tokens for a day (UTC).")
    tokens_per_month: PositiveInt | None = Field(default=None, description="Budget of tokens for a calendar month (UTC).")

    def __bool__(self) -> bool:
        return any(limit is not None for limit in self.model_dump().values())


class ClientKey(Model):
    """A client key and what it may do."""

    key: KeyOrHash = Field(description="The key, or its hash (`sha256:...`) as `chunkguard key` prints it.")
    routes: list[Name] | None = Field(
        default=None, min_length=1, description="Routes that it may use; others answer 403. Not set = all."
    )
    limits: KeyLimits = Field(default_factory=KeyLimits, description="How much it may use.")


def _kind(value: Any) -> str:
    return "text" if isinstance(value, str | SecretStr) else "mapping"


#: A key alone, or one with what it may do.
KeyEntry = Annotated[Annotated[KeyOrHash, Tag("text")] | Annotated[ClientKey, Tag("mapping")], Discriminator(_kind)]


def client_key(entry: SecretStr | ClientKey) -> ClientKey:
    """The long form of an entry."""
    return entry if isinstance(entry, ClientKey) else ClientKey(key=entry)


class LimitStore(Model):
    """Where it is counted what client keys have used."""

    kind: Literal["memory", "redis"] = Field(
        default="memory",
        description="`memory`: each process counts alone and forgets when it ends. `redis`: all that share it count together.",
    )
    url: Annotated[Key, AfterValidator(_check_redis)] | None = Field(
        default=None, description="Of kind `redis`: `redis://host:6379/0`, `rediss://` with TLS, or `unix:///path`."
    )
    prefix: str = Field(default="chunkguard", pattern=r"^[A-Za-z0-9_.:-]{1,64}$", description="First part of every Redis key.")
    timeout_ms: PositiveInt = Field(default=100, description="Milliseconds that a request waits for Redis at most.")
    failure_mode: Literal["fail_open", "fail_closed"] = Field(
        default="fail_open",
        description="Without Redis, limited keys are served unlimited (`fail_open`) or answered 503 (`fail_closed`).",
    )
