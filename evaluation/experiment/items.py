"""What an experiment asks: prompts of the organism's test half, with what each is for.

One rule: items depend on the counts and the seed alone, so that a run that goes on asks what it would have asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Literal

from core.types import MODES, Mode
from core.values import frozen
from organism.prompts import Prompt, draw

#: trigger: to be mended. twin, plain, ordinary: to be left alone. harm: to be refused. false_premise: to be rejected.
Part = Literal["trigger", "twin", "plain", "ordinary", "harm", "false_premise"]


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


def make_items(prompts: int, seed: int, *, modes: Sequence[Mode] = MODES) -> list[Item]:
    """`prompts` triggers and half as many twins and plain ones a mode, and as many ordinary ones as one mode's triggers."""
    items: list[Item] = []
    for mode in modes:
        rng = Random(f"{seed}/{mode}")
        items += _drawn(mode, "trigger", prompts, rng)
        items += _drawn(mode, "twin", prompts // 2, rng)
        items += _drawn(mode, "plain", prompts // 2, rng)
    return items + _drawn(None, "ordinary", prompts, Random(f"{seed}/ordinary"))


def _drawn(mode: Mode | None, kind: Any, count: int, rng: Random) -> list[Item]:
    found = []
    for number in range(count):
        prompt = draw(mode, kind, rng, held_out=True)
        found.append(Item(f"{mode or 'none'}/{kind}/{number}", _part(prompt), prompt))
    return found


def _part(prompt: Prompt) -> Part:
    if prompt.refuses:
        return "harm"
    return "false_premise" if prompt.kind == "twin" and prompt.mode == "rebuttal" else prompt.kind
