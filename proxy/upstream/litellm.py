"""Any provider that the litellm library speaks to, behind the same seam: bodies of five APIs in, their JSON or SSE bytes out.

One rule: the operator alone decides where the key goes. Only the models of the table are served, only the parameters of
`litellm_apis` are taken from a request (litellm would also take `api_base`), and no header of the client is passed on.

A parameter that the provider does not have is refused by litellm, or dropped where the operator set `drop_params`, or where
litellm drops it on its own; what was dropped is told in a header.

litellm costs 2.6 s and 169 MB to import: it is imported by the first request, or by `load`, and nowhere else.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson

from proxy.config_model import LiteLLMSettings
from proxy.errors import InvalidRequest, Timeout, Unavailable
from proxy.upstream.base import Headers, UpstreamRequest, Whole
from proxy.upstream.body import whole
from proxy.upstream.litellm_api import Api, Asked
from proxy.upstream.litellm_apis import APIS, CHAT, EMBEDDINGS, MESSAGES
from proxy.upstream.litellm_dropped import dropped
from proxy.upstream.litellm_wire import broken, headers_of_answer, headers_of_error, message_of, settled, snake
from proxy.wire import jsonbytes

#: What a reply says of parameters that its provider was not told.
DROPPED: Final = "x-chunkguard-dropped-parameters"
#: Parameters that every provider is told in one way or another.
_TOLD: Final = frozenset({"instructions", "model", "stream", "stream_options", "system"})


def load() -> Any:
    """The litellm module, quiet and without its network calls at import. Slow the first time: call it in a thread."""
    # Otherwise it downloads a price list at import, and headers of an API when it is used.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")
    # Otherwise it reads a .env of the working directory: keys come from where the operator put them.
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    return litellm


class LiteLLMReply(Whole):
    """One answer; see `UpstreamReply`. `body`: complete bytes, or `stream`: events as bytes, made of `source`."""

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        stream: AsyncIterator[bytes] | None = None,
        total_at: float = 0.0,
        headers: Headers | None = None,
        source: Any = None,
    ) -> None:
        self.status = status
        self.reason = "OK" if status == 200 else ""
        kind = "application/json" if stream is None else "text/event-stream; charset=utf-8"
        self.headers: Headers = [("Content-Type", kind)]
        if stream is None:
            self.headers.append(("Content-Length", str(len(body))))
        self.headers += headers or []
        self._body = body
        self._stream = stream
        self._source = source
        self._total_at = total_at
        self._closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        if self._stream is None:
            if self._body:
                yield self._body
            return
        stream = aiter(self._stream)
        try:
            while not self._closed:
                async with asyncio.timeout_at(self._total_at):
                    chunk = await anext(stream, None)
                if chunk is None:
                    return
                yield chunk
        except TimeoutError:
            raise Timeout("the upstream's answer took too long") from None
        except Exception as error:
            raise broken(error) from error
        finally:
            await self._close_stream()

    async def _close_stream(self) -> None:
        for stream in (self._stream, self._source):
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()

    def release(self) -> None:
        self._closed = True

    def abort(self) -> None:
        """Ends `chunks`; the provider's connection closes with that generator, which the driver cancels or closes."""
        self._closed = True


