"""Any provider that the litellm library speaks to, behind the same seam: OpenAI chat bodies in, OpenAI JSON or SSE bytes out.

One rule: the operator alone decides where the key goes. Only the models of the table are served, only the parameters of
OpenAI's chat API are taken from a request (litellm would also take `api_base`), and no header of the client is passed on.

litellm costs 2.6 s and 169 MB to import: it is imported by the first request, or by `load`, and nowhere else.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson

from proxy.config_model import LiteLLMSettings
from proxy.errors import ProtocolError, Timeout, Unavailable, UpstreamError, error_document
from proxy.upstream.base import Headers, UpstreamRequest, Whole
from proxy.wire import jsonbytes

_CHAT = "/v1/chat/completions"
#: Parameters of the chat API that a request may set. litellm's own (`api_base`, `api_key`, `custom_llm_provider`,
#: `extra_headers`...) could send the operator's key elsewhere, so what is not named here is refused.
PARAMETERS = frozenset({
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens",
    "messages", "modalities", "model", "n", "parallel_tool_calls", "prediction", "presence_penalty", "reasoning_effort",
    "response_format", "safety_identifier", "seed", "service_tier", "stop", "stream", "stream_options", "temperature",
    "thinking", "tool_choice", "tools", "top_k", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
})  # fmt: skip
#: Asked of by OpenAI clients, without meaning to other providers: dropped rather than refused.
_IGNORED = frozenset({"store", "metadata", "prompt_cache_key", "prompt_cache_retention"})


def load() -> Any:
    """The litellm module, quiet and without its network calls at import. Slow the first time: call it in a thread."""
    # Otherwise the import downloads a price list.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    return litellm


class LiteLLMReply(Whole):
    """One answer; see `UpstreamReply`. `body`: complete bytes, or `stream`: litellm's iterator of chunks."""

    def __init__(self, status: int, body: bytes = b"", stream: Any = None, total_at: float = 0.0) -> None:
        self.status = status
        self.reason = "OK" if status == 200 else ""
        kind = "application/json" if stream is None else "text/event-stream; charset=utf-8"
        self.headers: Headers = [("Content-Type", kind)]
        if stream is None:
            self.headers.append(("Content-Length", str(len(body))))
        self._body = body
        self._stream = stream
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
                    yield b"data: [DONE]\n\n"
                    return
                yield b"data: " + orjson.dumps(_chunk_document(chunk)) + b"\n\n"
        except TimeoutError:
            raise Timeout("the upstream's answer took too long") from None
        except Exception as error:
            raise _broken(error) from error
        finally:
            await self._close_stream()

    async def _close_stream(self) -> None:
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()

    def release(self) -> None:
        self._closed = True

    def abort(self) -> None:
        """Ends `chunks`; the provider's connection closes with that generator, which the driver cancels or closes."""
        self._closed = True


