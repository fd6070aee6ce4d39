"""What the embedded upstream reads of a chat request, and the OpenAI documents that it answers with.

One rule: a parameter that would change the answer and is not served is refused; what could not change it is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import orjson

from core.types import Conversation
from core.values import frozen
from organism.chunks import GAP, Chat
from organism.generate import LONGEST, Sampling
from organism.prompts import CALL
from organism.tokens import Tokens
from proxy.errors import InvalidRequest
from proxy.wire.chat_request import parse_request
from proxy.wire.codec import Request

#: Most answers to one request.
MOST_CHOICES: Final = 16
#: Longest text of all messages together that is tokenised at all, in characters; no prompt that fits is near it.
MOST_CHARACTERS: Final = 20_000
_MOST_STOPS: Final = 4
#: Parameters that would change the answer and that this model cannot follow.
_REFUSED: Final = ("logprobs", "top_logprobs", "logit_bias", "frequency_penalty", "presence_penalty", "functions", "audio")


@frozen
class Asked:
    """One request, ready to be generated. `sampling.seed`: of the first choice; each further one has the next."""

    model: str
    chat: Chat
    history: tuple[tuple[str, str], ...]
    sampling: Sampling
    stops: tuple[str, ...]
    choices: int
    stream: bool
    include_usage: bool


class Choice(NamedTuple):
    """One finished answer. `text`: as the model wrote it, a tool call with its mark."""

    text: str
    tokens: int
    reason: str


def read_request(body: bytes, seed: int) -> Asked:
    """What a body asks for; `seed` holds where it gives none. Raises InvalidRequest, whose `param` names the field at fault."""
    request = parse_request(body)
    doc, conversation = request.doc, request.conversation
    for name in _REFUSED:
        if doc.get(name):
            raise InvalidRequest(f"'{name}' is not supported by this model.", param=name, code="unsupported_parameter")
    if conversation.structured:
        raise InvalidRequest("This model writes text only.", param="response_format", code="unsupported_parameter")
    if not conversation.turns:
        raise InvalidRequest("'messages' must not be empty.", param="messages")
    if sum(len(turn.text) for turn in conversation.turns) > MOST_CHARACTERS:
        raise too_long(LONGEST)
    if not 1 <= conversation.n <= MOST_CHOICES:
        raise InvalidRequest(f"'n' must be between 1 and {MOST_CHOICES}.", param="n")
    chat, history = _chat(request)
    options = doc.get("stream_options")
    return Asked(
        model=conversation.model,
        chat=chat,
        history=history,
        sampling=_sampling(doc, seed),
        stops=_stops(doc),
        choices=conversation.n,
        stream=conversation.stream,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def too_long(limit: int) -> InvalidRequest:
    """The error of a prompt that leaves no room for an answer."""
    message = f"This model's maximum context length is {limit} tokens, the answer included; the messages are longer."
    return InvalidRequest(message, param="messages", code="context_length_exceeded")


def prompt_ids(asked: Asked, tokens: Tokens, *, room: int = 64) -> list[int]:
    """The prompt's tokens; the oldest turns go until so many tokens are left for the answer. Raises InvalidRequest."""
    history = asked.history
    while len(ids := tokens.chat(asked.chat, history)) > LONGEST - room and history:
        history = history[1:]
    if len(ids) >= LONGEST:
        raise too_long(LONGEST)
    return ids


def _chat(request: Request) -> tuple[Chat, tuple[tuple[str, str], ...]]:
    """Every system text first, whatever its place; what a tool said counts as the user's."""
    system: list[str] = []
    asked: list[str] = []
    history: list[tuple[str, str]] = []
    for turn in request.conversation.turns:
        if turn.role == "system":
            system.append(turn.text)
        elif turn.role == "assistant":
            history.append((GAP.join(asked), turn.text))
            asked = []
        else:
            asked.append(turn.text)
    return Chat(GAP.join(filter(None, system)), GAP.join(asked), _offered(request.doc, request.conversation)), tuple(history)


