"""What litellm returns and raises, in OpenAI's form: chunks, errors, headers of the provider.

One rule: litellm's objects are only read here, never made, so this module needs no litellm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from proxy.errors import ProtocolError, Timeout, UpstreamError
from proxy.upstream.base import Headers

Doc = dict[str, Any]
#: Headers of the provider that an application acts on; litellm puts `llm_provider-` before them.
_KEPT: Final = re.compile(r"retry-after(-ms)?|(x-)?request-id|x-amzn-requestid|(x-|anthropic-)ratelimit-[a-z-]+")
_PREFIX: Final = "llm_provider-"
_NAMED: Final = re.compile(r"^(?:litellm\.\w+: )+(?:\w+(?:Exception|Error) - )?")


def chunk_document(chunk: Any) -> Mapping[str, Any]:
    """A chunk in OpenAI's form: what is null is left out, except the `finish_reason` that OpenAI always sends. The one that
    tells the usage has no choices."""
    document: dict[str, Any] = chunk.model_dump(exclude_none=True)
    choices = document.get("choices", [])
    for choice in choices:
        choice.setdefault("finish_reason", None)
    if "usage" in document and all(not choice.get("delta") and choice["finish_reason"] is None for choice in choices):
        document["choices"] = []
    return document


def text_chunk_document(chunk: Any, *, with_usage: bool) -> Iterator[Doc]:
    """A chunk of a text completion as OpenAI sends them: text alone, and the usage in a chunk of its own where it is asked for.
    litellm puts a usage of zeros into every chunk, and chunks between without a text."""
    document: Doc = chunk.model_dump(exclude_none=True)
    usage = document.pop("usage", None) or {}
    said = [
        {"index": one.get("index", 0), "text": one.get("text", ""), "logprobs": None, "finish_reason": one.get("finish_reason")}
        for one in document.get("choices", ())
    ]
    if any(choice["text"] or choice["finish_reason"] for choice in said):
        yield {**document, "choices": said}
    if with_usage and usage.get("total_tokens"):
        yield {**document, "choices": [], "usage": usage}


def broken(error: Exception) -> UpstreamError:
    """What a stream that raised is to the exchange."""
    if isinstance(error, UpstreamError):
        return error
    if type(error).__name__ == "Timeout":
        return Timeout("the upstream's answer took too long")
    return ProtocolError("the upstream's answer broke off")


def message_of(error: Exception) -> str:
    """What the provider said of its refusal, without litellm's words around it."""
    text = _NAMED.sub("", str(getattr(error, "message", "")))
    try:
        # It may stand in quotes, with advice behind it.
        said, _ = json.JSONDecoder().raw_decode(text[max(text.find("{"), 0) :])
    except ValueError:
        said = None
    inner = said.get("error", said) if isinstance(said, dict) else None
    found = inner.get("message") if isinstance(inner, dict) else None
    return found if isinstance(found, str) and found else text or type(error).__name__


def headers_of_error(error: Exception) -> Headers:
    """The provider's headers that came with a refusal; litellm leaves them at one of the errors behind its own."""
    behind: BaseException | None = error
    while behind is not None:
        for found in (
            getattr(behind, "litellm_response_headers", None),
            getattr(getattr(behind, "response", None), "headers", None),
        ):
            if found is not None and (kept := _kept(found.items())):
                return kept
        behind = behind.__cause__ or behind.__context__
    return []


def settled(error: Exception) -> Exception:
    """The error of a stream that failed before its first chunk is wrapped; this is the one inside."""
    inner = getattr(error, "original_exception", None)
    return inner if isinstance(inner, Exception) and type(error).__name__ == "MidStreamFallbackError" else error


def headers_of_answer(answer: Any) -> Headers:
    """The provider's headers that came with an answer or a stream."""
    hidden = getattr(answer, "_hidden_params", None) or {}
    found = hidden.get("additional_headers") or {}
    return _kept((name.removeprefix(_PREFIX), value) for name, value in found.items() if name.startswith(_PREFIX))


def _kept(headers: Iterable[tuple[str, Any]]) -> Headers:
    return [(name, str(value)) for name, value in headers if _KEPT.fullmatch(name.lower())]


def snake(name: str) -> str:
    """`RateLimitError` -> `rate_limit_error`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
