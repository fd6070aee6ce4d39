"""Any provider that the litellm library speaks to, behind the same seam: OpenAI chat bodies in, OpenAI JSON or SSE bytes out.

One rule: the operator alone decides where the key goes. Only the models of the table are served, only the parameters of
OpenAI's chat API are taken from a request (litellm would also take `api_base`), and no header of the client is passed on.

A parameter that the provider does not have is refused by litellm, or dropped where the operator set `drop_params`, or where
litellm drops it on its own; what was dropped is told in a header. Other APIs are not served: of legacy completions it drops
`echo` and `suffix` without a word, for streamed messages and for responses it needs the server that it comes with.

litellm costs 2.6 s and 169 MB to import: it is imported by the first request, or by `load`, and nowhere else.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Collection
from functools import lru_cache
from typing import Any, Final

import orjson

from proxy.config_model import LiteLLMSettings
from proxy.errors import Timeout, Unavailable, error_document
from proxy.upstream.base import Headers, UpstreamRequest, Whole
from proxy.upstream.litellm_wire import broken, chunk_document, headers_of_answer, headers_of_error, message_of, settled, snake
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
#: What a reply says of parameters that its provider was not told.
DROPPED: Final = "x-chunkguard-dropped-parameters"
#: Not options of a provider: the request itself, and what this module and litellm see to.
_HANDLED = frozenset({"messages", "model", "stream", "stream_options"})
#: Without tools they say nothing.
_OF_TOOLS = frozenset({"tool_choice", "parallel_tool_calls"})
#: litellm's notes to itself among a provider's options.
_NOTES = frozenset({"json_mode", "stream", "max_retries", "extra_body"})


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
    """One answer; see `UpstreamReply`. `body`: complete bytes, or `stream`: litellm's iterator of chunks."""

    def __init__(
        self, status: int, body: bytes = b"", stream: Any = None, total_at: float = 0.0, headers: Headers | None = None
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
                yield b"data: " + orjson.dumps(chunk_document(chunk)) + b"\n\n"
        except TimeoutError:
            raise Timeout("the upstream's answer took too long") from None
        except Exception as error:
            raise broken(error) from error
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
        doc = await _document(request)
        arguments = self._arguments(doc)
        if isinstance(arguments, LiteLLMReply):
            return arguments
        limits = self._settings.timeouts
        total_s = limits.total_s if request.timeout_s is None else min(request.timeout_s, limits.total_s)
        assert doc is not None
        return await self._call(arguments, total_s, [name for name in sorted(_IGNORED) if doc.get(name) is not None])

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
        # litellm would run tools of MCP servers by itself, and looks for the package `mcp` whenever there are tools.
        arguments.update(
            self._settings.options, model=self._settings.models[model], num_retries=0, max_retries=0, _skip_mcp_handler=True
        )
        if self._api_key is not None:
            arguments["api_key"] = self._api_key
        if self._settings.url is not None:
            arguments["api_base"] = self._settings.url
        return arguments

    async def _call(self, arguments: dict[str, Any], total_s: float, ignored: list[str]) -> LiteLLMReply:
        litellm = await asyncio.to_thread(load)
        dropped = ignored + _dropped(arguments, drop=bool(self._settings.options.get("drop_params")))
        told = [(DROPPED, ", ".join(dropped))] if dropped else []
        total_at = asyncio.get_running_loop().time() + total_s
        first_s = min(total_s, self._settings.timeouts.connect_s + self._settings.timeouts.first_token_s)
        streamed = arguments.get("stream") is True
        try:
            async with asyncio.timeout(first_s if streamed else total_s):
                answer = await litellm.acompletion(**arguments, timeout=total_s)
                # Some providers are only asked when the first chunk is: their refusal is a status, not a broken stream.
                first = await anext(aiter(answer), None) if streamed else None
        except TimeoutError:
            raise Timeout("the upstream sent no answer in time") from None
        except Exception as error:
            return self._failed(error)
        headers = headers_of_answer(answer) + told
        if streamed:
            return LiteLLMReply(200, stream=_again(first, answer), total_at=total_at, headers=headers)
        return LiteLLMReply(200, orjson.dumps(answer.model_dump(exclude_none=True)), headers=headers)

    def _failed(self, error: Exception) -> LiteLLMReply:
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
        return _refusal(status, message, kind=kind, code=snake(name), headers=headers)

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


def _dropped(arguments: dict[str, Any], *, drop: bool) -> list[str]:
    """The parameters of a request that say nothing to its provider: its options are the same without them."""
    options = {name: value for name, value in arguments.items() if name in PARAMETERS - _HANDLED}
    if not options.get("tools") and not options.get("functions"):
        options = {name: value for name, value in options.items() if name not in _OF_TOOLS}
    return list(_without_meaning(arguments["model"], orjson.dumps(options), drop))


@lru_cache(maxsize=256)
def _without_meaning(model: str, options: bytes, drop: bool) -> tuple[str, ...]:
    """As `_dropped`. Working out options takes up to 0.8 ms, and applications ask the same way again and again."""
    asked = orjson.loads(options)
    try:
        whole = _provider_options(model, asked, drop)
        return tuple(
            name
            for name in asked
            if _provider_options(model, {other: asked[other] for other in asked if other != name}, drop) == whole
        )
    except Exception:  # litellm says what is wrong when it is asked in earnest
        return ()


def _provider_options(model: str, asked: dict[str, Any], drop: bool) -> bytes:
    from litellm import get_llm_provider
    from litellm.utils import get_optional_params

    name, provider, _, _ = get_llm_provider(model)
    # It changes what it is given.
    given = orjson.loads(orjson.dumps(asked))
    found = get_optional_params(model=name, custom_llm_provider=provider, drop_params=drop, **given)
    return orjson.dumps(_plain(found, _NOTES), option=orjson.OPT_SORT_KEYS, default=str)


def _plain(options: dict[str, Any], notes: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in notes}


def _refusal(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
    headers: Headers | None = None,
) -> LiteLLMReply:
    body = orjson.dumps(error_document(message, type=kind, code=code, param=param))
    return LiteLLMReply(status, body, headers=headers)
