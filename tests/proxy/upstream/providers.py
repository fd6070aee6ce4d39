"""The wires of three providers, as litellm is to speak them: Anthropic, Google Gemini, Amazon Bedrock.

One rule: what goes out here is shaped as the provider documents it; which of it an OpenAI client then sees is what is tested.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.clients import shapes
from tests.proxy.fake_upstream import JSON, SSE, Answer, Seen, Step

Doc = dict[str, Any]


@dataclass(frozen=True)
class Provider:
    """One provider. `model`: litellm's name; `options`: how it finds the server. `plain`, `stream`: answers with a text or a
    call; `failed`: an error of the provider with a status. `system`, `texts`: what of a request it was told. `tokens`: prompt
    and completion of every answer. `tied`: OpenAI parameters that the provider does not have."""

    name: str
    model: str
    options: Callable[[str], Doc]
    plain: Callable[[shapes.Content], Doc]
    stream: Callable[[shapes.Content], list[bytes]]
    failed: Callable[[int, str], bytes]
    key: Callable[[Seen], str]
    told: Callable[[Doc], list[str]]
    tokens: tuple[int, int]

    def answer(self, content: shapes.Content, stream: bool) -> Answer:
        """An answer of the provider."""
        if stream:
            kind = [("Content-Type", "application/vnd.amazon.eventstream")] if self.name == "bedrock" else list(SSE)
            return Answer(self.stream(content), headers=[*kind, ("request-id", "req-9")])
        return Answer([json.dumps(self.plain(content)).encode()], headers=[*JSON, ("request-id", "req-9")], length=True)

    def failing(self, status: int, message: str, **headers: str) -> Answer:
        """An error of the provider."""
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return Answer([self.failed(status, message)], status=status, headers=[*JSON, *named], length=True)

    def cut(self, content: shapes.Content, end: Step) -> Answer:
        """Half a stream, then its end."""
        events: Sequence[Step] = self.stream(content)
        return Answer([*events[: len(events) // 2], end], headers=self.answer(content, True).headers)


# ---- Anthropic


def _anthropic_told(doc: Doc) -> list[str]:
    texts = [block["text"] for block in doc.get("system", ())]
    return texts + [block["text"] for message in doc["messages"] for block in message["content"] if block["type"] == "text"]


ANTHROPIC = Provider(
    name="anthropic",
    model="anthropic/claude-sonnet-4-5",
    options=lambda origin: {"url": origin, "api_key": "sk-operator"},
    plain=shapes.MESSAGES.plain,
    stream=lambda content: list(shapes.MESSAGES.stream(content)),
    failed=lambda status, message: json.dumps(shapes.MESSAGES.error("some_error", message)).encode(),
    key=lambda seen: "".join(seen.values("x-api-key")),
    told=_anthropic_told,
    tokens=(13, 7),
)

# ---- Gemini

_SPENT = {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14}


def _candidate(parts: list[Doc], finish: str | None = None) -> Doc:
    content = {"role": "model", "parts": parts}
    return {"index": 0, "content": content, **({"finishReason": finish} if finish else {})}


def _gemini_parts(content: shapes.Content) -> list[Doc]:
    parts: list[Doc] = []
    if content.reasoning:
        parts.append({"text": content.reasoning, "thought": True})
    if content.call:
        name, arguments = content.call
        parts.append({"functionCall": {"name": name, "args": json.loads(arguments)}})
    if content.text:
        parts.append({"text": content.text})
    return parts


def _gemini(content: shapes.Content) -> Doc:
    candidate = _candidate(_gemini_parts(content), "STOP")
    return {"candidates": [candidate], "usageMetadata": _SPENT, "modelVersion": "gemini-2.5-flash", "responseId": "r1"}


def _gemini_stream(content: shapes.Content) -> list[bytes]:
    parts = [part for part in _gemini_parts(content) if part.get("text") != content.text or part.get("thought")]
    parts += [{"text": word} for word in shapes.words(content.text) if content.text]
    docs: list[Doc] = [{"candidates": [_candidate([part])], "modelVersion": "g", "responseId": "r1"} for part in parts]
    docs.append({"candidates": [_candidate([{"text": ""}], "STOP")], "usageMetadata": _SPENT, "responseId": "r1"})
    return [b"data: " + json.dumps(doc).encode() + b"\r\n\r\n" for doc in docs]


def _gemini_told(doc: Doc) -> list[str]:
    system = doc.get("system_instruction") or doc.get("systemInstruction") or {}
    return [part["text"] for turn in (system, *doc["contents"]) for part in turn.get("parts", ()) if "text" in part]


GEMINI = Provider(
    name="gemini",
    model="gemini/gemini-2.5-flash",
    options=lambda origin: {"url": origin, "api_key": "sk-operator"},
    plain=_gemini,
    stream=_gemini_stream,
    failed=lambda status, message: json.dumps({"error": {"code": status, "message": message, "status": "SOME"}}).encode(),
    key=lambda seen: "".join(seen.values("x-goog-api-key")) or seen.target.partition("key=")[2].partition("&")[0],
    told=_gemini_told,
    tokens=(9, 5),
)

# ---- Bedrock, Converse API


def _message(event: str, doc: Doc) -> bytes:
    """One message of AWS's event stream encoding."""
    headers = b""
    for name, value in ((":event-type", event), (":content-type", "application/json"), (":message-type", "event")):
        headers += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    payload = json.dumps(doc).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


