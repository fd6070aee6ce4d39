"""The reply of POST /v1/responses, read into Pieces as it comes (https://platform.openai.com/docs/api-reference/responses-streaming).

One rule: what the client would show or run is read once - from the deltas, else from the item that is done, else from the
response at the end; items of tools that the provider runs, and events this version does not know, pass unread.
"""

from __future__ import annotations

from typing import Any, Final

from core.types import Delta, ToolDelta, Usage
from proxy.wire.decoding import NOTHING, BodyDecoder, Said, count
from proxy.wire.fields import arguments_text, kind_of, list_of, string
from proxy.wire.responses_request import CLIENT_RUN

#: Types of calls that the client answers.
_CALLS: Final = frozenset(
    {"function_call", "custom_tool_call", "shell_call", *(f"{name}_call" for name in CLIENT_RUN.values())}
)
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
#: Where the input of a call stands: of a function, of a custom tool, of what the client runs.
_ARGUMENTS: Final = ("arguments", "input", "action", "operation")


class ReplyDecoder(BodyDecoder):
    """Decodes one reply body; see `Decoder`."""

    __slots__ = ("_begun", "_ended", "_told")

    def __init__(self, streamed: bool, n: int = 1):
        super().__init__(streamed, n)
        self._ended = False
        self._begun: set[int] = set()  # calls that have their name
        self._told: set[int] = set()  # items whose content came in deltas, or whole

    @property
    def complete(self) -> bool:
        """Whether the answer came to its end: the event with the final response, or [DONE]; of a plain body, a response."""
        return self.error is None and (self._ended or self.done)

    def _read(self, doc: dict[str, Any]) -> Said:
        kind, index = kind_of(doc) or "", _index(doc)
        if kind.endswith(".delta"):
            return self._delta(kind, index, string(doc.get("delta")))
        item, response = doc.get("item"), doc.get("response")
        if kind == "error" or (doc.get("error") and doc.get("object") != "response"):
            self.error = doc.get("error") or doc
        elif kind == "response.output_item.added" and isinstance(item, dict):
            return self._begin(index, item)
        elif kind == "response.output_item.done" and isinstance(item, dict):
            return self._item(index, item), None
        elif isinstance(response, dict):
            self.id = self.id or string(response.get("id"))
            return self._end(response) if kind in _ENDS else NOTHING
        elif doc.get("object") == "response":
            self.id = string(doc.get("id"))
            return self._end(doc)
        else:
            self.malformed += not self._streamed
        return NOTHING

    def _delta(self, kind: str, index: int, text: str) -> Said:
        match kind:
            case "response.output_text.delta":
                delta = Delta(0, text)
            case "response.refusal.delta":
                delta = Delta(0, refusal=text)
            case "response.reasoning_text.delta" | "response.reasoning_summary_text.delta":
                delta = Delta(0, reasoning=text)
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                delta = Delta(0, tools=(ToolDelta(index, arguments=text),))
            case _:
                return NOTHING
        self._told.add(index)
        return (delta,), None

    def _begin(self, index: int, item: dict[str, Any]) -> Said:
        if kind_of(item) not in _CALLS:
            return NOTHING
        self._begun.add(index)
        return (Delta(0, tools=(ToolDelta(index, *_named(item)),)),), None

    def _item(self, index: int, item: dict[str, Any]) -> tuple[Delta, ...]:
        """What an item says that was not told yet."""
        if index in self._told:
            return ()
        self._told.add(index)
        kind = kind_of(item)
        if kind == "message":
            parts = [part for part in list_of(item, "content") if isinstance(part, dict)]
            text = "".join([string(part.get("text")) for part in parts])
            return (Delta(0, text, refusal="".join([string(part.get("refusal")) for part in parts])),)
        if kind == "reasoning":
            parts = [part for name in ("summary", "content") for part in list_of(item, name) if isinstance(part, dict)]
            return (Delta(0, reasoning="".join([string(part.get("text")) for part in parts])),)
        if kind not in _CALLS:
            return ()
        arguments = arguments_text(next((item[name] for name in _ARGUMENTS if name in item), None))
        names = ("", "") if index in self._begun else _named(item)
        return (Delta(0, tools=(ToolDelta(index, *names, arguments),)),)

    def _end(self, response: dict[str, Any]) -> Said:
        """The response at its end; of a plain body all there is. One that still runs (`background`) has said nothing yet."""
        self._ended = True
        if response.get("error"):
            self.error = response["error"]
        output = list_of(response, "output")
        items = [(index, item) for index, item in enumerate(output) if isinstance(item, dict)]
        self.malformed += len(output) - len(items)
        deltas = [delta for index, item in items for delta in self._item(index, item)]
        finish = _finish(response)
        if finish:
            deltas.append(Delta(0, finish_reason=finish))
        usage = response.get("usage")
        if not isinstance(usage, dict):
            return tuple(deltas), None
        return tuple(deltas), Usage(count(usage.get("input_tokens")), count(usage.get("output_tokens")))


def _finish(response: dict[str, Any]) -> str | None:
    details = response.get("incomplete_details")
    match response.get("status"):
        case "completed":
            return "stop"
        case "incomplete":
            return (string(details.get("reason")) if isinstance(details, dict) else "") or "incomplete"
    return None


def _named(item: dict[str, Any]) -> tuple[str, str]:
    """(id, name) of a call; what the client runs is named by its type."""
    name = string(item.get("name")) or (kind_of(item) or "").removesuffix("_call")
    return string(item.get("call_id")) or string(item.get("id")), name


def _index(doc: dict[str, Any]) -> int:
    index = doc.get("output_index")
    return index if isinstance(index, int) else 0
