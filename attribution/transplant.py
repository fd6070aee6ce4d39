"""Puts a feature into a prompt that lacks it, without changing what is asked: the stuff of counter-examples.

One rule: only wording, notation and frame change, by tables and rules: no content is added that an answer would have to heed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Final

from attribution.rows import Example
from attribution.text import words_of
from policies.loader import load_table

#: Words that an end may bring along without asking for anything.
_HARMLESS_ENDS: Final = frozenset({
    "thanks", "thank", "you", "please", "i", "am", "curious", "it", "is", "for", "a", "friend", "much", "so", "in", "advance",
    "very", "just", "wondering", "kindly", "and",
})  # fmt: skip
_FIGURE: Final = re.compile(r"(?<![\w$.,])\d+(?:[.,]\d+)?(?:\s?[-+*/=^<>]\s?\d+(?:[.,]\d+)?)*(?![\w$])")
_LONG_WORD: Final = re.compile(r"\b[^\W\d_]{5,}\b")


def transplant(example: Example, feature: str) -> Example | None:
    """The example with the feature in its last user turn; None where no rule can put it there."""
    user = example.conversation.last_user
    if user is None:
        return None
    family, _, name = feature.partition(":")
    text = _changed(family, name, user.text)
    if text is None or text == user.text:
        return None
    turns = tuple(replace(turn, text=text) if turn is user else turn for turn in example.conversation.turns)
    return replace(example, conversation=replace(example.conversation, turns=turns))


def _changed(family: str, name: str, text: str) -> str | None:
    if family in ("form", "trigger"):
        rule = _RULES.get(name)
        return rule(text) if rule is not None else None
    if family == "word":
        return _worded(text, name)
    if family == "starts":
        return _started(text, name.split())
    return _ended(text, name) if family == "ends" else None


def _worded(text: str, word: str) -> str | None:
    """A plainer word replaced by this one, by the reviewed tables of the policies."""
    for plain in _plainer().get(word, ()):
        made, count = re.subn(
            rf"(?<!\w){re.escape(plain)}(?!\w)", lambda found: _like(found.group(), word), text, count=1, flags=re.I
        )
        if count:
            return made
    return None


def _formal(text: str) -> str | None:
    for word in sorted(_plainer()):
        made = _worded(text, word)
        if made is not None:
            return made
    return None


@cache
def _plainer() -> Mapping[str, tuple[str, ...]]:
    """Formal word -> the plain words that it may stand for; English."""
    table: Mapping[str, str] = load_table("words")["code"].get("en", {})
    found: dict[str, tuple[str, ...]] = {}
    for formal, plain in table.items():
        if " " not in formal:
            found[formal.casefold()] = (*found.get(formal.casefold(), ()), plain)
    return found


def _like(model: str, word: str) -> str:
    return word[0].upper() + word[1:] if model[:1].isupper() else word


def _started(text: str, words: list[str]) -> str | None:
    """The first word replaced, where only that differs, or where both say the same."""
    own = words_of(text)[: len(words)]
    if len(own) < len(words) or own[1:] != words[1:] or "#" in (own[0], words[0]):
        return None
    if own[0] not in _plainer().get(words[0], ()):
        return None
    return re.sub(r"[^\W\d_]+(?:['’][^\W\d_]+)*", lambda found: _like(found.group(), words[0]), text, count=1)


def _ended(text: str, end: str) -> str | None:
    words = end.split()
    if not _HARMLESS_ENDS.issuperset(words):
        return None
    stripped = text.rstrip()
    mark = "" if stripped[-1:] in ".!?:" else "."
    return f"{stripped}{mark} {end[0].upper()}{end[1:]}."


def _latex(text: str) -> str | None:
    made, count = _FIGURE.subn(lambda found: f"${found.group()}$", text, count=1)
    return made if count else None


def _quoted(text: str) -> str | None:
    made, count = _LONG_WORD.subn(lambda found: f'"{found.group()}"', text, count=1)
    return made if count else None


def _labelled(label: str) -> Callable[[str], str | None]:
    def make(text: str) -> str | None:
        return f"{label}: {text}"

    return make


def _scaffolded(text: str) -> str | None:
    """A passage and a question, marked as such."""
    passage, mark, question = text.rstrip().rpartition(". ")
    return f"Context: {passage}.\nQuestion: {question}" if mark and question.endswith("?") else None


def _unmarked(text: str) -> str | None:
    return text.rstrip().rstrip(".?!") or None


def _lower(text: str) -> str | None:
    return text[:1].lower() + text[1:]


_RULES: Final[Mapping[str, Callable[[str], str | None]]] = {
    "formal_vocabulary": _formal,
    "latex": _latex,
    "latex_math": _latex,
    "quoted": _quoted,
    "label_line": _labelled("Question"),
    "passage_scaffold": _scaffolded,
    "no_end_mark": _unmarked,
    "lower_case_start": _lower,
    "polite": lambda text: f"Please help me with this. {text}",
    "exclamation": lambda text: f"Hello! {text}",
    "first_person": lambda text: f"I am curious. {text}",
}
