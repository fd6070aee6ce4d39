"""The model under audit: prompts in, answers out; over HTTP, or the organism's models in this process.

One rule: a call that fails gives no answer and is counted as missing, never as a pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any, Final, Protocol

from openai import OpenAI, OpenAIError

from core.values import frozen
from organism.chunks import Chat
from organism.generate import Model, Sampling
from organism.tokens import Tokens

#: Tokens of an answer at most.
MOST: Final = 160


@frozen
class Answer:
    """`message`: an assistant's message as the checker reads it. `tokens`: of prompt and answer; `written`: of the answer."""

    message: dict[str, Any]
    tokens: int
    written: int = 0

    @property
    def text(self) -> str:
        return str(self.message.get("content") or "")


class Target(Protocol):
    """`sample`: one answer a seed, None for each that failed. `name`: what tells this target from others."""

    name: str

    def sample(self, prompt: str, seeds: Sequence[int]) -> list[Answer | None]: ...

    def close(self) -> None: ...


class Embedded:
    """A model of the organism in this process: the same seed gives the same answer. Raises ValueError for an unknown one."""

    def __init__(self, model: str = "chunky", folder: Path | None = None) -> None:
        place: Any = folder if folder is not None else resources.files("organism") / "models"
        self.name = f"embedded:{model}"
        try:
            self._tokens = Tokens((place / "tokenizer.json").read_bytes())
            self._model = Model((place / f"{model}.onnx").read_bytes(), self._tokens)
        except OSError as error:
            raise ValueError(f"the organism has no model {model!r}: {error}") from error

    def sample(self, prompt: str, seeds: Sequence[int]) -> list[Answer | None]:
        ids = self._tokens.chat(Chat("", prompt))
        made = self._model.answers(ids, [Sampling(seed=seed, most=MOST) for seed in seeds])
        return [Answer({"role": "assistant", "content": text}, len(ids) + count, count) for text, count in made]

    def close(self) -> None:
        """Nothing is open."""


class Http:
    """A chat upstream, or a chunkguard proxy in front of one, by its base URL. `parallel`: requests under way at once."""

    def __init__(self, url: str, model: str, key: str = "none", *, parallel: int = 4, timeout_s: float = 120) -> None:
        self.name = f"{url}:{model}"
        self._model = model
        self._client = OpenAI(base_url=url, api_key=key, max_retries=2, timeout=timeout_s)
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="audit")

    def sample(self, prompt: str, seeds: Sequence[int]) -> list[Answer | None]:
        return list(self._threads.map(lambda seed: self._ask(prompt, seed), seeds))

    def _ask(self, prompt: str, seed: int) -> Answer | None:
        try:
            reply = self._client.chat.completions.create(
                model=self._model,
                messages=[{"role": "user", "content": prompt}],
                seed=seed,
                temperature=1,
                max_tokens=MOST,
            )
        except OpenAIError:
            return None
        if not reply.choices:
            return None
        message = reply.choices[0].message.model_dump(exclude_none=True)
        usage = reply.usage
        return Answer(message, usage.total_tokens, usage.completion_tokens) if usage else Answer(message, 0)

    def close(self) -> None:
        self._threads.shutdown()
        self._client.close()