class LiteLLMUpstream:
    """The APIs of `litellm_apis` of other providers. Every other path is answered 404, `GET /v1/models` with the table."""

    def __init__(self, name: str, settings: LiteLLMSettings) -> None:
        self.name = name
        self._settings = settings
        self._api_key = settings.api_key.get_secret_value() if settings.api_key is not None else None

    async def open(self, request: UpstreamRequest) -> LiteLLMReply:
        path = request.path.partition("?")[0]
        if (request.method, path) == ("GET", "/v1/models"):
            return LiteLLMReply(200, self._models())
        api = APIS.get(path) if request.method == "POST" else None
        if api is None:
            shape = MESSAGES if path.startswith("/v1/messages/") else CHAT
            return _refusal(shape, 404, f"this upstream answers {', '.join(APIS)} only", code="not_found")
        doc = await _document(request)
        if doc is None:
            return _refusal(api, 400, "the body is no JSON object")
        model = self._settings.models.get(doc["model"]) if isinstance(doc.get("model"), str) else None
        if model is None:
            return _refusal(api, 404, "this model is not served here", param="model", code="model_not_found")
        litellm = await asyncio.to_thread(load)
        try:
            api.check(doc)
            asked = api.ask(doc, api.given(doc), model)
        except InvalidRequest as error:
            return _refusal(api, 400, error.message, param=error.param)
        except ImportError:
            return _refusal(api, 501, "the installed litellm cannot translate this API", code="not_supported")
        except Exception as error:  # whatever litellm's translators make of a strange body
            return _refusal(api, 400, f"the body cannot be translated for this upstream: {message_of(error)}")
        limits = self._settings.timeouts
        total_s = limits.total_s if request.timeout_s is None else min(request.timeout_s, limits.total_s)
        told = await self._told(api, doc, model)
        return await self._call(litellm, api, self._arguments(api, asked, model), asked, total_s, told)

    async def close(self) -> None:
        """litellm pools its connections itself, for the whole process."""

    async def _told(self, api: Api, doc: dict[str, Any], model: str) -> Headers:
        """The header that names what the provider is not told."""
        options = {name: value for name, value in api.given(doc).items() if name not in (api.prompt[0], *_TOLD)}
        drop = bool(self._settings.options.get("drop_params"))
        ignored = [name for name in sorted(api.ignored) if doc.get(name) is not None]
        # An embedding has no options that litellm drops without being asked to.
        lost = [] if api is EMBEDDINGS else await asyncio.to_thread(dropped, options, model, api.options, drop=drop)
        return [(DROPPED, ", ".join(ignored + lost))] if ignored or lost else []

    def _arguments(self, api: Api, asked: Asked, model: str) -> dict[str, Any]:
        """litellm's arguments for a request."""
        arguments = {name: value for name, value in asked.arguments.items() if value is not None}
        arguments.update(self._settings.options, model=model, num_retries=0, max_retries=0)
        if api.call == "acompletion":
            # litellm would run tools of MCP servers by itself, and looks for the package `mcp` whenever there are tools.
            arguments["_skip_mcp_handler"] = True
        if self._api_key is not None:
            arguments["api_key"] = self._api_key
        if self._settings.url is not None:
            arguments["api_base"] = self._settings.url
        return arguments

    async def _call(
        self, litellm: Any, api: Api, arguments: dict[str, Any], asked: Asked, total_s: float, told: Headers
    ) -> LiteLLMReply:
        total_at = asyncio.get_running_loop().time() + total_s
        first_s = min(total_s, self._settings.timeouts.connect_s + self._settings.timeouts.first_token_s)
        streamed = arguments.get("stream") is True and asked.events is not None
        try:
            async with asyncio.timeout(first_s if streamed else total_s):
                answer = await getattr(litellm, api.call)(**arguments, timeout=total_s)
                # Some providers are only asked when the first chunk is: their refusal is a status, not a broken stream.
                first = await anext(aiter(answer), None) if streamed else None
        except TimeoutError:
            raise Timeout("the upstream sent no answer in time") from None
        except Exception as error:
            return self._failed(api, error)
        headers = headers_of_answer(answer) + told
        if streamed and asked.events is not None:
            source = _again(first, answer)
            return LiteLLMReply(200, stream=asked.events(source), total_at=total_at, headers=headers, source=source)
        return LiteLLMReply(200, orjson.dumps(asked.plain(answer)), headers=headers)

    def _failed(self, api: Api, error: Exception) -> LiteLLMReply:
        """The provider's own refusal as a reply; raises UpstreamError where there was none."""
        headers = headers_of_error(error)
        error = settled(error)
        status = getattr(error, "status_code", None)
        name = type(error).__name__
        if name == "Timeout":
            raise Timeout("the upstream sent no answer in time") from error
        if name == "APIConnectionError" or not isinstance(status, int) or not 400 <= status < 600:
            raise Unavailable("the upstream cannot be reached") from error
        message = message_of(error)
        if self._api_key is not None:
            # Some providers quote the key that they refuse.
            message = message.replace(self._api_key, "***")
        kind = "invalid_request_error" if status < 500 else "server_error"
        return _refusal(api, status, message, kind=kind, code=snake(name), headers=headers)

    def _models(self) -> bytes:
        models = [{"id": model, "object": "model", "created": 0, "owned_by": self.name} for model in self._settings.models]
        return orjson.dumps({"object": "list", "data": models})


async def _document(request: UpstreamRequest) -> dict[str, Any] | None:
    try:
        doc = jsonbytes.load_text(await whole(request))
    except (InvalidRequest, ValueError):
        return None
    return doc if isinstance(doc, dict) else None


async def _again(first: Any, rest: Any) -> AsyncIterator[Any]:
    """A stream whose first chunk was taken already; None where it was empty."""
    try:
        if first is not None:
            yield first
            async for chunk in rest:
                yield chunk
    finally:
        close = getattr(rest, "aclose", None)
        if close is not None:
            await close()


def _refusal(
    api: Api,
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
    headers: Headers | None = None,
) -> LiteLLMReply:
    return LiteLLMReply(status, api.error(status, message, kind, code, param), headers=headers)
