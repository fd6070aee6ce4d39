"""Every error the gateway can answer with, and the one way each is rendered.

```
GuardError                 500  internal_error
  ConfigError                   load and reload only; carries every Problem at once
  RequestError                  the client's doing
    InvalidRequest         400  invalid_request
    Unauthorized           401  invalid_api_key
    Forbidden              403  permission_denied
    UnknownModel           404  model_not_found
    NotFound               404  not_found
    RequestTimeout         408  request_timeout
    RequestTooLarge        413  request_too_large
    RateLimited            429  rate_limit_exceeded     Retry-After
      QuotaExceeded        429  insufficient_quota      Retry-After
  UpstreamError                 the upstream's doing    (* retryable before commit)
    Unavailable            502* upstream_unavailable
    CircuitOpen            503* upstream_circuit_open   Retry-After
    Timeout                504* upstream_timeout
    ProtocolError          502* upstream_protocol_error
    Rejected               any  upstream_rejected       status and body passed through
  DetectorError            500  detector_error          could not judge: `failure_mode` decides
    DetectorTimeout        500  detector_timeout
    DetectorFailed         500  detector_failed
  GuardUnavailable         503  guard_unavailable       fail_closed, and nothing judged
  LimitsUnavailable        503  limits_unavailable      Retry-After
  Overloaded               503  overloaded              Retry-After
```
One rule: a verdict is never an error; a blocked answer is a result and is rendered by wire. Messages reach clients: no
credential, no upstream URL with a query, no prompt text belongs in them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import orjson

from core.types import Failure

Headers = list[tuple[str, str]]


class Shape(NamedTuple):
    """How a class of errors looks on the wire. `retryable`: the same request may be sent again before anything was
    committed."""

    status: int
    type: str
    code: str
    retryable: bool = False


class GuardError(Exception):
    """Base of all of them. `message` is for the client; `param` names the field of the request that is at fault."""

    shape: ClassVar[Shape] = Shape(500, "server_error", "internal_error")

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, retry_after_s: float | None = None):
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.shape.code
        self.retry_after_s = retry_after_s
        #: Further headers of the answer.
        self.headers: Headers = []

    @property
    def status(self) -> int:
        return self.shape.status

    @property
    def retryable(self) -> bool:
        return self.shape.retryable


class Problem(NamedTuple):
    """One fault of a configuration. `key`: dotted path inside `file`, empty for the file itself."""

    file: str
    key: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(part for part in self if part)


class ConfigError(GuardError):
    """The configuration cannot be used. `problems`: all of them, in the order found; at least one."""

    shape = Shape(500, "server_error", "config_error")

    def __init__(self, problems: Sequence[Problem]):
        if not problems:
            raise ValueError("a ConfigError needs at least one problem")
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class RequestError(GuardError):
    """The client must change its request."""

    shape = Shape(400, "invalid_request_error", "invalid_request")


class InvalidRequest(RequestError):
    """The body cannot be understood; `param` says where."""


class Unauthorized(RequestError):
    """No key, or not one of ours."""

    shape = Shape(401, "invalid_request_error", "invalid_api_key")


class Forbidden(RequestError):
    """The key is ours and may not do this."""

    shape = Shape(403, "invalid_request_error", "permission_denied")


class UnknownModel(RequestError):
    """No route takes this model."""

    shape = Shape(404, "invalid_request_error", "model_not_found")


class NotFound(RequestError):
    """No such endpoint here, or a path that may not be passed on."""

    shape = Shape(404, "invalid_request_error", "not_found")


class RequestTimeout(RequestError):
    """The body did not come in time."""

    shape = Shape(408, "invalid_request_error", "request_timeout")


class RequestTooLarge(RequestError):
    """The body is over the configured size."""

    shape = Shape(413, "invalid_request_error", "request_too_large")


class RateLimited(RequestError):
    """A limit of the key is used up; `retry_after_s` says for how long."""

    shape = Shape(429, "rate_limit_error", "rate_limit_exceeded")


class QuotaExceeded(RateLimited):
    """A budget of the key is used up; official clients do not try again by themselves."""

    shape = Shape(429, "insufficient_quota", "insufficient_quota")


class UpstreamError(GuardError):
    """An attempt broke off. `kind` is what the exchange hears of it. `began`: the upstream may have begun to work on it."""

    kind: ClassVar[Literal["unavailable", "timeout", "protocol", "rejected"]] = "unavailable"
    shape = Shape(502, "server_error", "upstream_error")

    def __init__(self, message: str, *, began: bool = True, retry_after_s: float | None = None):
        super().__init__(message, retry_after_s=retry_after_s)
        self.began = began

    @property
    def failure(self) -> Failure:
        """The same as a value, for the pure core."""
        return Failure(kind=self.kind, message=self.message, status=self.status)


class Unavailable(UpstreamError):
    """No connection, or it was lost."""

    shape = Shape(502, "server_error", "upstream_unavailable", retryable=True)


class CircuitOpen(UpstreamError):
    """The upstream failed so often that it is not asked for a while."""

    shape = Shape(503, "server_error", "upstream_circuit_open", retryable=True)

    def __init__(self, message: str = "the upstream keeps failing and is not asked for a while", *, retry_after_s: float = 1.0):
        super().__init__(message, began=False, retry_after_s=retry_after_s)


class Timeout(UpstreamError):
    """Connecting, the first byte or the whole answer took too long."""

    kind = "timeout"
    shape = Shape(504, "server_error", "upstream_timeout", retryable=True)


class ProtocolError(UpstreamError):
    """What came back is not HTTP, not decodable, or ended early."""

    kind = "protocol"
    shape = Shape(502, "server_error", "upstream_protocol_error", retryable=True)


class Rejected(UpstreamError):
    """The upstream answered with an error status. Its status, body and end-to-end headers go to the client as they are."""

    kind = "rejected"
    shape = Shape(502, "server_error", "upstream_rejected")

    def __init__(self, status: int, body: bytes, headers: Sequence[tuple[str, str]] = ()):
        super().__init__(f"the upstream answered {status}")
        self.upstream_status = status
        self.body = body
        self.upstream_headers = list(headers)

    @property
    def status(self) -> int:
        return self.upstream_status


class DetectorError(GuardError):
    """A detector failed to judge, which is not the same as judging badly."""

    shape = Shape(500, "server_error", "detector_error")


class DetectorTimeout(DetectorError):
    """Not judged within the deadline."""

    shape = Shape(500, "server_error", "detector_timeout")


class DetectorFailed(DetectorError):
    """The detector raised."""

    shape = Shape(500, "server_error", "detector_failed")


class GuardUnavailable(GuardError):
    """A policy with `failure_mode: fail_closed` could not be judged."""

    shape = Shape(503, "server_error", "guard_unavailable")


class LimitsUnavailable(GuardError):
    """What a key has used cannot be looked up, and its limits are `fail_closed`."""

    shape = Shape(503, "server_error", "limits_unavailable")

    def __init__(self) -> None:
        super().__init__("the limits of this key cannot be looked up", retry_after_s=1.0)


class Overloaded(GuardError):
    """Admission control turned the request away; `retry_after_s` defaults to one second."""

    shape = Shape(503, "server_error", "overloaded")

    def __init__(self, message: str = "the proxy is at its limit", *, retry_after_s: float = 1.0):
        super().__init__(message, retry_after_s=retry_after_s)


def error_document(message: str, *, type: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    """The OpenAI error object. Also for results that are no exceptions, such as a prompt blocked with `content_filter`."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def _document(error: GuardError) -> dict[str, Any]:
    return error_document(error.message, type=error.shape.type, code=error.code, param=error.param)


def render(error: GuardError) -> bytes:
    """The body of the answer: OpenAI error JSON, or of Rejected the upstream's own bytes. Status is `error.status`."""
    if isinstance(error, Rejected):
        return error.body
    return orjson.dumps(_document(error))


def render_headers(error: GuardError) -> Headers:
    """Headers of the answer: Content-Type, Retry-After in whole seconds (at least 1); its own; of Rejected those it
    was given."""
    if isinstance(error, Rejected):
        return list(error.upstream_headers)
    headers = [("Content-Type", "application/json"), *error.headers]
    if error.retry_after_s is not None:
        headers.append(("Retry-After", str(max(1, math.ceil(error.retry_after_s)))))
    if isinstance(error, QuotaExceeded):
        headers.append(("x-should-retry", "false"))
    return headers


def render_event(error: GuardError) -> bytes:
    """One SSE event for a stream whose head is out already; official clients raise on it. Nothing may follow it."""
    return b"data: " + orjson.dumps(_document(error)) + b"\n\n"
