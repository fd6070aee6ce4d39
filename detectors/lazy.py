"""Small tools that hot paths share: attributes computed on first use, and tests whether a pattern occurs.

One rule: both do what `functools.cached_property` and `re2.search` do, for less: those cost 1 and 2 microseconds a call, of
which a judged answer makes thirty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

import re2

T = TypeVar("T")


class lazy(Generic[T]):
    """A property computed once, on first use. No lock: two threads may both compute it, and get the same."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._compute(instance)
        return value


class Occurs:
    """Whether any of some RE2 patterns occurs in UTF-8: one pass of a set, without positions."""

    def __init__(self, *patterns: str) -> None:
        options = re2.Options()
        options.max_mem = 32 << 20
        options.never_capture = True
        self._set = re2.Set.SearchSet(options)
        for pattern in patterns:
            self._set.Add(pattern)
        self._set.Compile()

    def __call__(self, data: bytes) -> bool:
        return self._set.Match(data) is not None
