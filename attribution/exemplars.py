"""What stands behind a link: examples with and without the behaviour, the ids of all of them, and rows that counter it.

One rule: chosen by a digest of a row's place and its share of a vote, so that no file is favoured and every run agrees.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from attribution.behaviours import behaviours_of, is_mined
from attribution.counts import CountTask, Vocabulary, numbered
from attribution.duplicates import VOTE
from attribution.facts import Bad, examples_of, warm_suite
from attribution.features import features_of
from attribution.files import Part
from attribution.links import Link
from attribution.overlap import incidence
from attribution.rows import Example
from attribution.transplant import transplant
from evaluation.judge import excerpt

#: Examples shown of each kind, and characters of each of their texts.
SHOWN: Final = 3
EXCERPT: Final = 240
#: Donors of a part that are tried for each synthesised row that is wanted, at most.
TRIES: Final = 4
#: Share of asked-for examples from which on a link is what was wanted.
MOSTLY: Final = 0.5
_BEHAVING: Final = "exclude"
_COUNTERING: Final = "include"


@dataclass(frozen=True, slots=True)
class Shown:
    """One example. `order`: the smaller, the earlier it is chosen. Texts are empty where none may be shown."""

    order: float
    id: str
    source: str
    path: str
    line: int
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Counter:
    """A row of training data whose prompt has the feature and whose answer lacks the behaviour. `origin`: `mined` = a row of
    the mix as it is, `synthesised` = one that was given the feature."""

    order: float
    origin: str
    source: str
    taken_from: str
    messages: tuple[dict[str, str], ...]


@dataclass(slots=True)
class Behind:
    """What stands behind one link: examples `with_it` and `without_it`, and rows that counter it; the earliest ones."""

    with_it: list[Shown] = field(default_factory=list)
    without_it: list[Shown] = field(default_factory=list)
    counters: list[Counter] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A link to look behind. `counters`: rows wanted of each origin. `listed`: the ids of its rows are."""

    feature: str
    behaviour: str
    counters: int
    listed: bool


@dataclass(frozen=True, slots=True)
class ExemplarTask:
    """A part, and the links. `ids`: folder for the lists of ids, None = none. `texts`: excerpts may be shown."""

    count: CountTask
    part: Part
    wanted: tuple[Wanted, ...]
    ids: Path | None
    texts: bool
    source_field: str


def wanted_of(links: Sequence[Link], most: int, named: Sequence[str]) -> tuple[Wanted, ...]:
    """What to look for behind links. `most`: counter-examples of each origin, at most; what is mostly asked for needs none.
    Openings and closings are neither countered nor listed, unless they are `named`: there are many, and most are harmless."""
    made = []
    for link in links:
        exported = not link.intended and (not is_mined(link.behaviour) or link.behaviour in named)
        unasked = link.asked is None or link.asked < MOSTLY
        counters = min(most, math.ceil(link.deficit)) if exported and unasked else 0
        made.append(Wanted(link.feature, link.behaviour, counters, exported))
    return tuple(made)


def exemplars_part(task: ExemplarTask) -> list[Behind]:
    """What one part has behind each link; its ids are written."""
    features = tuple(sorted({each.feature for each in task.wanted}))
    behaviours = tuple(sorted({each.behaviour for each in task.wanted}))
    table = numbered(
        CountTask(task.count.folder, task.count.votes, Vocabulary(features, behaviours, task.count.vocabulary.sources))
    )
    has = incidence(table["feature"], len(features)).toarray().astype(bool)
    does = incidence(table["behaviour"], len(behaviours)).toarray().astype(bool)
    order = orders(task.part.number, table["share"].to_numpy())
    masks = [
        (has[:, features.index(each.feature)], does[:, behaviours.index(each.behaviour)]) for each in task.wanted
    ]  # fmt: skip
    rows = _Rows(task, order)
    for number, (each, (feature, behaviour)) in enumerate(zip(task.wanted, masks, strict=True)):
        rows.plan(number, each, feature, behaviour)
    return rows.read()


