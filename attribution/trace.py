"""A failing exchange, or the proxy's record of one -> the links and sources that explain it, against random rows.

One rule: an explanation is only as good as it is rarer than what random rows of the same mix would seem to explain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from attribution.behaviours import UNASKED, behaviours_of, with_modes
from attribution.counts import numbered
from attribution.exemplars import orders
from attribution.facts import warm_suite
from attribution.features import features_of
from attribution.job import Mix
from attribution.links import Link
from attribution.rows import read_examples
from core.types import MODES
from detectors.rows import BadRow

#: Random rows that an explanation is held against, and explanations and sources that are named.
NULL_ROWS: Final = 500
NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be explained. `behaviours`: without a guess where the record names none."""

    id: str
    features: frozenset[str]
    behaviours: frozenset[str]


@dataclass(frozen=True, slots=True)
class SourceShare:
    """`share`: of the votes with feature and behaviour that stand in the source; `usual`: of all votes of the mix."""

    source: str
    share: float
    usual: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one behaviour of a case came about. `links`: the strongest that the prompt has, `sources`: where their rows stand.

    `chance`: share of random rows whose strongest link to the behaviour is at least as strong; small is good."""

    behaviour: str
    links: tuple[Link, ...]
    sources: tuple[SourceShare, ...]
    chance: float


@dataclass(frozen=True, slots=True)
class Trace:
    """One case with its explanations, the most surprising first. `problem`: why there is none."""

    id: str
    behaviours: tuple[str, ...]
    explanations: tuple[Explanation, ...]
    problem: str = ""


def read_cases(path: Path) -> Iterator[Case | Trace]:
    """The cases of a JSONL file: exchanges (`prompt` or `messages`, and `response`) and decision records. Raises OSError."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _case(line, f"{path.name}:{number}")


def _case(line: bytes, place: str) -> Case | Trace:
    try:
        doc = orjson.loads(line)
        if not isinstance(doc, dict):
            raise BadRow("not an object")
        return _recorded(doc) if "decision_id" in doc else _exchanged(doc, place)
    except (orjson.JSONDecodeError, BadRow) as error:
        return Trace(place, (), (), f"cannot be read: {error}")


def _recorded(doc: dict[str, Any]) -> Case:
    """A record holds no text: its triggers and its modes are all there is."""
    triggers, modes = doc.get("triggers") or [], doc.get("modes") or []
    features = {f"trigger:{hit['name']}" for hit in triggers if isinstance(hit, dict) and isinstance(hit.get("name"), str)}
    behaviours = {f"{mode}{UNASKED}" for mode in modes if mode in MODES}
    return Case(str(doc["decision_id"]), frozenset(features), frozenset(with_modes(behaviours)))


def _exchanged(doc: dict[str, Any], place: str) -> Case:
    answer = doc.get("response")
    turns = doc.get("messages")
    if isinstance(turns, list) and answer is not None:
        last = answer if isinstance(answer, dict) else {"content": answer}
        doc = {**doc, "messages": [*turns, {"role": "assistant", **last}]}
    examples = read_examples(doc)
    if not examples:
        raise BadRow("no answer")
    example, suite = examples[-1], warm_suite()
    scores = suite.score_prompt(example.conversation)
    named = {mode for mode in (doc.get("behaviour"),) if mode in MODES}
    behaviours = behaviours_of(suite, example, scores) | {f"{mode}{UNASKED}" for mode in named}
    row_id = doc.get("id")
    return Case(
        str(row_id) if row_id is not None else place, frozenset(features_of(example, scores)), frozenset(with_modes(behaviours))
    )


def explain(cases: Iterable[Case | Trace], mix: Mix, links: Sequence[Link]) -> list[Trace]:
    """Every case explained by the links of a mix."""
    by_behaviour: dict[str, list[Link]] = defaultdict(list)
    for link in links:
        if not link.intended:
            by_behaviour[link.behaviour].append(link)
    rows = sample_rows(mix, NULL_ROWS)
    usual = {name: count / max(1, mix.summary.examples) for name, count in mix.summary.sources.items()}
    null = {behaviour: _null(own, rows) for behaviour, own in by_behaviour.items()}
    return [case if isinstance(case, Trace) else _explained(case, by_behaviour, null, usual) for case in cases]


def sample_rows(mix: Mix, count: int) -> list[frozenset[str]]:
    """The features of random rows of a mix, every vote being equally likely."""
    each = -(-count // max(1, len(mix.parts)))
    rows: list[frozenset[str]] = []
    for task in mix.count_tasks():
        table = numbered(task)
        order = orders(task.votes.part, task.votes.share)
        for place in np.argsort(order)[:each]:
            rows.append(frozenset(mix.vocabulary.features[number - 1] for number in table["feature"][int(place)]))
    return rows[:count] if len(rows) > count else rows


def _null(links: Sequence[Link], rows: Sequence[frozenset[str]]) -> list[float]:
    return sorted(max((link.strength[1] for link in links if link.feature in row), default=0.0) for row in rows)


def _explained(case: Case, by_behaviour: dict[str, list[Link]], null: dict[str, list[float]], usual: dict[str, float]) -> Trace:
    explanations = []
    for behaviour in sorted(case.behaviours & by_behaviour.keys()):
        own = [link for link in by_behaviour[behaviour] if link.feature in case.features]
        own.sort(key=lambda link: link.strength, reverse=True)
        if own:
            strongest = max(link.strength[1] for link in own)
            above = len(null[behaviour]) - int(np.searchsorted(null[behaviour], strongest, "left"))
            chance = (1 + above) / (1 + len(null[behaviour]))
            explanations.append(Explanation(behaviour, tuple(own[:NAMED]), _sources(own[:NAMED], usual), chance))
    # An unasked mode says more than the mode, a mode more than an opening.
    explanations.sort(
        key=lambda each: (":" in each.behaviour, not each.behaviour.endswith(UNASKED), each.chance, each.behaviour)
    )
    shown = tuple(sorted(behaviour for behaviour in case.behaviours if ":" not in behaviour))
    problem = "" if explanations else _why_none(case, shown)
    return Trace(case.id, shown, tuple(explanations), problem)


def _why_none(case: Case, shown: tuple[str, ...]) -> str:
    if not shown:
        return "the detectors see no behaviour in the answer; name one in the field 'behaviour'"
    return "no link of the mix goes with this prompt's features" if case.features else "the prompt has no feature"


def _sources(links: Sequence[Link], usual: dict[str, float]) -> tuple[SourceShare, ...]:
    votes: dict[str, float] = defaultdict(float)
    for link in links:
        for share in link.sources:
            votes[share.source] += share.both
    total = sum(votes.values()) or 1.0
    ordered = sorted(votes.items(), key=lambda item: (-item[1], item[0]))
    return tuple(SourceShare(name, count / total, usual.get(name, 0.0)) for name, count in ordered[:NAMED] if count)
