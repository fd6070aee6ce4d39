"""Where a job runs: in processes of this machine, or on the workers of a Dask cluster.

One rule: an engine only maps functions over items; what a job computes does not depend on it. Functions, items and results
must be picklable, and a cluster's workers must see the files under the same names.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, TypeVar

from proxy.errors import ConfigError, Problem
from proxy.scan import in_processes

In = TypeVar("In")
Out = TypeVar("Out")

#: Tasks on their way to each worker of a cluster.
_AHEAD = 4
#: Results that a worker of a cluster merges at once.
_FAN_IN = 8


class Engine(Protocol):
    """`map`: results in the order of the items, with a bounded number on the way. `fold`: results merged, in that order, by
    an associative `merge`, which may change its first argument; None of nothing."""

    def map(self, function: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]: ...

    def fold(self, function: Callable[[In], Out], items: Iterable[In], merge: Callable[[Out, Out], Out]) -> Out | None: ...


class Processes:
    """Processes of this machine. `count`: 0 = one a core."""

    def __init__(self, count: int = 0) -> None:
        self._count = count

    def map(self, function: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
        return in_processes(function, iter(items), self._count)

    def fold(self, function: Callable[[In], Out], items: Iterable[In], merge: Callable[[Out, Out], Out]) -> Out | None:
        merged: Out | None = None
        for result in self.map(function, items):
            merged = result if merged is None else merge(merged, result)
        return merged


class Cluster(AbstractContextManager["Cluster"]):
    """The workers of a Dask scheduler. `fold` merges on them, so that only one result travels here."""

    def __init__(self, address: str, *, timeout: str = "10s") -> None:
        """`address`: of the scheduler, `tcp://host:8786`. Raises ConfigError where Dask is not installed or not reached."""
        try:
            from distributed import Client as Untyped
        except ImportError:
            raise ConfigError([Problem("--scheduler", "", "install chunkguard with the extra 'cluster' (Dask)")]) from None
        connect: Any = Untyped
        try:
            self._client: Any = connect(address, timeout=timeout)
        except (OSError, ValueError) as error:
            raise ConfigError([Problem("--scheduler", address, str(error))]) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._client.close()
        return None

    def map(self, function: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
        bound = max(1, sum(self._client.nthreads().values())) * _AHEAD
        pending: deque[Any] = deque()
        for item in items:
            pending.append(self._client.submit(function, item, pure=False))
            if len(pending) >= bound:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def fold(self, function: Callable[[In], Out], items: Iterable[In], merge: Callable[[Out, Out], Out]) -> Out | None:
        layer = [self._client.submit(function, item, pure=False) for item in items]
        while len(layer) > 1:
            groups = [layer[place : place + _FAN_IN] for place in range(0, len(layer), _FAN_IN)]
            layer = [self._client.submit(_merge_all, merge, group, pure=False) for group in groups]
        result: Out | None = layer[0].result() if layer else None
        return result


def _merge_all(merge: Callable[[Out, Out], Out], results: list[Out]) -> Out:
    merged, *others = results
    for other in others:
        merged = merge(merged, other)
    return merged