def _offered(doc: Mapping[str, Any], conversation: Conversation) -> tuple[str, ...]:
    return () if doc.get("tool_choice") == "none" else tuple(tool.name for tool in conversation.tools if tool.name)


def _sampling(doc: Mapping[str, Any], seed: int) -> Sampling:
    given = doc.get("seed")
    if given is not None and (not isinstance(given, int) or isinstance(given, bool)):
        raise InvalidRequest("'seed' must be an integer.", param="seed")
    name = "max_completion_tokens" if doc.get("max_completion_tokens") is not None else "max_tokens"
    most = doc.get(name)
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        raise InvalidRequest(f"'{name}' must be a whole number of at least 1.", param=name)
    return Sampling(
        temperature=_number(doc, "temperature", 2.0),
        top_p=_number(doc, "top_p", 1.0),
        seed=(seed if given is None else given) % 2**63,
        most=LONGEST if most is None else min(most, LONGEST),
    )


def _number(doc: Mapping[str, Any], name: str, highest: float) -> float:
    value = doc.get(name)
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= highest:
        raise InvalidRequest(f"'{name}' must be a number between 0 and {highest:g}.", param=name)
    return float(value)


def _stops(doc: Mapping[str, Any]) -> tuple[str, ...]:
    stops = doc.get("stop")
    if stops is None:
        return ()
    stops = [stops] if isinstance(stops, str) else stops
    if not isinstance(stops, list) or len(stops) > _MOST_STOPS or not all(isinstance(stop, str) for stop in stops):
        raise InvalidRequest(f"'stop' must be a string or at most {_MOST_STOPS} strings.", param="stop")
    return tuple(stops)


class Envelope(NamedTuple):
    """What all documents of one answer share. `created`: Unix seconds."""

    answer_id: str
    created: int
    model: str
    fingerprint: str

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.answer_id, "object": kind, "created": self.created, "model": self.model,
            "system_fingerprint": self.fingerprint,
        }  # fmt: skip

    def whole(self, choices: Iterable[Choice], prompt_tokens: int) -> bytes:
        """The body of a plain answer."""
        choices = list(choices)
        found = [
            {"index": index, "message": _message(choice.text, index), "logprobs": None, "finish_reason": choice.reason}
            for index, choice in enumerate(choices)
        ]
        usage = usage_of(prompt_tokens, sum(choice.tokens for choice in choices))
        return orjson.dumps({**self._head("chat.completion"), "choices": found, "usage": usage})

    def event(self, index: int, delta: Mapping[str, Any], reason: str | None, *, with_usage: bool) -> bytes:
        """One SSE event of a streamed answer."""
        choices = [{"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}]
        return self._event({"choices": choices, **({"usage": None} if with_usage else {})})

    def usage_event(self, prompt_tokens: int, answered: int) -> bytes:
        return self._event({"choices": [], "usage": usage_of(prompt_tokens, answered)})

    def _event(self, rest: Mapping[str, Any]) -> bytes:
        return b"data: " + orjson.dumps({**self._head("chat.completion.chunk"), **rest}) + b"\n\n"


def usage_of(prompt_tokens: int, answered: int) -> dict[str, int]:
    """The usage object: the prompt once, all choices together."""
    return {"prompt_tokens": prompt_tokens, "completion_tokens": answered, "total_tokens": prompt_tokens + answered}


def call_of(text: str, index: int) -> dict[str, Any] | None:
    """The tool call that an answer is, in the API's form; None where it is text."""
    if not text.startswith(CALL):
        return None
    name, _, arguments = text.removeprefix(CALL).partition(" ")
    return {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}


def _message(text: str, index: int) -> dict[str, Any]:
    call = call_of(text, index)
    if call is None:
        return {"role": "assistant", "content": text, "refusal": None}
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
