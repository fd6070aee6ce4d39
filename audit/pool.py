"""The attribute pool: small things that a prompt can be made of, authored and shipped as YAML.

One rule: an attribute is data with a name of its own; what it does to a prompt is said by its slot alone (grammar.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any, Final, Literal

import yaml

from core.values import frozen

Slot = Literal["before", "style", "ask", "topic", "after"]
SLOTS: Final[tuple[Slot, ...]] = ("before", "style", "ask", "topic", "after")


@frozen
class Attribute:
    """`name`: group and number. `form`: what kind of thing it varies. `text`: what it adds; of a style, the change's name.

    `kind`: of a topic. `takes`: of an ask, the kinds of topics that fit. `plain`: a neutral ask. `language`: of its text."""

    name: str
    group: str
    slot: Slot
    form: str
    text: str
    kind: str = ""
    takes: tuple[str, ...] = ()
    plain: bool = False
    language: str = "en"


class Pool:
    """Attributes by slot and by group. Raises ValueError for names that are taken twice and asks that no topic fits."""

    def __init__(self, attributes: tuple[Attribute, ...]) -> None:
        self.attributes: Mapping[str, Attribute] = {one.name: one for one in attributes}
        if len(self.attributes) != len(attributes):
            raise ValueError("two attributes of the pool have the same name")
        self.groups: dict[Slot, dict[str, tuple[Attribute, ...]]] = {slot: {} for slot in SLOTS}
        for one in attributes:
            of_slot = self.groups[one.slot]
            of_slot[one.group] = (*of_slot.get(one.group, ()), one)
        kinds = {one.kind for one in attributes if one.slot == "topic"}
        for one in attributes:
            if one.slot == "ask" and not (one.takes and set(one.takes) <= kinds and "{x}" in one.text):
                raise ValueError(f"no topic fits the ask {one.name}")

    def of(self, slot: Slot) -> tuple[Attribute, ...]:
        return tuple(one for group in self.groups[slot].values() for one in group)

    def topics(self, ask: Attribute) -> dict[str, tuple[Attribute, ...]]:
        """Topic groups that the ask takes."""
        return {name: group for name, group in self.groups["topic"].items() if group[0].kind in ask.takes}

    def plain_asks(self, kind: str) -> tuple[Attribute, ...]:
        return tuple(one for one in self.of("ask") if one.plain and kind in one.takes)


@lru_cache(maxsize=1)
def load_pool() -> Pool:
    """The shipped pool."""
    attributes: list[Attribute] = []
    for slot in SLOTS:
        text = (resources.files("audit") / "pool" / f"{slot}.yaml").read_text(encoding="utf-8")
        attributes += _read(slot, yaml.safe_load(text))
    return Pool(tuple(attributes))


@lru_cache(maxsize=1)
def own_asks() -> tuple[Attribute, ...]:
    """The ways to ask prompts of one's own."""
    text = (resources.files("audit") / "pool" / "own.yaml").read_text(encoding="utf-8")
    return tuple(_read("ask", yaml.safe_load(text)))


def _read(slot: Slot, document: Mapping[str, Any]) -> list[Attribute]:
    made = []
    for group, said in document["attributes"].items():
        for number, text in enumerate(said["texts"], 1):
            made.append(
                Attribute(
                    f"{group}.{number}", group, slot, said["form"], text, said.get("kind", ""), tuple(said.get("takes", ())),
                    said.get("plain", False), said.get("language", "en"),
                )
            )  # fmt: skip
    return made
