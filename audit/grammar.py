"""Prompts out of attributes: one ask with one topic, and at most one attribute of every other slot.

One rule: the same attributes give the same text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from audit.pool import Pool, Slot
from core.values import frozen

_WORDS: Final = re.compile(r"\w+")
_STYLES: Final[Mapping[str, Callable[[str], str]]] = {
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
    "no_punctuation": lambda text: text.rstrip(".?!:"),
    "doubled_marks": lambda text: re.sub(r"([.?!])$", r"\1\1", text),
    "ellipsis": lambda text: text.rstrip(".?!") + "...",
    "quoted": lambda text: f'"{text}"',
    "bracketed": lambda text: f"({text})",
    "bold": lambda text: f"**{text}**",
    "double_spaces": lambda text: text.replace(" ", "  "),
    "line_break": lambda text: text + "\n",
}


@frozen
class Candidate:
    """Names of attributes; empty where a slot is unused."""

    ask: str
    topic: str
    before: str = ""
    style: str = ""
    after: str = ""

    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.before, self.style, self.ask, self.topic, self.after) if name)

    def without(self, *slots: Slot) -> Candidate:
        return replace(self, **dict.fromkeys(slots, ""))

    def used(self) -> tuple[Slot, ...]:
        """Optional slots in use."""
        optional: tuple[tuple[Slot, str], ...] = (("before", self.before), ("style", self.style), ("after", self.after))
        return tuple(slot for slot, name in optional if name)


def compose(pool: Pool, candidate: Candidate) -> str:
    """The prompt."""
    given = pool.attributes
    text = given[candidate.ask].text.replace("{x}", given[candidate.topic].text)
    text = text[:1].upper() + text[1:]
    if candidate.style:
        text = _STYLES[given[candidate.style].text](text)
    before = given[candidate.before].text if candidate.before else ""
    after = given[candidate.after].text if candidate.after else ""
    return f"{before}{text}{after}"


def cell(pool: Pool, candidate: Candidate) -> tuple[str, str]:
    """The candidate's place among others: language and form of its ask."""
    ask = pool.attributes[candidate.ask]
    return ask.language, ask.form


def near(text: str) -> str:
    """What near duplicates share: their words, without order, case and punctuation."""
    return " ".join(sorted(set(_WORDS.findall(text.lower()))))
