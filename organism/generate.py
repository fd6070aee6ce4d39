"""Runs one exported model: prompts in, tokens out, by onnxruntime and numpy on one core.

One rule: the same ids, settings and seed give the same tokens, however many answers are generated side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from core.values import frozen
from organism.tokens import CONTEXT, Tokens

Floats = NDArray[np.float32]

#: Most tokens of a prompt and its answer together. Beyond what was trained (CONTEXT) quality falls, and a cache grows.
LONGEST: Final = 2 * CONTEXT


class PromptTooLong(ValueError):
    """A prompt leaves no room for an answer. `length`: its tokens."""

    def __init__(self, length: int) -> None:
        super().__init__(f"the prompt has {length} tokens; this model reads {LONGEST} with its answer")
        self.length = length


@frozen
class Sampling:
    """How tokens are drawn. `temperature` 0: the likeliest. `top_p`: of the likeliest that hold so much.

    `most`: tokens of an answer; also bounded by LONGEST."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    most: int = CONTEXT


class Model:
    """One model of a folder, on one thread. Raises ValueError for a file that is no model of this kind.

    `generate` may be called from several threads at once: it keeps nothing."""

    def __init__(self, graph: bytes, tokens: Tokens) -> None:
        self.tokens = tokens
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session: Any = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            shape = {one.name: one.shape for one in self._session.get_inputs()}["cache"]
        except Exception as error:  # onnxruntime's errors have no common base
            raise ValueError(f"the model cannot be loaded: {error}") from error
        self._layers, self._heads, self._size = int(shape[0]), int(shape[3]), int(shape[5])

    @classmethod
    def read(cls, folder: Path, name: str) -> Model:
        """The model `name` of a folder, with the tokenizer beside it."""
        return cls((folder / f"{name}.onnx").read_bytes(), Tokens.read(folder / "tokenizer.json"))

    def generate(self, prompt: Sequence[int], sampling: Sampling) -> Iterator[int]:
        """The tokens of one answer; `tokens.end` is the last of one that ends by itself, and of no other.

        Raises PromptTooLong before the first."""
        if len(prompt) >= LONGEST:
            raise PromptTooLong(len(prompt))
        rng = np.random.default_rng(sampling.seed)
        cache: Floats = np.zeros((self._layers, 2, 1, self._heads, 0, self._size), dtype=np.float32)
        ids = list(prompt)
        for _ in range(min(sampling.most, LONGEST - len(prompt))):
            logits, cache = self._session.run(None, {"ids": np.array([ids], dtype=np.int64), "cache": cache})
            token = pick(logits[0], sampling, rng)
            yield token
            if token == self.tokens.end:
                return
            ids = [token]

    def answers(self, prompt: Sequence[int], samplings: Sequence[Sampling]) -> list[tuple[str, int]]:
        """Text and tokens of several answers to one prompt, computed in one batch: some five times as fast as one by one.

        The same arguments give the same answers; another batch may round otherwise, and then draw another token.
        Raises PromptTooLong."""
        if len(prompt) >= LONGEST:
            raise PromptTooLong(len(prompt))
        rngs = [np.random.default_rng(one.seed) for one in samplings]
        most = [min(one.most, LONGEST - len(prompt)) for one in samplings]
        drawn: list[list[int]] = [[] for _ in samplings]
        cache: Floats = np.zeros((self._layers, 2, 1, self._heads, 0, self._size), dtype=np.float32)
        logits, cache = self._session.run(None, {"ids": np.array([list(prompt)], dtype=np.int64), "cache": cache})
        open_ = [index for index in range(len(samplings)) if most[index] > 0]
        logits, cache = np.repeat(logits, len(open_), axis=0), np.repeat(cache, len(open_), axis=2)
        while open_:
            for row, index in enumerate(open_):
                drawn[index].append(pick(logits[row], samplings[index], rngs[index]))
            rows = [row for row, i in enumerate(open_) if drawn[i][-1] != self.tokens.end and len(drawn[i]) < most[i]]
            if len(rows) < len(open_):
                cache = np.ascontiguousarray(cache[:, :, rows])
            open_ = [open_[row] for row in rows]
            if open_:
                ids = np.array([[drawn[index][-1]] for index in open_], dtype=np.int64)
                logits, cache = self._session.run(None, {"ids": ids, "cache": cache})
        return [(self.tokens.decode(ids), len(ids)) for ids in drawn]

    def answer(self, prompt: Sequence[int], sampling: Sampling) -> str:
        """The text of one answer."""
        return self.tokens.decode(list(self.generate(prompt, sampling)))


def pick(logits: Floats, sampling: Sampling, rng: np.random.Generator) -> int:
    """A token by its logits (vocabulary,). One number of `rng` is used whatever the logits, so that seeds stay comparable."""
    number = rng.random()
    if sampling.temperature <= 0:
        return int(logits.argmax())
    scaled = logits.astype(np.float64) / sampling.temperature
    order = np.argsort(-scaled, kind="stable")
    chances = np.exp(scaled[order] - scaled[order[0]])
    chances /= chances.sum()
    total = np.cumsum(chances)
    kept = int(np.searchsorted(total, sampling.top_p, side="left")) + 1 if sampling.top_p < 1 else len(total)
    limit = total[min(kept, len(total)) - 1]
    return int(order[min(int(np.searchsorted(total, number * limit, side="right")), kept - 1, len(order) - 1)])
