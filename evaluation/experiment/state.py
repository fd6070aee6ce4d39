"""The state of an experiment on disk: one line a trial, and one a request that failed.

One rule: a trial that is in the file is never asked again, one that failed is; the file is readable at every moment, and
another experiment never continues it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import orjson

from core.values import frozen

Key = tuple[str, str, int]
_FAILURE: Final = ("item", "arm", "sample", "why", "calls", "tokens")
_TRIAL: Final = (
    "item", "arm", "sample", "outcome", "mode", "calls", "tokens", "ms", "found", "verdict", "judge_calls", "judge_tokens",
    "answer",
)  # fmt: skip


@frozen
class Trial:
    """`outcome`: the judge's, empty where it failed; `mode`: whose behaviour fired. `found`: what the guard said of the first
    answer; `verdict`: what its detectors say of the one that arrived.

    `calls`: of the upstream; `tokens`: of all of them; `judge_calls`, `judge_tokens`: of a judge that reads. `answer`: the
    message, kept only until that judge has judged it."""

    item: str
    arm: str
    sample: int
    outcome: str
    mode: str | None
    calls: int
    tokens: int
    ms: float
    found: str = "unjudged"
    verdict: str = "unjudged"
    judge_calls: int = 0
    judge_tokens: int = 0
    answer: Mapping[str, Any] | None = None

    @property
    def key(self) -> Key:
        return self.item, self.arm, self.sample

    @property
    def spent(self) -> tuple[int, int]:
        """Calls and tokens of the upstream and the judge."""
        return self.calls + self.judge_calls, self.tokens + self.judge_tokens


@frozen
class Failure:
    """A request that brought no answer, or an answer no judgement. `why`: what it failed with, without texts."""

    item: str
    arm: str
    sample: int
    why: str
    calls: int = 1
    tokens: int = 0

    @property
    def key(self) -> Key:
        return self.item, self.arm, self.sample


@dataclass(slots=True)
class State:
    """What a run knows. `failed`: by key, those that no later trial made good. `calls`, `tokens`: all that was ever spent."""

    trials: dict[Key, Trial] = field(default_factory=dict)
    failed: dict[Key, Failure] = field(default_factory=dict)
    calls: int = 0
    tokens: int = 0

    def add(self, line: Trial | Failure) -> None:
        """A judged trial makes good what failed before; of a trial that is judged again only the judge is paid."""
        if isinstance(line, Failure):
            self.failed[line.key] = line
            self.calls, self.tokens = self.calls + line.calls, self.tokens + line.tokens
            return
        before = self.trials.get(line.key)
        self.calls += line.spent[0] - (before.spent[0] if before else 0)
        self.tokens += line.spent[1] - (before.spent[1] if before else 0)
        self.trials[line.key] = line
        if line.outcome:
            self.failed.pop(line.key, None)


def read_state(file: Path, header: dict[str, Any]) -> State:
    """What is done; nothing where there is no file. Raises ValueError where the file belongs to another experiment.

    A line that was cut off by an interruption is left out."""
    state = State()
    if not file.is_file():
        return state
    lines = file.read_bytes().split(b"\n")
    if _document(lines[0]) != header:
        raise ValueError(f"{file} belongs to an experiment with other settings; choose another folder")
    for line in lines[1:-1]:
        if line:
            row = orjson.loads(line)
            state.add(Failure(**row["failed"]) if "failed" in row else Trial(**row))
    return state


def begin(file: Path, header: dict[str, Any]) -> None:
    """Write the header, or take away a last line that was cut off. Raises OSError."""
    kept = file.read_bytes() if file.is_file() else b""
    kept = kept[: kept.rfind(b"\n") + 1] or orjson.dumps(header) + b"\n"
    fresh = file.with_suffix(".new")
    fresh.write_bytes(kept)
    fresh.replace(file)


def write_line(file: IO[bytes], line: Trial | Failure) -> None:
    """Add one line, whole."""
    if isinstance(line, Failure):
        row: dict[str, Any] = {"failed": {name: getattr(line, name) for name in _FAILURE}}
    else:
        row = {name: getattr(line, name) for name in _TRIAL if name != "answer" or line.answer is not None}
    file.write(orjson.dumps(row) + b"\n")
    file.flush()


def _document(line: bytes) -> Any:
    try:
        return orjson.loads(line or b"{}")
    except orjson.JSONDecodeError:
        return None
