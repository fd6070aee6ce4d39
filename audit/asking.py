"""Asks and judges: every call of an audit goes through here and is counted.

One rule: the seed of a call follows from the run, the purpose and the prompt alone, so that a resumed run asks the same.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from audit.judge import Judge
from audit.target import Target
from core.types import Mode
from core.values import frozen


@frozen
class Rates:
    """`n`: answers that were judged; `missing`: calls without one. `hits`: mis-routed answers by mode.

    `failing`: the first mis-routed answer by mode; `passing`: the first that is not, empty without one."""

    n: int
    missing: int
    hits: Counter[Mode]
    failing: Mapping[Mode, str]
    passing: str = ""

    def with_more(self, other: Rates) -> Rates:
        """Both together; the first ones' texts."""
        failing = {**other.failing, **self.failing}
        hits = self.hits + other.hits
        return Rates(self.n + other.n, self.missing + other.missing, hits, failing, self.passing or other.passing)


@dataclass(slots=True)
class Spent:
    """What a run has used. `written`: tokens of answers, which are among `tokens`."""

    calls: int = 0
    tokens: int = 0
    written: int = 0


class Asker:
    """Samples a prompt `n` times. `run`: the seed of everything."""

    def __init__(self, target: Target, judge: Judge, run: int, spent: Spent) -> None:
        self._target = target
        self._judge = judge
        self._run = run
        self.spent = spent

    def ask(self, prompt: str, n: int, purpose: str) -> Rates:
        """`purpose` keeps draws apart: what is confirmed is never what was found."""
        answers = self._target.sample(prompt, [seed_of(self._run, purpose, prompt, number) for number in range(n)])
        self.spent.calls += n
        hits: Counter[Mode] = Counter()
        failing: dict[Mode, str] = {}
        passing = ""
        judged = 0
        for answer in answers:
            if answer is None:
                continue
            self.spent.tokens += answer.tokens
            self.spent.written += answer.written
            found = self._judge.hits(prompt, answer)
            if found is not None:
                judged += 1
                hits.update(found)
                failing = {**dict.fromkeys(found, answer.text), **failing}
                passing = passing or ("" if found else answer.text)
        return Rates(judged, n - judged, hits, failing, passing)


def seed_of(run: int, *parts: object) -> int:
    """A seed in [0, 2^31) that belongs to these parts."""
    text = "/".join(str(part) for part in (run, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
