"""The probe of a suspected rebuttal: the same question, evaluated before the verdict, and what its answer says about the first.

One rule: a probe only ever tells whether two answers contradict each other; where either verdict cannot be read, they do not.
It never asks "are you sure?": that flips right answers too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from core.types import Conversation, Edit, Reply, Span, Turn
from policies.language import pick_language
from policies.loader import load_table
from policies.neutralise import neutralise
from policies.verdict_words import Demand, find_demand, opening_polarity, verdict_polarity, without_verdict

ProbeKind = Literal["statement", "sum", "question"]
#: Words, by their first letters: endings differ between a question and its answer.
_WORD = re.compile(r"[^\W\d_]{3,}")
_STEM = 5
_SENTENCE_END = re.compile(r"[.?!。？！\n]|$")
#: Share of a question's words that an answer about the same thing repeats, and words below which nothing can be told.
SAME_SUBJECT, FEWEST_WORDS = 0.4, 4


class Probe(NamedTuple):
    """How the last user turn is asked again. `demand`: the verdict that the client demanded, None where it demanded none.
    `words`: those of a question that assumes something."""

    kind: ProbeKind
    edits: tuple[Edit, ...]
    demand: Demand | None
    words: frozenset[str] = frozenset()


def make_probe(conversation: Conversation, spans: Sequence[Span]) -> Probe | None:
    """The probe of the last user turn, or None where it holds nothing that a changed question could settle, or where it is one
    of several prompts: the answers to the others are not what the probe's answers are read as.

    `spans`: the trigger hits of the prompt."""
    turn = conversation.last_user
    if turn is None or conversation.separate:
        return None
    names = {span.name for span in spans if span.message == turn.index}
    demand = find_demand(turn.text)
    kind = _kind(names, demand)
    if kind is None:
        return None
    close = "\n\n" + _instruction(kind, pick_language(turn.text), demand)
    end = len(turn.text)
    if demand is not None and demand.end > demand.start:
        sums = tuple(edit for edit in neutralise(conversation, spans, "rebuttal") if not _touches(edit, demand))
        if demand.end == end:
            edits = (*sums, Edit(turn.index, demand.start, end, close))
        else:
            edits = (*sums, Edit(turn.index, demand.start, demand.end, ""), Edit(turn.index, end, end, close))
    else:
        edits = (*neutralise(conversation, spans, "rebuttal"), Edit(turn.index, end, end, close))
    words = _question_words(turn, spans) if kind == "question" else frozenset[str]()
    return Probe(kind, tuple(sorted(edits, key=lambda edit: (edit.start, edit.end))), demand, words)


def _question_words(turn: Turn, spans: Sequence[Span]) -> frozenset[str]:
    start = next(span.start for span in spans if span.name == "origin_question" and span.message == turn.index)
    end = _SENTENCE_END.search(turn.text, start)
    return _words(turn.text[start : end.start() if end is not None else None])


def _words(text: str) -> frozenset[str]:
    return frozenset(word[:_STEM].casefold() for word in _WORD.findall(text))


def _on_the_subject(probe: Probe, text: str) -> bool:
    """Whether an evaluation speaks of what the question names: one that wanders off must not overturn a denial."""
    known = len(probe.words)
    return known < FEWEST_WORDS or len(probe.words & _words(text)) >= SAME_SUBJECT * known


def _touches(edit: Edit, demand: Demand) -> bool:
    return edit.start < demand.end and demand.start < edit.end


def _kind(names: set[str], demand: Demand | None) -> ProbeKind | None:
    if "equality_check" in names:
        return "sum"
    if demand is not None:
        return "statement"
    return "question" if "origin_question" in names else None


def _instruction(kind: ProbeKind, language: str, demand: Demand | None) -> str:
    text: Mapping[str, str] = load_table("probes")[language]
    words = load_table("verdicts")[language]
    positive, negative = words["pairs"][0]
    if demand is not None and not demand.letters:
        positive, negative = demand.positive, demand.negative
    close = text["close_question" if kind == "question" else "close"]
    space = "" if language in ("zh", "ja") else " "
    return text[kind] + space + close.format(label=words["label"], yes=positive, no=negative)


def contradicts(probe: Probe, first: Sequence[Reply], second: Sequence[Reply]) -> bool | None:
    """True where the first answer of any choice was negative and the evaluated one is positive; False where every negative
    first answer was confirmed; None where none can be told."""
    told: list[bool] = []
    for before, after in zip(first, second, strict=False):
        evaluated = verdict_polarity(after.text, probe.demand) if _on_the_subject(probe, after.text) else None
        if opening_polarity(before.text, probe.demand) is False and evaluated is not None:
            told.append(evaluated)
    return any(told) if told else None


def demanded(probe: Probe, replies: Sequence[Reply]) -> tuple[str, ...]:
    """The content of each choice as the client asked for it: the verdict word it demanded, or the answer without the verdict
    line that only the probe asked for. A choice without a readable verdict keeps its text."""
    return tuple(_demanded(probe, reply.text) for reply in replies)


def _demanded(probe: Probe, text: str) -> str:
    # A demand that could not be lifted was never meant as the only word of the answer.
    if probe.demand is None or (probe.demand.start == probe.demand.end and not probe.demand.letters):
        return without_verdict(text)
    polarity = verdict_polarity(text, probe.demand)
    if polarity is None:
        return text
    return probe.demand.positive if polarity else probe.demand.negative
