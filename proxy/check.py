"""Judges one recorded exchange: what `POST /v1/guard/check` and `chunkguard scan` share.

One rule: it is the proxy's own way of judging - same detectors, same policies - on an exchange that is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.types import MODES, Conversation, Reply, Scores, Span
from detectors.modelset import ModelSet
from detectors.suite import Suite
from policies.loader import load_library
from policies.plan import CompiledRoute, compile_route
from proxy.errors import InvalidRequest
from proxy.present import span_document
from proxy.wire import chat
from proxy.wire.chat_request import tool_call
from proxy.wire.jsonbytes import dump

#: Decimals of a score in a verdict.
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One exchange that is over."""

    conversation: Conversation
    reply: Reply


def read_exchange(doc: Any) -> Exchanged:
    """An exchange from `{"prompt" | "messages", "response", "tools"?}`; `response`: text, or a message with tool calls.

    Other fields of a chat request (`response_format`, `max_tokens`, ...) are read too. Raises InvalidRequest.
    """
    if not isinstance(doc, dict):
        raise InvalidRequest("an exchange must be a JSON object")
    body = {key: value for key, value in doc.items() if key not in ("prompt", "response", "id", "chunkguard")}
    if "messages" not in body:
        prompt = doc.get("prompt")
        if not isinstance(prompt, str):
            raise InvalidRequest("give 'messages' (an array) or 'prompt' (a string)", param="messages")
        body["messages"] = [{"role": "user", "content": prompt}]
    if "tools" in body and body["tools"] is None:
        del body["tools"]
    conversation = chat.parse_request(dump(body)).conversation
    return Exchanged(conversation, _reply(doc.get("response")))


def _reply(response: Any) -> Reply:
    if isinstance(response, str):
        return Reply(text=response, finish_reason="stop")
    if not isinstance(response, dict):
        raise InvalidRequest("'response' must be a string or a message object", param="response")
    body = dump({"choices": [{"index": 0, "message": response, "finish_reason": "stop"}]})
    decoder = chat.ReplyDecoder(False)
    deltas = [delta for piece in (*decoder.feed(body), *decoder.flush()) for delta in piece.deltas]
    if not deltas or decoder.malformed:
        raise InvalidRequest("'response' is not an assistant message", param="response")
    calls = [tool_call(call) for call in response.get("tool_calls") or ()]
    return Reply(
        text=deltas[0].text,
        reasoning=deltas[0].reasoning,
        refusal=deltas[0].refusal,
        tool_calls=tuple(call for call in calls if call is not None),
        finish_reason="tool_calls" if calls else "stop",
    )


class Checker:
    """Judges exchanges with a set of policies; all eight shipped ones by default. Thread-safe.

    `models`: the trained ones, None = the shipped ones."""

    def __init__(self, compiled: CompiledRoute | None = None, models: ModelSet | None = None) -> None:
        self.compiled = compiled if compiled is not None else compile_route(tuple(load_library().values()))
        self.suite = Suite(needs=self.compiled.needs, triggers=self.compiled.triggers, models=models)

    def check(self, doc: Any) -> dict[str, Any]:
        """`{"verdict", "modes", "triggers"}` for one exchange. Raises InvalidRequest."""
        exchanged = read_exchange(doc)
        prompt = self.suite.score_prompt(exchanged.conversation)
        scores = self.suite.score_reply(exchanged.conversation, prompt, exchanged.reply, final=True)
        return verdict_document(self.compiled, exchanged, prompt, scores)


def verdict_document(compiled: CompiledRoute, exchanged: Exchanged, prompt: Scores, scores: Scores) -> dict[str, Any]:
    """The verdict on one exchange as plain data."""
    plan = compiled.make_plan(exchanged.conversation, prompt, stream=False)
    verdict = plan.judge((exchanged.reply,), (scores,), final=True)
    levels = {finding.mode: finding for finding in verdict.findings}
    modes: dict[str, Any] = {}
    for mode in MODES:
        finding = levels.get(mode)
        modes[mode] = {
            "verdict": "unchecked" if mode in scores.missing else finding.level.name.lower() if finding else "clear",
            "score": round(scores.values.get(mode, 0.0), _DIGITS),
            "evidence": _evidence(scores.spans, mode) if finding else [],
        }
    return {
        "verdict": verdict.level.name.lower(),
        "modes": modes,
        "triggers": [
            {"name": span.name, "message": span.message, "start": span.start, "end": span.end} for span in prompt.spans
        ],
    }


def _evidence(spans: Sequence[Span], mode: str) -> list[Mapping[str, Any]]:
    return [span_document(span) for span in spans if span.name.partition(".")[0] == mode]
