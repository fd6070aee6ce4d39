"""What an API of a `litellm` upstream is: its parameters, its call, its answers and its errors.

One rule: a parameter is named here or refused; litellm would take some for settings of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from core.values import frozen
from proxy.errors import InvalidRequest, error_document
from proxy.wire import messages_render

Doc = dict[str, Any]


@frozen
class Asked:
    """One request as litellm is asked. `plain`, `events`: its answer, whole or streamed, in the API of the request."""

    arguments: Doc
    plain: Callable[[Any], Doc]
    events: Callable[[AsyncIterator[Any]], AsyncIterator[bytes]] | None


@frozen
class Api:
    """One API. `call`: litellm's function. `prompt`: the field without which a request is none, and its types.

    `parameters`: what a request may set; `ignored`: asked of by clients, without meaning to other providers: dropped and told.
    `tied`: would need what only the provider of an earlier answer knows, or change what an answer is: refused.
    `ask(request, given, model)`: the call, of all that was sent and of what may be sent on.
    `options(parameters, model)`: what of the call is not made of the prompt."""

    name: str
    call: str
    prompt: tuple[str, tuple[type, ...]]
    parameters: frozenset[str]
    ignored: frozenset[str]
    tied: frozenset[str]
    ask: Callable[[Doc, Doc, str], Asked]
    options: Callable[[Doc, str], Doc]

    def check(self, doc: Doc) -> None:
        """Raises InvalidRequest for what cannot be served."""
        field, types = self.prompt
        if not isinstance(doc.get(field), types):
            raise InvalidRequest(f"the body is no request of this API: {field!r} is missing or of another type", param=field)
        stray = sorted(name for name in doc.keys() - self.parameters - self.ignored - self.tied)
        tied = sorted(name for name in self.tied if doc.get(name))
        for name in (*tied, *stray):
            raise InvalidRequest(f"the parameter {name!r} is not supported by this upstream", param=name)

    def given(self, doc: Doc) -> Doc:
        """The parameters of a request that may be sent."""
        return {name: value for name, value in doc.items() if name in self.parameters and value is not None}

    def error(self, status: int, message: str, kind: str, code: str | None, param: str | None) -> bytes:
        """The body of an error in the shape of this API."""
        if self.name == "messages":
            return orjson.dumps(messages_render.error_document(status, message, code, param))
        return orjson.dumps(error_document(message, type=kind, code=code, param=param))
