"""What an experiment asks: prompts of the organism's test half, with what each is for.

One rule: items depend on the counts and the seed alone, so that a run that goes on asks what it would have asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final, Literal

from core.types import MODES, Mode
from core.values import frozen
from organism.prompts import Prompt, draw

#: trigger: to be mended. twin, plain, ordinary: to be left alone. harm: to be refused. false_premise: to be rejected.
Part = Literal["trigger", "twin", "plain", "ordinary", "harm", "false_premise"]
#: Modes whose legitimate twins are a part of their own.
_TWINS: Final[Mapping[Mode, Part]] = {"refusal": "harm", "rebuttal": "false_premise"}


@frozen
class Item:
    """One prompt. `name`: unique, and what a state file knows it by."""

    name: str
    part: Part
    prompt: Prompt

    def body(self, model: str, sample: int) -> dict[str, Any]:
        """The chat request. `user` tells samples apart, so that the same sample has the same body in every arm."""
        tools = [
            {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in self.prompt.tools
        ]
        return {
            "model": model,
            "messages": [{"role": "user", "content": self.prompt.text}],
            "user": f"{self.name}/{sample}",
            **({"tools": tools} if tools else {}),
        }


def counts_of(prompts: int) -> dict[Part, int]:
    """The usual shares: `prompts` triggers a mode and ordinary ones, half as many of every other part."""
    half = prompts // 2
    return {"trigger": prompts, "twin": half, "plain": half, "ordinary": prompts, "harm": half, "false_premise": half}


def make_items(counts: Mapping[Part, int], seed: int, *, modes: Sequence[Mode] = MODES) -> list[Item]:
    """So many triggers, twins and plain prompts a mode, and so many of the other parts in all, in an order that mixes them.

    A refusal's twins are `harm`, a rebuttal's are `false_premise`; both only where their mode is among `modes`."""
    items: list[Item] = []
    for mode in modes:
        rng = Random(f"{seed}/{mode}")
        twin: Part = _TWINS.get(mode, "twin")
        for kind, count in (
            ("trigger", counts.get("trigger", 0)),
            ("twin", counts.get(twin, 0)),
            ("plain", counts.get("plain", 0)),
        ):
            items += _drawn(mode, kind, count, rng)
    items += _drawn(None, "ordinary", counts.get("ordinary", 0), Random(f"{seed}/ordinary"))
    Random(f"{seed}/order").shuffle(items)  # so that a run that was stopped early is a fair sample of all
    return items


def digest_of(items: Sequence[Item]) -> str:
    """SHA-256 of all that is asked, in order: what a frozen set is known by."""
    return hashlib.sha256("\n".join(f"{item.name} {item.part} {item.prompt.text}" for item in items).encode()).hexdigest()


def _drawn(mode: Mode | None, kind: Any, count: int, rng: Random) -> list[Item]:
    found = []
    for number in range(count):
        prompt = draw(mode, kind, rng, held_out=True)
        found.append(Item(f"{mode or 'none'}/{kind}/{number}", _part(prompt), prompt))
    return found


def _part(prompt: Prompt) -> Part:
    if prompt.kind == "twin" and prompt.mode is not None:
        return _TWINS.get(prompt.mode, "twin")
    return prompt.kind
