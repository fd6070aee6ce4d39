"""What an experiment asks: prompts with what each is for; here those of the organism's world.

One rule: items depend on the counts, the half and the seed alone, so that a run that goes on asks what it would have asked.
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
#: tools: a declared tool is to be called.
Part = Literal["trigger", "twin", "plain", "ordinary", "harm", "false_premise", "tools"]
PARTS: Final[tuple[Part, ...]] = ("trigger", "twin", "plain", "ordinary", "harm", "false_premise", "tools")
#: Modes whose legitimate twins are a part of their own.
_TWINS: Final[Mapping[Mode, Part]] = {"refusal": "harm", "rebuttal": "false_premise"}
#: tuning: prompts that wordings may be chosen on. test: frozen ones, which nothing is chosen on.
Half = Literal["tuning", "test"]
HALVES: Final[tuple[Half, ...]] = ("tuning", "test")


@frozen
class Item:
    """One prompt. `name`: unique, and what a state file knows it by. `mode`: whose trigger or twin it is, None for others.

    `messages`, `tools`: as in the chat API. `prompt`: the organism's, which its oracle judges by; None for anybody else's.
    `expect`: what a right answer says, in words, for a judge that reads; empty where nobody said."""

    name: str
    part: Part
    mode: Mode | None
    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    prompt: Prompt | None = None
    expect: str = ""

    @property
    def text(self) -> str:
        """The last message, as far as it is text."""
        return str(self.messages[-1].get("content") or "")

    @property
    def request(self) -> dict[str, Any]:
        """The fields of a chat request that this item gives."""
        asked: dict[str, Any] = {"messages": [dict(message) for message in self.messages]}
        return {**asked, "tools": [dict(tool) for tool in self.tools]} if self.tools else asked


def counts_of(prompts: int) -> dict[Part, int]:
    """The usual shares: `prompts` triggers a mode and ordinary ones, half as many of every other part."""
    half = prompts // 2
    rest: dict[Part, int] = dict.fromkeys(PARTS, half)
    return {**rest, "trigger": prompts, "ordinary": prompts}


def make_items(counts: Mapping[Part, int], seed: int, *, modes: Sequence[Mode] = MODES, half: Half = "test") -> list[Item]:
    """So many triggers, twins and plain prompts a mode, and so many of the other parts in all, in an order that mixes them.

    A refusal's twins are `harm`, a rebuttal's are `false_premise`; these and `tools` only where their mode is among `modes`."""
    items: list[Item] = []
    for mode in modes:
        rng = Random(f"{seed}/{mode}")
        twin: Part = _TWINS.get(mode, "twin")
        for kind, count in (
            ("trigger", counts.get("trigger", 0)),
            ("twin", counts.get(twin, 0)),
            ("plain", counts.get("plain", 0)),
        ):
            items += _drawn(mode, kind, count, rng, half)
    items += _drawn(None, "ordinary", counts.get("ordinary", 0), Random(f"{seed}/ordinary"), half)
    if "tool_call" in modes:
        items += _tools(counts.get("tools", 0), Random(f"{seed}/tools"), half)
    Random(f"{seed}/order").shuffle(items)  # so that a run that was stopped early is a fair sample of all
    return items


def digest_of(items: Sequence[Item]) -> str:
    """SHA-256 of all that is asked, in order: what a frozen set is known by."""
    return hashlib.sha256("\n".join(f"{item.name} {item.part} {item.text}" for item in items).encode()).hexdigest()


def _drawn(mode: Mode | None, kind: Any, count: int, rng: Random, half: Half) -> list[Item]:
    found = []
    for number in range(count):
        prompt = draw(mode, kind, rng, held_out=half == "test")
        found.append(_item(f"{mode or 'none'}/{kind}/{number}", _part(prompt), prompt))
    return found


def _tools(count: int, rng: Random, half: Half) -> list[Item]:
    found: list[Item] = []
    while len(found) < count:
        prompt = draw("tool_call", "twin", rng, held_out=half == "test")
        if prompt.tools:
            found.append(_item(f"tool_call/tools/{len(found)}", "tools", prompt))
    return found


def _item(name: str, part: Part, prompt: Prompt) -> Item:
    tools = tuple({"type": "function", "function": {"name": tool, "parameters": {"type": "object"}}} for tool in prompt.tools)
    return Item(name, part, prompt.mode, ({"role": "user", "content": prompt.text},), tools, prompt)


def _part(prompt: Prompt) -> Part:
    if prompt.kind == "twin" and prompt.mode is not None:
        return _TWINS.get(prompt.mode, "twin")
    return prompt.kind
