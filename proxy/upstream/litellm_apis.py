"""The APIs of a `litellm` upstream: which parameters each takes, how litellm is asked, and how its answer is said in that API.

One rule: whatever the API, one chat completion is asked (text completions and embeddings have calls of their own), so options,
errors, time-outs and what was dropped are seen to in one place. What no other provider could follow is refused by its name.

litellm's own calls for messages and responses need the server that it comes with; its translators of requests do not.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import orjson

from proxy.errors import InvalidRequest
from proxy.upstream.litellm_api import Api, Asked, Doc
from proxy.upstream.litellm_responses import streamed, whole
from proxy.upstream.litellm_wire import chunk_document, text_chunk_document

DONE: Final = b"data: [DONE]\n\n"


# ---- chat completions


async def _chat_events(chunks: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield b"data: " + orjson.dumps(chunk_document(chunk)) + b"\n\n"
    yield DONE


def _plain(answer: Any) -> Doc:
    found: Doc = answer.model_dump(exclude_none=True)
    return found


def _as_they_are(given: Doc, model: str) -> Doc:
    return given


def _chat(doc: Doc, given: Doc, model: str) -> Asked:
    return Asked(given, _plain, _chat_events)


CHAT: Final = Api(
    name="chat_completions",
    call="acompletion",
    prompt=("messages", (list,)),
    # litellm's own (`api_base`, `api_key`, `custom_llm_provider`, `extra_headers`...) could send the operator's key elsewhere,
    # so what is not named here is refused.
    parameters=frozenset({
        "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
        "max_tokens", "messages", "modalities", "model", "n", "parallel_tool_calls", "prediction", "presence_penalty",
        "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "stream", "stream_options",
        "temperature", "thinking", "tool_choice", "tools", "top_k", "top_logprobs", "top_p", "user", "verbosity",
        "web_search_options",
    }),
    ignored=frozenset({"store", "metadata", "prompt_cache_key", "prompt_cache_retention"}),
    tied=frozenset(),
    ask=_chat,
    options=_as_they_are,
)  # fmt: skip

# ---- legacy completions


def _text(doc: Doc, given: Doc, model: str) -> Asked:
    prompt = doc["prompt"]
    if isinstance(prompt, list):
        if len(prompt) != 1 or not isinstance(prompt[0], str):
            raise InvalidRequest("this upstream takes one prompt, as text", param="prompt")
        (prompt,) = prompt
    with_usage = (doc.get("stream_options") or {}).get("include_usage") is True

    async def events(chunks: AsyncIterator[Any]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            for said in text_chunk_document(chunk, with_usage=with_usage):
                yield b"data: " + orjson.dumps(said) + b"\n\n"
        yield DONE

    return Asked({**given, "prompt": prompt}, _text_plain, events)


def _text_plain(answer: Any) -> Doc:
    found = _plain(answer)
    for choice in found["choices"]:
        choice.setdefault("text", "")
        choice.setdefault("logprobs", None)
    return found


COMPLETIONS: Final = Api(
    name="completions",
    call="atext_completion",
    prompt=("prompt", (str, list)),
    parameters=frozenset({
        "frequency_penalty", "logit_bias", "max_tokens", "model", "n", "presence_penalty", "prompt", "seed", "stop", "stream",
        "stream_options", "temperature", "top_p", "user",
    }),
    ignored=frozenset(),
    # litellm drops them without a word for providers that only chat.
    tied=frozenset({"best_of", "echo", "logprobs", "suffix"}),
    ask=_text,
    options=_as_they_are,
)  # fmt: skip

# ---- embeddings


def _embeddings(doc: Doc, given: Doc, model: str) -> Asked:
    # How numbers are written is no matter of the provider's, and many know no other way than JSON.
    packed = doc.get("encoding_format") == "base64"

    def plain(answer: Any) -> Doc:
        found = _plain(answer)
        for item in found["data"]:
            item.setdefault("object", "embedding")
            if packed and isinstance(item["embedding"], list):
                vector = item["embedding"]
                item["embedding"] = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        return found

    return Asked({name: value for name, value in given.items() if name != "encoding_format"}, plain, None)


EMBEDDINGS: Final = Api(
    name="embeddings",
    call="aembedding",
    prompt=("input", (str, list)),
    parameters=frozenset({"dimensions", "encoding_format", "input", "model", "user"}),
    ignored=frozenset(),
    tied=frozenset(),
    ask=_embeddings,
    options=_as_they_are,
)

# ---- OpenAI responses

#: Tools that a client runs, or that litellm knows of other providers as well.
_KNOWN_TOOLS: Final = frozenset({"function", "custom", "web_search", "web_search_preview"})


def _responses(doc: Doc, given: Doc, model: str) -> Asked:
    for tool in doc.get("tools") or ():
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind not in _KNOWN_TOOLS:
            raise InvalidRequest(f"tools of type {kind!r} are not supported by this upstream", param="tools")
    arguments = _responses_options(given, model, doc["input"])
    if doc.get("stream"):
        # The last event tells the usage.
        arguments |= {"stream": True, "stream_options": {"include_usage": True}}

    async def chunks(found: AsyncIterator[Any]) -> AsyncIterator[Mapping[str, Any]]:
        async for chunk in found:
            yield chunk_document(chunk)

    return Asked(
        arguments, lambda answer: whole(doc, answer.model_dump(exclude_none=True)), lambda found: streamed(doc, chunks(found))
    )


def _responses_options(given: Any, model: str, prompt: Any = "hi") -> Doc:
    from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig as Config

    found = Config.transform_responses_api_request_to_chat_completion_request(
        model=model, input=prompt, responses_api_request=given, service_tier=given.get("service_tier")
    )
    # litellm reads the form of `text` alone, and where to put a summary of reasoning is the provider's matter.
    if (given.get("text") or {}).get("verbosity") is not None:
        found["verbosity"] = given["text"]["verbosity"]
    return {name: value for name, value in found.items() if name in CHAT.parameters}


RESPONSES: Final = Api(
    name="responses",
    call="acompletion",
    prompt=("input", (str, list)),
    parameters=frozenset({
        "input", "instructions", "max_output_tokens", "model", "parallel_tool_calls", "reasoning", "safety_identifier",
        "service_tier", "stream", "temperature", "text", "tool_choice", "tools", "top_p", "user",
    }),
    ignored=frozenset({
        "include", "metadata", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "store", "stream_options",
        "truncation",
    }),
    tied=frozenset({
        "background", "context_management", "conversation", "max_tool_calls", "moderation", "previous_response_id", "prompt",
        "top_logprobs",
    }),
    ask=_responses,
    options=_responses_options,
)  # fmt: skip

# ---- Anthropic messages


def _messages(doc: Doc, given: Doc, model: str) -> Asked:
    from litellm.llms.anthropic.pass_through.adapters.transformation import AnthropicAdapter

    if not doc["messages"]:
        raise InvalidRequest("'messages' must not be empty", param="messages")
    for tool in doc.get("tools") or ():
        kind = tool.get("type", "custom") if isinstance(tool, dict) else None
        if kind != "custom" and not str(kind).startswith("web_search_"):
            raise InvalidRequest(f"tools of type {kind!r} are not supported by this upstream", param="tools")
    adapter = AnthropicAdapter()
    # It changes what it is given.
    asked = orjson.loads(orjson.dumps({**given, "model": model, "stream": False}))
    found, names = adapter.translate_completion_input_params_with_tool_mapping(asked)
    arguments: Doc = {name: value for name, value in (found or {}).items() if name in CHAT.parameters}
    if doc.get("stream"):
        arguments |= {"stream": True, "stream_options": {"include_usage": True}}

    def plain(answer: Any) -> Doc:
        return dict(adapter.translate_completion_output_params(answer, tool_name_mapping=names) or {})

    def events(chunks: AsyncIterator[Any]) -> AsyncIterator[bytes]:
        return _messages_events(adapter.translate_completion_output_params_streaming(chunks, model, tool_name_mapping=names))

    return Asked(arguments, plain, events)


async def _messages_events(events: Any) -> AsyncIterator[bytes]:
    """litellm's events; one that begins a block says nothing of it yet, or clients would read its first words twice."""
    async for event in events:
        if b'"content_block_start"' in event:
            head, data = event.split(b"\ndata: ", 1)
            doc = orjson.loads(data)
            block = doc["content_block"]
            doc["content_block"] = {name: "" if name in ("text", "thinking") else value for name, value in block.items()}
            event = head + b"\ndata: " + orjson.dumps(doc) + b"\n\n"
        yield event


def _messages_options(given: Doc, model: str) -> Doc:
    request = {**given, "messages": [{"role": "user", "content": "hi"}]}
    return _messages(request, request, model).arguments


MESSAGES: Final = Api(
    name="messages",
    call="acompletion",
    prompt=("messages", (list,)),
    parameters=frozenset({
        "max_tokens", "messages", "metadata", "model", "output_config", "output_format", "stop_sequences", "stream", "system",
        "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p",
    }),
    ignored=frozenset({"cache_control", "inference_geo", "service_tier", "speed"}),
    tied=frozenset({"container", "context_management", "diagnostics", "mcp_servers", "user_profile_id", "workspace_id"}),
    ask=_messages,
    options=_messages_options,
)  # fmt: skip

#: Path -> what is asked there.
APIS: Final[Mapping[str, Api]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": COMPLETIONS,
    "/v1/embeddings": EMBEDDINGS,
    "/v1/messages": MESSAGES,
    "/v1/responses": RESPONSES,
}
