"""Values that are only computed when they are read: most answers need few of them.

One rule: the same whoever reads first, and in whichever thread - every step runs once, and nobody reads half of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Step(NamedTuple):
    """`names`: what it gives. `work`: puts the values into the mapping's `known`, or leaves some out; False when it crashed.

    `promised`: the names are there for certain, whatever their value; the others only if `work` can tell."""

    names: frozenset[str]
    work: Callable[[], bool]
    promised: bool = False


class LateValues(Mapping[str, float]):
    """`known` and what `steps` add to it. Reading a name runs every step up to the last one that gives it.

    `lost`: a step crashed, so a promised name may not be there after all. `again`: what the second tier says of the prompt."""

    __slots__ = ("_done", "_known", "_last", "_lock", "_promised", "_steps", "again", "lost")

    def __init__(self, known: dict[str, float], steps: Sequence[Step], again: Callable[[], Mapping[str, float]]) -> None:
        self._known = known
        self._steps = steps
        self._last = {name: i for i, step in enumerate(steps) for name in step.names}
        self._promised = frozenset[str]().union(*(step.names for step in steps if step.promised))
        self._done = 0
        self._lock = threading.Lock()
        self.lost = False
        self.again = again

    def _settle(self, name: object) -> dict[str, float]:
        return self._until(self._last.get(name, -1))  # type: ignore[call-overload]

    def _until(self, last: int) -> dict[str, float]:
        if last >= self._done:  # what is settled is read without waiting for another thread's step
            with self._lock:
                while self._done <= last:
                    self._run(self._steps[self._done])
                    self._done += 1
        return self._known

    def _run(self, step: Step) -> None:
        if not step.work():
            self.lost = True
            self._promised -= step.names

    def settled(self, name: str) -> bool:
        """Whether reading `name` costs nothing more."""
        return self._last.get(name, -1) < self._done

    def at_least(self, name: str, bound: float) -> bool:
        """Whether the value of `name` reaches `bound`, for a name that no later step lowers: the first that gives it may do."""
        first = next((i for i, step in enumerate(self._steps) if name in step.names), -1)
        return self._until(first).get(name, 0.0) >= bound or self.get(name, 0.0) >= bound

    def __getitem__(self, name: str) -> float:
        return self._settle(name)[name]

    def get(self, name: str, default: Any = None) -> Any:  # Mapping's own goes by way of an exception
        return self._settle(name).get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._promised or name in self._settle(name)

    def _settle_all(self) -> dict[str, float]:
        for name in self._last:
            self._settle(name)
        return self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._settle_all())

    def __len__(self) -> int:
        return len(self._settle_all())
