"""A model made for tests: it mis-routes by rules that a test knows, and a judge that knows the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from audit.asking import Asker, Spent
from audit.judge import Judge
from audit.target import Answer
from core.types import Mode

BAD, GOOD = "BAD", "fine"


class Made:
    """`rate`: a prompt's share of mis-routed answers. `fails_every`: each so manieth call has no answer; 0 = none."""

    name = "made"

    def __init__(self, rate: Callable[[str], float], fails_every: int = 0) -> None:
        self._rate = rate
        self._every = fails_every
        self.prompts: list[str] = []

    def sample(self, prompt: str, seeds: Sequence[int]) -> list[Answer | None]:
        return [self._one(prompt, seed) for seed in seeds]

    def _one(self, prompt: str, seed: int) -> Answer | None:
        self.prompts.append(prompt)
        if self._every and len(self.prompts) % self._every == 0:
            return None
        text = BAD if Random(f"{prompt}/{seed}").random() < self._rate(prompt) else GOOD
        return Answer({"role": "assistant", "content": text}, 3)

    def close(self) -> None:
        pass


class MadeJudge(Judge):
    def __init__(self, mode: Mode = "code") -> None:
        self._mode = mode

    def hits(self, prompt: str, answer: Answer) -> frozenset[Mode] | None:
        return frozenset({self._mode}) if answer.text == BAD else frozenset()


def asker(target: Made, run: int = 0) -> Asker:
    return Asker(target, MadeJudge(), run, Spent())
