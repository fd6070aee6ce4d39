"""The decision log: a file of every decision, with as much of the texts as the operator asked for.

One rule: `none` writes what the event log writes; `hash` adds keyed hashes, from which no text can be guessed without the key;
`full` adds texts without what looks like a credential. A header is never written.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from core.types import Reply, Turn
from proxy.config_telemetry import DecisionSettings
from proxy.json_log import document, needs_eyes, sampled
from proxy.records import DecisionRecord
from proxy.redact import Redactor
from proxy.rotating import RotatingFile
from proxy.witness import Seen


class DecisionLog:
    """`record` takes decisions where `texts` is false, `see` takes them with their texts where it is true.

    `worker`: None for the only one, else its number, which its own file has in its name. `on_lost`: told of lost lines."""

    def __init__(
        self, settings: DecisionSettings, file: Path, *, worker: int | None = None, on_lost: Callable[[int], object]
    ) -> None:
        self._settings = settings
        self._redact = Redactor(settings.redact)
        self._key = settings.hash_key.get_secret_value().encode() if settings.hash_key is not None else b""
        own = file if worker is None else file.with_name(f"{file.stem}-{worker}{file.suffix}")
        self._file = RotatingFile(
            own, max_bytes=settings.max_bytes, max_age_s=settings.max_age_s, keep=settings.keep, on_lost=on_lost
        )

    @property
    def texts(self) -> bool:
        return self._settings.content != "none"

    def record(self, record: DecisionRecord) -> None:
        """A decision without its texts."""
        if needs_eyes(record) or sampled(record, self._settings.sample):
            self._offer(document(record))

    def see(self, seen: Seen) -> None:
        """A decision with its texts."""
        record = seen.record
        if not needs_eyes(record) and not sampled(record, self._settings.sample):
            return
        make = self._hashes if self._settings.content == "hash" else self._texts
        self._offer({**document(record), **make(seen)})

    def close(self) -> None:
        """Write what waits. Blocks."""
        self._file.close()

    def _offer(self, line: dict[str, Any]) -> None:
        self._file.offer(orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE))

    def _hashes(self, seen: Seen) -> dict[str, Any]:
        """Of the whole prompt, of the last user turn, of each choice: equal texts have equal hashes."""
        last = seen.conversation.last_user
        return {
            "prompt_hash": self._hash([[turn.role, turn.text] for turn in seen.conversation.turns]),
            "last_user_hash": self._hash(last.text) if last is not None else "",
            "answer_hashes": [self._hash(reply.text) for reply in seen.replies],
        }

    def _hash(self, value: object) -> str:
        return hmac.digest(self._key, orjson.dumps(value), "sha256").hex()

    def _texts(self, seen: Seen) -> dict[str, Any]:
        return {
            "turns": [self._turn(turn) for turn in seen.conversation.turns],
            "answers": [self._reply(reply) for reply in seen.replies],
        }

    def _turn(self, turn: Turn) -> dict[str, Any]:
        return {"role": turn.role, "text": self._redact(turn.text)}

    def _reply(self, reply: Reply) -> dict[str, Any]:
        return {
            "choice": reply.choice,
            "text": self._redact(reply.text),
            "refusal": self._redact(reply.refusal),
            "tool_calls": [{"name": call.name, "arguments": self._redact(call.arguments)} for call in reply.tool_calls],
            "finish_reason": reply.finish_reason,
        }
