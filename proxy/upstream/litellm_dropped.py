"""Which parameters of a request say nothing to its provider: what would be sent is the same without them.

One rule: nothing is asked of anybody to find out. litellm makes the body of the request and gives it up before it is sent, to
an address where nobody listens; where it would have to fetch a token first, its mapping of options is compared instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import orjson

Doc = dict[str, Any]

#: Providers whose requests litellm makes of nothing but what it is given.
_PLAIN: Final = frozenset({
    "anthropic", "azure", "bedrock", "cerebras", "cohere", "cohere_chat", "deepseek", "fireworks_ai", "gemini", "groq",
    "hosted_vllm", "huggingface", "mistral", "nvidia_nim", "openai", "openrouter", "perplexity",
    "sambanova", "together_ai", "xai",
})  # fmt: skip
#: The port where nobody listens.
_NOWHERE: Final = "http://127.0.0.1:9"
_SIGNED: Final = {
    "aws_access_key_id": "none",
    "aws_secret_access_key": "none",
    "aws_region_name": "us-east-1",
    "aws_bedrock_runtime_endpoint": _NOWHERE,
}
#: Without tools they say nothing.
_OF_TOOLS: Final = frozenset({"tool_choice", "parallel_tool_calls"})
#: Of litellm's arguments: not options of a provider.
_HANDLED: Final = frozenset({"messages", "model", "stream", "stream_options"})
#: litellm's notes to itself among a provider's options.
_NOTES: Final = frozenset({"json_mode", "stream", "max_retries", "extra_body"})


def dropped(options: Doc, model: str, arguments: Callable[[Doc, str], Doc], *, drop: bool) -> list[str]:
    """The names among `options`, the client's parameters but for the prompt, that `model` is not told. `arguments`: what
    litellm is asked with for some options and a model; it must depend on nothing else. Slow the first time, then kept."""
    if not options.get("tools") and not options.get("functions"):
        options = {name: value for name, value in options.items() if name not in _OF_TOOLS}
    return list(_dropped(arguments, model, orjson.dumps(options), drop))


@lru_cache(maxsize=256)
def _dropped(arguments: Callable[[Doc, str], Doc], model: str, options: bytes, drop: bool) -> tuple[str, ...]:
    """As `dropped`. Making one body takes some milliseconds, and applications ask the same way again and again."""
    asked = orjson.loads(options)
    for view in (_sent, _mapped):
        try:
            whole = view(model, arguments(asked, model), drop)
            return tuple(
                name
                for name in asked
                if view(model, arguments({own: asked[own] for own in asked if own != name}, model), drop) == whole
            )
        except Exception:  # litellm says what is wrong when it is asked in earnest
            continue
    return ()


def _sent(model: str, arguments: Doc, drop: bool) -> bytes:
    """The body that the provider would be sent. Raises where it cannot be known in advance."""
    from litellm import get_llm_provider
    from litellm.types.utils import CallTypes
    from litellm.utils import return_raw_request

    name, provider, _, _ = get_llm_provider(model)
    if provider == "vertex_ai" and "gemini" in name:
        model, provider = f"gemini/{name}", "gemini"  # the same bodies, but for another door
    if provider not in _PLAIN:
        raise LookupError(provider)
    asked: Doc = {**_copy(arguments), "model": model, "messages": [{"role": "user", "content": "hi"}], "api_base": _NOWHERE}
    asked |= {"_skip_mcp_handler": True, "drop_params": drop, "max_retries": 0, "num_retries": 0, "timeout": 1}
    if provider == "bedrock":
        asked |= _SIGNED
    raw = return_raw_request(CallTypes.completion, asked)
    if raw.get("raw_request_body") is None:
        raise LookupError(raw.get("error"))
    return _sorted(raw["raw_request_body"])


def _mapped(model: str, arguments: Doc, drop: bool) -> bytes:
    """The provider's options, as litellm maps them before it makes a body."""
    from litellm import get_llm_provider
    from litellm.utils import get_optional_params

    name, provider, _, _ = get_llm_provider(model)
    given = {own: value for own, value in _copy(arguments).items() if own not in _HANDLED}
    found = get_optional_params(model=name, custom_llm_provider=provider, drop_params=drop, **given)
    return _sorted({own: value for own, value in found.items() if own not in _NOTES})


def _copy(arguments: Mapping[str, Any]) -> Doc:
    """litellm changes what it is given."""
    found: Doc = orjson.loads(orjson.dumps(arguments))
    return found


def _sorted(doc: Any) -> bytes:
    return orjson.dumps(doc, option=orjson.OPT_SORT_KEYS, default=str)
