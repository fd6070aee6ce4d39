"""Turns and tool offers that a data set wrote into its prompt text, parsed back, so that no marker is judged.

One rule: a prompt without a marker at its very beginning is one user turn, unchanged.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_TURN = re.compile(r"^(Human|User|Seeker|Assistant|Previous assistant|Supporter|System): ?", re.MULTILINE)
_OFFER = re.compile(r"^\[tools offered[^:]*: (\[.*?\])\]\s*(?=User:|Human:|\n)", re.DOTALL)
_CAPABILITIES = re.compile(r"^\[(Capabilities.*?)\n\]\s*", re.DOTALL)
_TOOLFORMER = re.compile(r"^toolformer: \w+\ntoolformer access: (\w+)\n(.*\n)?\1\(.*?\)\n", re.IGNORECASE)
_ROLES = {
    "Human": "user",
    "User": "user",
    "Seeker": "user",
    "Assistant": "assistant",
    "Previous assistant": "assistant",
    "Supporter": "assistant",
    "System": "system",
}


@dataclass(frozen=True, slots=True)
class Unfolded:
    """A prompt as a chat request carries it. `tools`: empty where none is offered."""

    messages: tuple[dict[str, str], ...]
    tools: tuple[dict[str, Any], ...] = ()


def unfold(prompt: str) -> Unfolded:
    """The turns and the tools that a prompt names with markers. Raises ValueError for an offer that is not JSON.

    Turns: `Human:`, `User:`, `Seeker:`; `Assistant:`, `Previous assistant:`, `Supporter:`; `System:`, at line starts, the
    first at the start of the prompt. Offers, before the turns: `[tools offered: [{...}]]`, `toolformer access: name`,
    `[Capabilities ...]` (a system turn)."""
    prompt, tools, system = _offer(prompt)
    parts = _TURN.split(prompt)
    if len(parts) > 1 and not parts[0].strip():
        turns = tuple(
            {"role": _ROLES[who], "content": text.strip()} for who, text in zip(parts[1::2], parts[2::2], strict=True)
        )
        return Unfolded((*system, *turns), tools)
    return Unfolded((*system, {"role": "user", "content": prompt}), tools)


def _offer(prompt: str) -> tuple[str, tuple[dict[str, Any], ...], tuple[dict[str, str], ...]]:
    """The prompt after its offer, the tools of the offer, and the system turn that describes them."""
    if offer := _OFFER.match(prompt):
        functions = json.loads(offer.group(1))
        if not all(isinstance(function, dict) for function in functions):
            raise ValueError("tools offered in the prompt must be objects")
        return prompt[offer.end() :], tuple({"type": "function", "function": function} for function in functions), ()
    if offer := _TOOLFORMER.match(prompt):
        function = {"name": offer.group(1), "description": (offer.group(2) or "").strip()}
        return prompt[offer.end() :], ({"type": "function", "function": function},), ()
    if offer := _CAPABILITIES.match(prompt):
        return prompt[offer.end() :], (), ({"role": "system", "content": offer.group(1)},)
    return prompt, (), ()
