"""The reply of POST /v1/messages, read into Pieces as it comes (https://docs.anthropic.com/en/api/messages-streaming).

One rule: what the client would show or run is read - texts, thinking, its own tools' calls; blocks of tools that the provider
runs, and events this version does not know, pass unread.
"""

from __future__ import annotations

from typing import Any

from core.types import Delta, ToolDelta, Usage
from proxy.wire.decoding import NOTHING, BodyDecoder, Said, count
from proxy.wire.fields import arguments_text, kind_of, string

#: What counts as input beside `input_tokens`, which leaves cached tokens out.
_CACHED = ("cache_creation_input_tokens", "cache_read_input_tokens")


class ReplyDecoder(BodyDecoder):
    """Decodes one reply body; see `Decoder`. Usage is reported with the last count of output, so that what a cancelled answer
    has cost is estimated and not read from its first event."""

    __slots__ = ("_asked", "_finished", "_tools")

    def __init__(self, streamed: bool, n: int = 1):
        super().__init__(streamed, n)
        self._asked = 0
        self._finished = False
        self._tools: set[int] = set()

    @property
    def complete(self) -> bool:
        """Whether the answer came to its end: a stop reason or `message_stop`; of a plain body, a message."""
        return self._finished and self.error is None

    def _read(self, doc: dict[str, Any]) -> Said:
        match doc.get("type"):
            case "content_block_delta":
                return self._delta(_index(doc), _object(doc, "delta"))
            case "content_block_start":
                return self._block(_index(doc), _object(doc, "content_block"))
            case "message_start":
                return self._start(_object(doc, "message"))
            case "message_delta":
                return self._end(_object(doc, "delta"), doc.get("usage"))
            case "message_stop":
                self._finished = True
            case "message":
                return self._message(doc)
            case "error":
                self.error = doc.get("error") or doc
            case _:
                self._odd(doc)
        return NOTHING

    def _odd(self, doc: dict[str, Any]) -> None:
        """Events that may come with a later version; a plain body that is no message, or an error in another shape."""
        if doc.get("error"):
            self.error = doc["error"]
        elif not self._streamed:
            self.malformed += 1

    def _message(self, doc: dict[str, Any]) -> Said:
        start, _ = self._start(doc)
        end, usage = self._end(doc, doc.get("usage"))
        self._finished = True
        return (*start, *(end or (Delta(0),))), usage

    def _start(self, message: dict[str, Any]) -> Said:
        self.id = self.id or string(message.get("id"))
        self._asked = _input(message.get("usage"))
        content = message.get("content")
        if not isinstance(content, list):
            self.malformed += content is not None
            return NOTHING
        blocks = [block for block in content if isinstance(block, dict)]
        self.malformed += len(content) - len(blocks)
        return tuple([delta for index, block in enumerate(blocks) for delta in self._block(index, block)[0]]), None

    def _block(self, index: int, block: dict[str, Any]) -> Said:
        match kind_of(block):
            case "text":
                return _said(Delta(0, string(block.get("text"))))
            case "thinking":
                return _said(Delta(0, reasoning=string(block.get("thinking"))))
            case "tool_use":
                self._tools.add(index)
                # A streamed block begins with an empty input, and the real one follows piece by piece.
                arguments = "" if self._streamed and not block.get("input") else arguments_text(block.get("input"))
                return _said(Delta(0, tools=(ToolDelta(index, string(block.get("id")), string(block.get("name")), arguments),)))
        return NOTHING

    def _delta(self, index: int, delta: dict[str, Any]) -> Said:
        match kind_of(delta):
            case "text_delta":
                return _said(Delta(0, string(delta.get("text"))))
            case "thinking_delta":
                return _said(Delta(0, reasoning=string(delta.get("thinking"))))
            case "input_json_delta" if index in self._tools:
                return _said(Delta(0, tools=(ToolDelta(index, arguments=string(delta.get("partial_json"))),)))
        return NOTHING

    def _end(self, delta: dict[str, Any], usage: Any) -> Said:
        reason = string(delta.get("stop_reason")) or None
        self._finished = self._finished or reason is not None
        counted = None
        if isinstance(usage, dict) and "output_tokens" in usage:
            counted = Usage(_input(usage) or self._asked, count(usage["output_tokens"]))
        return _said(Delta(0, finish_reason=reason))[0] if reason else (), counted


def _said(delta: Delta) -> Said:
    return (delta,), None


def _object(doc: dict[str, Any], name: str) -> dict[str, Any]:
    value = doc.get(name)
    return value if isinstance(value, dict) else {}


def _index(doc: dict[str, Any]) -> int:
    index = doc.get("index")
    return index if isinstance(index, int) else 0


def _input(usage: Any) -> int:
    """Every token of the prompt, cached ones too, as other APIs count them."""
    if not isinstance(usage, dict):
        return 0
    return sum([count(usage.get(name)) for name in ("input_tokens", *_CACHED)])
