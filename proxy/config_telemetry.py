"""The settings of what is told about exchanges: the decision log and tracing.

One rule: texts of prompts and answers go nowhere unless a setting here says so by name.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator
from yarl import URL

from proxy.config_base import Key, Model
from proxy.redact import Redactor


def _check_patterns(patterns: list[str]) -> list[str]:
    Redactor(patterns)
    return patterns


def _check_endpoint(url: str) -> str:
    parsed = URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.user is not None:
        raise ValueError("must be an http:// or https:// URL with a host and no user")
    return url


class DecisionSettings(Model):
    """A file with one line of JSON a decision."""

    file: str | None = Field(
        default=None,
        min_length=1,
        description="Where, relative to the configuration file. Of several workers each writes a file of its own, with its "
        "number before the suffix. Without it there is no decision log.",
    )
    content: Literal["none", "hash", "full"] = Field(
        default="none",
        description="Of the texts of prompts and answers: `none`; `hash`: keyed hashes; `full`: all but what is redacted.",
    )
    hash_key: Key | None = Field(default=None, description="Key of the hashes (HMAC-SHA256). Needed for `content: hash`.")
    redact: Annotated[list[str], AfterValidator(_check_patterns)] = Field(
        default_factory=list,
        description="RE2 patterns of what `content: full` leaves out. Common forms of keys always are left out.",
    )
    sample: float = Field(
        default=1.0, ge=0, le=1, description="Share of decisions written. Those flagged, unchecked or failed always are."
    )
    max_bytes: PositiveInt = Field(default=104_857_600, description="Size at which the file is put aside, as FILE.1.")
    max_age_s: PositiveFloat = Field(default=86_400.0, description="Seconds after which the file is put aside.")
    keep: int = Field(default=7, ge=0, le=1000, description="Files put aside that are kept.")

    @model_validator(mode="after")
    def _hashes_need_a_key(self) -> DecisionSettings:
        if self.content == "hash" and self.hash_key is None:
            raise ValueError("`content: hash` needs `hash_key`: without one a short text can be guessed from its hash")
        return self


class TracingSettings(Model):
    """OpenTelemetry spans of guarded exchanges, sent by OTLP over HTTP. Needs the extra `otel`."""

    endpoint: Annotated[str, AfterValidator(_check_endpoint)] = Field(
        description="Where spans go, for example `http://127.0.0.1:4318/v1/traces`."
    )
    headers: dict[str, Key] = Field(default_factory=dict, description="Headers for the endpoint, with its key for example.")
    service_name: str = Field(default="chunkguard", min_length=1, description="`service.name` of the spans.")
    sample: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of exchanges traced, where no `traceparent` of the client decides it.",
    )
    content: bool = Field(default=False, description="Put the texts of prompts and answers into the spans, redacted of keys.")