class LiteLLMUpstream:
    """Chat completions of other providers. Every other path is answered 404, `GET /v1/models` with the table."""

    def __init__(self, name: str, settings: LiteLLMSettings) -> None:
        self.name = name
        self._settings = settings
        self._api_key = settings.api_key.get_secret_value() if settings.api_key is not None else None

    async def open(self, request: UpstreamRequest) -> LiteLLMReply:
        path = request.path.partition("?")[0]
        if (request.method, path) == ("GET", "/v1/models"):
            return LiteLLMReply(200, self._models())
        if (request.method, path) != ("POST", _CHAT):
            return _refusal(404, "this upstream answers chat completions only", code="not_found")
        arguments = self._arguments(await _document(request))
        if isinstance(arguments, LiteLLMReply):
            return arguments
        limits = self._settings.timeouts
        total_s = limits.total_s if request.timeout_s is None else min(request.timeout_s, limits.total_s)
        return await self._call(arguments, total_s)

    async def close(self) -> None:
        """litellm pools its connections itself, for the whole process."""

    def _arguments(self, doc: dict[str, Any] | None) -> dict[str, Any] | LiteLLMReply:
        """litellm's arguments for a request, or the answer to one that cannot be served."""
        if doc is None or not isinstance(doc.get("messages"), list):
            return _refusal(400, "the body is no chat completion request")
        model = doc.get("model")
        if not isinstance(model, str) or model not in self._settings.models:
            return _refusal(404, "this model is not served here", param="model", code="model_not_found")
        stray = sorted(doc.keys() - PARAMETERS - _IGNORED)
        if stray:
            return _refusal(400, f"the parameter {stray[0]!r} is not supported by this upstream", param=stray[0])
        arguments = {key: value for key, value in doc.items() if key in PARAMETERS and value is not None}
        arguments.update(self._settings.options, model=self._settings.models[model], num_retries=0)
        if self._api_key is not None:
            arguments["api_key"] = self._api_key
        if self._settings.url is not None:
            arguments["api_base"] = self._settings.url
        return arguments

    async def _call(self, arguments: dict[str, Any], total_s: float) -> LiteLLMReply:
        litellm = await asyncio.to_thread(load)
        total_at = asyncio.get_running_loop().time() + total_s
        first_s = min(total_s, self._settings.timeouts.connect_s + self._settings.timeouts.first_token_s)
        streamed = arguments.get("stream") is True
        try:
            async with asyncio.timeout(first_s if streamed else total_s):
                answer = await litellm.acompletion(**arguments, timeout=total_s)
        except TimeoutError:
            raise Timeout("the upstream sent no answer in time") from None
        except Exception as error:
            return self._failed(error)
        if streamed:
            return LiteLLMReply(200, stream=answer, total_at=total_at)
        return LiteLLMReply(200, orjson.dumps(answer.model_dump(exclude_none=True)))

    def _failed(self, error: Exception) -> LiteLLMReply:
        """The provider's own refusal as a reply; raises UpstreamError where there was none."""
        status = getattr(error, "status_code", None)
        name = type(error).__name__
        if name == "Timeout":
            raise Timeout("the upstream sent no answer in time") from error
        if name == "APIConnectionError" or not isinstance(status, int) or not 400 <= status < 600:
            raise Unavailable("the upstream cannot be reached") from error
        message = str(getattr(error, "message", "")) or name
        if self._api_key is not None:
            # Some providers quote the key that they refuse.
            message = message.replace(self._api_key, "***")
        kind = "invalid_request_error" if status < 500 else "server_error"
        return _refusal(status, message, kind=kind, code=_snake(name))

    def _models(self) -> bytes:
        models = [{"id": model, "object": "model", "created": 0, "owned_by": self.name} for model in self._settings.models]
        return orjson.dumps({"object": "list", "data": models})


async def _document(request: UpstreamRequest) -> dict[str, Any] | None:
    body = request.body
    if body is not None and not isinstance(body, bytes):
        body = b"".join([chunk async for chunk in body])
    try:
        doc = jsonbytes.load_text(body or b"")
    except ValueError:
        return None
    return doc if isinstance(doc, dict) else None


def _chunk_document(chunk: Any) -> Mapping[str, Any]:
    """A chunk in OpenAI's form: what is null is left out, except the `finish_reason` that OpenAI always sends."""
    document: dict[str, Any] = chunk.model_dump(exclude_none=True)
    for choice in document.get("choices", ()):
        choice.setdefault("finish_reason", None)
    return document


def _broken(error: Exception) -> UpstreamError:
    if isinstance(error, UpstreamError):
        return error
    if type(error).__name__ == "Timeout":
        return Timeout("the upstream's answer took too long")
    return ProtocolError("the upstream's answer broke off")


def _refusal(
    status: int, message: str, *, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> LiteLLMReply:
    return LiteLLMReply(status, orjson.dumps(error_document(message, type=kind, code=code, param=param)))


def _snake(name: str) -> str:
    """`RateLimitError` -> `rate_limit_error`."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")
