"""The OpenAPI document of the proxy: its own endpoints, and the envelope of those that it guards.

One rule: shapes come from `openapi_models`, error codes and statuses from `errors`; the committed copy is compared by a test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from proxy import openapi_models as models
from proxy.errors import ConfigError, DetectorError, GuardError, GuardUnavailable, Rejected, UpstreamError

JSON, SSE, TEXT = "application/json", "text/event-stream", "text/plain"
_LISTEN: Final = [{"url": "http://127.0.0.1:8800", "description": "`listen`: what clients use"}]
_ADMIN: Final = [{"url": "http://127.0.0.1:8801", "description": "`admin`: loopback, a Unix socket, or with a key"}]
_NAMES: Final = "#/components/schemas/{model}"
#: Guarded endpoints: path, name, request, error.
_GUARDED: Final[tuple[tuple[str, str, type[BaseModel], type[BaseModel]], ...]] = (
    ("/v1/chat/completions", "chat_completions", models.ChatRequest, models.Error),
    ("/v1/completions", "completions", models.CompletionRequest, models.Error),
    ("/v1/responses", "responses", models.ResponsesRequest, models.Error),
    ("/v1/messages", "messages", models.MessagesRequest, models.MessagesError),
)
_SHOWN: Final[tuple[type[BaseModel], ...]] = (
    models.ChatRequest,
    models.CompletionRequest,
    models.ResponsesRequest,
    models.MessagesRequest,
    models.ExchangeOfPrompt,
    models.ExchangeOfMessages,
    models.CheckVerdict,
    models.Answer,
    models.Error,
    models.MessagesError,
    models.Readiness,
    models.Reloaded,
    models.Refused,
)
#: Errors that never leave as such: told at a reload, settled by `failure_mode`, or an upstream's own.
_INSIDE: Final = (ConfigError, DetectorError, Rejected)
#: Those of a request that asks an upstream.
_ASKING: Final = (UpstreamError, GuardUnavailable)


def openapi() -> dict[str, Any]:
    """The document. What an upstream answers is its own; only what the proxy adds to it is described."""
    _, components = models_json_schema([(model, "validation") for model in _SHOWN], ref_template=_NAMES)
    paths: dict[str, Any] = {
        path: {"post": _guarded(name, request, error), "servers": _LISTEN} for path, name, request, error in _GUARDED
    }
    paths["/v1/guard/check"] = {"post": _check(), "servers": _LISTEN}
    paths["/-/healthy"] = {"get": _healthy(), "servers": [*_LISTEN, *_ADMIN]}
    paths["/-/ready"] = {"get": _ready(), "servers": _ADMIN}
    paths["/-/reload"] = {"post": _reload(), "servers": _ADMIN}
    paths["/metrics"] = {"get": _metrics(), "servers": _ADMIN}
    bearer = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "chunkguard",
            "version": "1",
            "description": "The proxy's own endpoints, and the envelope of those that it guards. Client keys are taken from "
            "`Authorization: Bearer`, `x-api-key` or `api-key`. Every other path is passed through.",
        },
        "paths": paths,
        "components": {
            "schemas": components["$defs"],
            "headers": _own_headers(),
            "securitySchemes": {
                "client": bearer,
                "client_header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "admin": bearer,
            },
        },
    }


def openapi_text() -> str:
    """Its committed form: indented, keys sorted, one newline at the end."""
    return json.dumps(openapi(), indent=2, sort_keys=True) + "\n"


def _guarded(name: str, request: type[BaseModel], error: type[BaseModel]) -> dict[str, Any]:
    headers = {f"x-chunkguard-{one}": {"$ref": f"#/components/headers/{one}"} for one in _own_headers()}
    answer = {"description": "The answer that was chosen.", "headers": headers}
    return {
        "operationId": name,
        "summary": "Ask a model; the answer is judged, and mended where a policy says so.",
        "security": _CLIENT,
        "requestBody": _body(request),
        "responses": {
            "200": {**answer, "content": {JSON: {"schema": _ref(models.Answer)}, SSE: {"schema": {"type": "string"}}}},
            **_errors(error),
            "default": {"description": "The upstream's own answer, status and body unchanged."},
        },
    }


def _check() -> dict[str, Any]:
    exchange = {"anyOf": [_ref(models.ExchangeOfPrompt), _ref(models.ExchangeOfMessages)]}
    return {
        "operationId": "guard_check",
        "summary": "Judge an exchange that is over. No upstream is asked.",
        "security": _CLIENT,
        "requestBody": {"required": True, "content": {JSON: {"schema": exchange}}},
        "responses": {"200": _json("The verdict.", models.CheckVerdict), **_errors(models.Error, upstream=False)},
    }


def _healthy() -> dict[str, Any]:
    text = {TEXT: {"schema": {"type": "string"}}}
    return {
        "operationId": "healthy",
        "summary": "Whether the process answers. Needs no key.",
        "responses": {
            "200": {"description": "It does.", "content": text},
            "503": {"description": "On `listen`: it is about to stop.", "content": text},
        },
    }


def _ready() -> dict[str, Any]:
    return _of_admin(
        "ready",
        "Whether requests are served as configured, and what of it is enforceable.",
        {"200": _json("They are.", models.Readiness), "503": _json("Not yet, or not any more.", models.Readiness)},
    )


def _reload() -> dict[str, Any]:
    return _of_admin(
        "reload",
        "Read the configuration again.",
        {"200": _json("It is served.", models.Reloaded), "422": _json("It cannot be.", models.Refused)},
    )


def _metrics() -> dict[str, Any]:
    text = {"description": "Prometheus' text format.", "content": {TEXT: {"schema": {"type": "string"}}}}
    return _of_admin("metrics", "Everything that is counted.", {"200": text})


def _of_admin(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    refused = _json("The admin listener needs its key.", models.Error)
    return {
        "operationId": name,
        "summary": summary,
        "security": [{}, {"admin": []}],
        "responses": {**responses, "401": refused},
    }


_CLIENT: Final[list[dict[str, list[str]]]] = [{}, {"client": []}, {"client_header": []}]


def _errors(error: type[BaseModel], *, upstream: bool = True) -> dict[str, Any]:
    """A response for every status that the proxy itself answers with, naming the codes."""
    codes: dict[int, list[str]] = {}
    for kind in _kinds(GuardError):
        shape = kind.shape
        if not issubclass(kind, _INSIDE) and (upstream or not issubclass(kind, _ASKING)):
            codes.setdefault(shape.status, []).append(shape.code)
    return {
        str(status): _json(", ".join(f"`{code}`" for code in dict.fromkeys(found)), error)
        for status, found in sorted(codes.items())
    }


def _kinds(kind: type[GuardError]) -> Iterator[type[GuardError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


def _own_headers() -> dict[str, Any]:
    text: dict[str, Any] = {"schema": {"type": "string"}}
    words = {"schema": {"enum": ["clear", "suspect", "misrouted", "pending", "unchecked", "unjudged"]}}
    return {
        "decision-id": {"description": "Id of the decision, the same in the log.", **text},
        "verdict": {"description": "Of the answer that was sent; absent where all policies observe.", **words},
        "modes": {"description": "Modes found in it, by commas; absent where there are none.", **text},
        "attempts": {"description": "Upstream calls that were made.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
        "policy-revision": {"description": "Revision of the configuration that decided.", **text},
    }


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return {"required": True, "content": {JSON: {"schema": _ref(model)}}}


def _json(description: str, model: type[BaseModel]) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": _ref(model)}}}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _NAMES.format(model=model.__name__)}