_COUNTED = {"inputTokens": 9, "outputTokens": 5, "totalTokens": 14}


def _bedrock_blocks(content: shapes.Content) -> list[Doc]:
    blocks: list[Doc] = []
    if content.reasoning:
        blocks.append({"reasoningContent": {"reasoningText": {"text": content.reasoning, "signature": "c2ln"}}})
    if content.call:
        name, arguments = content.call
        blocks.append({"toolUse": {"toolUseId": "t1", "name": name, "input": json.loads(arguments)}})
    if content.text:
        blocks.append({"text": content.text})
    return blocks


def _bedrock(content: shapes.Content) -> Doc:
    message = {"role": "assistant", "content": _bedrock_blocks(content)}
    stop = "tool_use" if content.call else "end_turn"
    return {"output": {"message": message}, "stopReason": stop, "usage": _COUNTED, "metrics": {"latencyMs": 10}}


def _bedrock_stream(content: shapes.Content) -> list[bytes]:
    events = [_message("messageStart", {"role": "assistant"})]
    for index, block in enumerate(_bedrock_blocks(content)):
        at = {"contentBlockIndex": index}
        if "toolUse" in block:
            use = block["toolUse"]
            started = {**at, "start": {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}}
            events.append(_message("contentBlockStart", started))
            deltas: list[Doc] = [{"toolUse": {"input": json.dumps(use["input"])}}]
        elif "text" in block:
            deltas = [{"text": word} for word in shapes.words(block["text"])]
        else:
            deltas = [{"reasoningContent": {"text": content.reasoning}}]
        events += [_message("contentBlockDelta", {**at, "delta": delta}) for delta in deltas]
        events.append(_message("contentBlockStop", at))
    events.append(_message("messageStop", {"stopReason": "tool_use" if content.call else "end_turn"}))
    return [*events, _message("metadata", {"usage": _COUNTED, "metrics": {"latencyMs": 10}})]


BEDROCK = Provider(
    name="bedrock",
    model="bedrock/converse/anthropic.claude-3-5-sonnet-20240620-v1:0",
    options=lambda origin: {
        "options": {
            "aws_bedrock_runtime_endpoint": origin,
            "aws_access_key_id": "AKIAOPERATOR",
            "aws_secret_access_key": "secret",
            "aws_region_name": "us-east-1",
        }
    },
    plain=_bedrock,
    stream=_bedrock_stream,
    failed=lambda status, message: json.dumps({"message": message}).encode(),
    key=lambda seen: "sk-operator" if "AKIAOPERATOR" in "".join(seen.values("authorization")) else "",
    told=lambda doc: [
        *(block["text"] for block in doc.get("system", ())),
        *(block["text"] for message in doc["messages"] for block in message["content"] if "text" in block),
    ],
    tokens=(9, 5),
)

PROVIDERS = [ANTHROPIC, GEMINI, BEDROCK]