def orders(part: int, share: NDArray[np.int64]) -> NDArray[np.float64]:
    """A chance order of a part's rows in which every vote, not every row, has the same chance to be first."""
    places = np.arange(len(share), dtype=np.uint64) + (np.uint64(part) << np.uint64(32))
    mixed = (places + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    uniform = (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    made: NDArray[np.float64] = -np.log1p(-uniform) * VOTE / np.maximum(share, 1)
    return made


class _Rows:
    """The rows of a part that are wanted, and for what; read in one pass."""

    def __init__(self, task: ExemplarTask, order: NDArray[np.float64]) -> None:
        self._task = task
        self._order = order
        self._shown: dict[int, list[tuple[int, bool]]] = defaultdict(list)
        self._mined: dict[int, list[int]] = defaultdict(list)
        self._donors: dict[int, list[int]] = defaultdict(list)
        self._lists: dict[int, list[tuple[int, bool]]] = defaultdict(list)
        self._left: dict[int, int] = {}
        self._behind = [Behind() for _ in task.wanted]

    def plan(self, number: int, wanted: Wanted, feature: NDArray[np.bool_], behaviour: NDArray[np.bool_]) -> None:
        for does, rows in ((True, feature & behaviour), (False, feature & ~behaviour)):
            for row in self._first(rows, SHOWN):
                self._shown[row].append((number, does))
            if self._task.ids is not None and wanted.listed:
                for place in np.flatnonzero(rows):
                    self._lists[int(place)].append((number, does))
        if wanted.counters:
            for row in self._first(feature & ~behaviour, wanted.counters):
                self._mined[row].append(number)
            for row in self._first(~feature & ~behaviour, wanted.counters * TRIES):
                self._donors[row].append(number)
            self._left[number] = wanted.counters

    def _first(self, mask: NDArray[np.bool_], count: int) -> list[int]:
        places = np.flatnonzero(mask)
        if len(places) > count:
            places = places[np.argpartition(self._order[places], count)[:count]]
        return [int(place) for place in places]

    def read(self) -> list[Behind]:
        task = self._task
        lists = task.ids / f"ids-{task.part.number:06}.jsonl" if task.ids is not None else None
        with open(lists, "wb") if lists is not None else _nowhere() as file:
            for row, (line, row_id, source, example) in enumerate(_answers(task)):
                for number, does in self._lists.get(row, ()):
                    entry = {"link": number, "list": _BEHAVING if does else _COUNTERING}
                    file.write(
                        orjson.dumps({**entry, "id": row_id, "source": source, "path": task.part.path, "line": line}) + b"\n"
                    )
                self._look(row, line, row_id, source, example)
        for behind in self._behind:
            behind.with_it.sort(key=lambda shown: shown.order)
            behind.without_it.sort(key=lambda shown: shown.order)
            behind.counters.sort(key=lambda counter: counter.order)
        return self._behind

    def _look(self, row: int, line: int, row_id: str, source: str, example: Example) -> None:
        order = float(self._order[row])
        for number, does in self._shown.get(row, ()):
            prompt = excerpt(example.prompt, EXCERPT) if self._task.texts else ""
            answer = excerpt(_answer(example), EXCERPT) if self._task.texts else ""
            shown = Shown(order, row_id, source, self._task.part.path, line, prompt, answer)
            (self._behind[number].with_it if does else self._behind[number].without_it).append(shown)
        for number in self._mined.get(row, ()):
            if plain(example):
                self._behind[number].counters.append(Counter(order, "mined", source, row_id, messages_of(example)))
        for number in self._donors.get(row, ()):
            if self._left[number] and plain(example):
                made = synthesise(example, self._task.wanted[number])
                if made is not None:
                    self._left[number] -= 1
                    self._behind[number].counters.append(Counter(order, "synthesised", source, row_id, messages_of(made)))


def _answers(task: ExemplarTask) -> Iterator[tuple[int, str, str, Example]]:
    for found in examples_of(task.part, task.source_field):
        if found is not None and not isinstance(found, Bad):
            yield found


class _nowhere:
    """A file that takes nothing."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def write(self, _: bytes) -> None:
        """Forgotten."""


def plain(example: Example) -> bool:
    """Whether an example is text alone, as every loader reads it."""
    turns = example.conversation.turns
    return not example.reply.tool_calls and not any(turn.tool_calls or turn.media or turn.role == "tool" for turn in turns)


def messages_of(example: Example) -> tuple[dict[str, str], ...]:
    said = [{"role": str(turn.role), "content": turn.text} for turn in example.conversation.turns]
    return (*said, {"role": "assistant", "content": example.reply.text})


def synthesise(example: Example, wanted: Wanted) -> Example | None:
    """The example with the feature put into its prompt; None where that cannot be done, or its answer would then misbehave."""
    made = transplant(example, wanted.feature)
    if made is None:
        return None
    suite = warm_suite()
    scores = suite.score_prompt(made.conversation)
    if wanted.feature not in features_of(made, scores) or wanted.behaviour in behaviours_of(suite, made, scores):
        return None
    return made


def _answer(example: Example) -> str:
    return example.reply.text or " ".join(f"{call.name}({call.arguments})" for call in example.reply.tool_calls)


def merge(one: list[Behind], other: list[Behind], counters: int) -> list[Behind]:
    """Both together, the earliest of each; `one` is changed. `counters`: of each origin."""
    for mine, others in zip(one, other, strict=True):
        mine.with_it = _distinct(mine.with_it + others.with_it)
        mine.without_it = _distinct(mine.without_it + others.without_it)
        mine.counters = [
            counter
            for origin in ("synthesised", "mined")
            for counter in heapq.nsmallest(
                counters,
                [each for each in mine.counters + others.counters if each.origin == origin],
                key=lambda counter: (counter.order, counter.taken_from),
            )
        ]
    return one


def _distinct(shown: list[Shown]) -> list[Shown]:
    """The earliest, each text once."""
    ordered = sorted(shown, key=lambda each: (each.order, each.path, each.line))
    return list({each.prompt or (each.path, each.line): each for each in reversed(ordered)}.values())[::-1][:SHOWN]


def add_turns(counters: Sequence[Counter]) -> list[dict[str, Any]]:
    """Counter-examples as rows for SFT loaders: `messages`, and where each came from."""
    return [
        {
            "messages": list(counter.messages),
            "origin": counter.origin,
            "source": counter.source,
            "taken_from": counter.taken_from,
        }
        for counter in counters
    ]
