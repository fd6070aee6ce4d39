"""What the guard's own detectors say of an answer: the modes of which it is mis-routed.

One rule: the policies and detectors are those that the proxy runs; nothing here knows what was searched for.
"""

from __future__ import annotations

from audit.target import Answer
from core.types import Mode
from proxy.check import Checker
from proxy.errors import GuardError


class Judge:
    """`hits`: modes with the verdict `misrouted`; None where the exchange cannot be judged."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    def hits(self, prompt: str, answer: Answer) -> frozenset[Mode] | None:
        try:
            found = self._checker.check({"prompt": prompt, "response": answer.message})["modes"]
        except GuardError:
            return None
        return frozenset(mode for mode, said in found.items() if said["verdict"] == "misrouted")

    def close(self) -> None:
        """Nothing is open."""
