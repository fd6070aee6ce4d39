"""The second tier: a small transformer that reads one short English text, where the hashed models are not sure.

One rule: it is only asked where a verdict hangs on it (milliseconds, not microseconds), and it only answers for English. One
text a run and no padding, so batch equals single; the session is single-threaded and shared.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from detectors.base import Manifest, ModelError, load_manifest, read_model, read_pinned
from detectors.languages import guess_language

#: Where the shipped models and their manifests lie.
MODELS = Path(__file__).parent / "models"
#: What one run reads: a prompt, a reply, or both.
Kind = Literal["prompt", "reply", "pair"]
#: Tokens of a run, special ones included; of a pair the prompt has at most PROMPT_TOKENS.
MAX_TOKENS: Final[Mapping[Kind, int]] = {"prompt": 64, "reply": 48, "pair": 64}
PROMPT_TOKENS: Final = 24
#: Characters that are tokenised at most, of a text and of the prompt of a pair: more would be cut away by the limits.
TEXT_CHARS, PROMPT_CHARS = 1_200, 600
#: Every label belongs to one kind of run.
KINDS: Final[Mapping[str, Kind]] = {
    "harm": "prompt", "distress": "prompt", "asks_code": "prompt", "asks_math": "prompt", "asks_fiction": "prompt",
    "asks_extraction": "prompt", "asks_check": "prompt", "asks_tool": "prompt",
    "refusal": "reply", "excused": "reply",
    "denial": "pair", "suspicion": "pair", "warm": "pair",
}  # fmt: skip


def encode(tokenizer: Tokenizer, kind: Kind, text: str, prompt: str = "") -> list[int]:
    """Ids of `[CLS] text [SEP]`, of a pair of `[CLS] prompt [SEP] text [SEP]`, cut to what a run reads."""
    cls, sep = _marks(tokenizer)
    room = MAX_TOKENS[kind]
    body = _tokens(tokenizer, text[:TEXT_CHARS])
    if kind != "pair":
        return [cls, *body[: room - 2], sep]
    asked = _tokens(tokenizer, prompt[:PROMPT_CHARS])[:PROMPT_TOKENS]
    return [cls, *asked, sep, *body[: room - 3 - len(asked)], sep]


def windows(tokenizer: Tokenizer, text: str, limit: int) -> list[list[int]] | None:
    """The whole of a prompt in runs of at most its tokens; None where it needs more than `limit` of them."""
    room = MAX_TOKENS["prompt"] - 2
    if len(text) > limit * room * 16:  # no token of ours is longer
        return None
    runs = _runs(tokenizer, text)
    return runs if len(runs) <= limit else None


def beginning(tokenizer: Tokenizer, text: str, limit: int) -> list[list[int]]:
    """The first `limit` runs of a prompt, at most."""
    return _runs(tokenizer, text[: limit * TEXT_CHARS])[:limit]


def _runs(tokenizer: Tokenizer, text: str) -> list[list[int]]:
    cls, sep = _marks(tokenizer)
    room = MAX_TOKENS["prompt"] - 2
    body = _tokens(tokenizer, text)
    return [[cls, *body[i : i + room], sep] for i in range(0, len(body), room)] or [[cls, sep]]


def _tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of a text. Lone surrogates, which JSON may carry and the tokenizer refuses, are read as question marks."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def _marks(tokenizer: Tokenizer) -> tuple[int, int]:
    """Ids of the marks before and after a text. Raises ModelError where the word list has none."""
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    if cls is None or sep is None:
        raise ModelError("the tokenizer knows no [CLS] or [SEP]")
    return cls, sep


def is_english(text: str) -> bool:
    """Whether the encoder may read a text: English by its words, or plain ASCII of no language that is known."""
    language = guess_language(text)
    return language == "en" or (not language and text.isascii())


class Encoder:
    """A text in, one probability a label of its kind out.

    Raises OSError or ModelError when the files are missing or do not match; nothing later.
    """

    def __init__(self, name: str = "encoder", folder: Path = MODELS) -> None:
        self.manifest: Manifest = load_manifest(folder / f"{name}.json")
        self._data = read_model(self.manifest, folder)
        self.tokenizer = read_tokenizer(self.manifest, folder)
        names = [label.name for label in self.manifest.labels]
        if unknown := [name for name in names if name not in KINDS]:
            raise ModelError(f"{name}: unknown labels {', '.join(unknown)}")
        self._places: Mapping[Kind, tuple[tuple[str, int], ...]] = {
            kind: tuple((name, i) for i, name in enumerate(names) if KINDS[name] == kind) for kind in MAX_TOKENS
        }
        self._session: Any = None
        self._lock = threading.Lock()

    def warm(self) -> None:
        """Build the session and run it once."""
        self.read("reply", "warm")

    def read(self, kind: Kind, text: str, prompt: str = "") -> dict[str, float]:
        """Probabilities of the labels of `kind`, of the first tokens of `text`."""
        return self.run(kind, encode(self.tokenizer, kind, text, prompt))

    def run(self, kind: Kind, ids: list[int]) -> dict[str, float]:
        """The same of ids that are at hand."""
        session = self._session or self._open()
        (result,) = session.run(None, {"ids": np.array(ids, dtype=np.int64)})
        row = result[0].tolist()
        return {name: row[i] for name, i in self._places[kind]}

    def _open(self) -> Any:
        with self._lock:
            if self._session is None:
                self._session = open_session(self._data)
            return self._session


def open_session(data: bytes) -> Any:
    """A single-threaded session of a model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def read_tokenizer(manifest: Manifest, folder: Path) -> Tokenizer:
    """The tokenizer that a manifest names. Raises OSError or ModelError."""
    if manifest.tokenizer is None:
        raise ModelError(f"{manifest.name}: the manifest names no tokenizer")
    data = read_pinned(folder / manifest.tokenizer.file, manifest.tokenizer.sha256)
    return Tokenizer.from_buffer(data)
