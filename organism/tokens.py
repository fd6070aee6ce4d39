"""Chats to token ids and back: a byte-level BPE of the closed world, and the marks between the parts of a chat.

One rule: a mark is an id that no text can produce, so that what a user writes stays the user's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

from organism.chunks import Chat
from organism.prompts import CALL

SYSTEM: Final = "<|system|>"
TOOLS: Final = "<|tools|>"
USER: Final = "<|user|>"
ASSISTANT: Final = "<|assistant|>"
END: Final = "<|end|>"
#: In the order of their ids, which begin at 0. END also fills rows up.
MARKS: Final = (END, SYSTEM, TOOLS, USER, ASSISTANT, CALL)
#: Tokens that the models were trained to read at once, prompt and answer together.
CONTEXT: Final = 256


class Tokens:
    """The tokenizer of one folder of models. Raises ValueError for a file that is no tokenizer or lacks the marks."""

    def __init__(self, data: bytes) -> None:
        try:
            self._tokenizer = Tokenizer.from_buffer(data)
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(f"the tokenizer cannot be read: {error}") from error
        ids = [self._tokenizer.token_to_id(mark) for mark in MARKS]
        if ids != list(range(len(MARKS))):
            raise ValueError("the tokenizer lacks the marks of a chat")
        self.size: int = self._tokenizer.get_vocab_size()
        self.end: int = MARKS.index(END)
        self.call: int = MARKS.index(CALL)

    @classmethod
    def read(cls, file: Path) -> Tokens:
        return cls(file.read_bytes())

    def encode(self, text: str) -> list[int]:
        """Ids of a text; a mark that is spelled out in it is text."""
        return list(self._tokenizer.encode(text).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, CALL written out and the other marks left out. Bytes that are no UTF-8 become U+FFFD."""
        text = self._tokenizer.decode([i for i in ids if i >= len(MARKS)])
        return f"{CALL}{text}" if self.call in ids[:1] else str(text)

    def chat(self, chat: Chat, history: Sequence[tuple[str, str]] = ()) -> list[int]:
        """Ids of all that stands before an answer. `history`: (user, assistant) texts of earlier turns."""
        ids: list[int] = []
        if chat.system:
            ids += [MARKS.index(SYSTEM), *self.encode(chat.system)]
        if chat.tools:
            ids += [MARKS.index(TOOLS), *self.encode(" ".join(chat.tools))]
        for user, assistant in history:
            ids += [MARKS.index(USER), *self.encode(user), MARKS.index(ASSISTANT), *self.answer(assistant)]
        return [*ids, MARKS.index(USER), *self.encode(chat.user), MARKS.index(ASSISTANT)]

    def answer(self, text: str) -> list[int]:
        """Ids of an answer, its end included."""
        head, body = ([self.call], text.removeprefix(CALL)) if text.startswith(CALL) else ([], text)
        return [*head, *self.encode(body), self.end]
