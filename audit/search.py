"""The search: candidates by weight, a control arm, cells against collapse, and findings out of what fails.

One rule: a step depends on the state before it and on the run's seed alone; a run that was killed repeats its last step and
finds the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from audit.asking import Asker, seed_of
from audit.confirm import Finding, examine, finding_of
from audit.grammar import Candidate, cell, compose, near
from audit.pool import Pool
from audit.weights import Weights, uniform
from core.types import Mode
from core.values import frozen

#: One candidate of so many is the control arm's.
BATCH: Final = 10
#: Looks at a candidate: answers, and how many of all so far must be mis-routed for the next one, in the end a close one.
_LOOKS: Final = ((1, 1), (2, 2), (3, 3))
#: How often candidates of one ask and topic group are looked at closely in vain.
_TRIES: Final = 2
#: Draws for a prompt that was not asked yet; steps in a row without one after which a run is over.
_ATTEMPTS: Final = 20
_IDLE: Final = 50


@frozen
class Plan:
    """What is asked for. `control`: only the control arm's candidates. `calls`, `tokens`: budgets; tokens 0 = any number.

    `money`: another, in the currency of `prices`, those of a million tokens of prompts and of answers; 0 = any sum."""

    modes: tuple[Mode, ...]
    calls: int = 5000
    tokens: int = 0
    run: int = 0
    control: bool = False
    money: float = 0.0
    prices: tuple[float, float] = (0.0, 0.0)

    def document(self) -> dict[str, Any]:
        return {"modes": list(self.modes), "run": self.run, "control": self.control}


@dataclass
class State:
    """All that a run knows. `iteration`: candidates so far. `arms`: candidates, and of them suspicious ones, by arm.

    `tokens`: of prompts and answers; `written`: of answers alone. `asked`, `hits`: see `Weights`. `seen`: words of prompts.
    `tried`: close looks in vain. `cells`: findings by cell.
    """

    iteration: int = 0
    calls: int = 0
    tokens: int = 0
    written: int = 0
    missing: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    tried: Counter[str] = field(default_factory=Counter)
    arms: Counter[str] = field(default_factory=Counter)
    cells: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in ("iteration", "calls", "tokens", "written", "missing")}
        tallies = {name: dict(getattr(self, name)) for name in ("asked", "hits", "tried", "arms", "cells")}
        return {
            **counts, **tallies, "seen": sorted(self.seen), "findings": [one.document() for one in self.findings],
        }  # fmt: skip

    @classmethod
    def of(cls, document: dict[str, Any]) -> State:
        tallies: dict[str, Any] = {name: Counter(document[name]) for name in ("asked", "hits", "tried", "arms", "cells")}
        made = cls(**{name: document[name] for name in ("iteration", "calls", "tokens", "written", "missing")}, **tallies)
        made.seen = set(document["seen"])
        made.findings = [finding_of(one) for one in document["findings"]]
        return made


class Search:
    """Steps of a run over one pool, target and judge. `state` is whole between steps."""

    def __init__(self, pool: Pool, asker: Asker, plan: Plan, state: State) -> None:
        self._pool = pool
        self._asker = asker
        self._plan = plan
        self.state = state
        asker.spent.calls, asker.spent.tokens, asker.spent.written = state.calls, state.tokens, state.written
        self._idle = 0
        self._weights = Weights(pool)
        self._weights.asked, self._weights.hits = state.asked, state.hits

    @property
    def over(self) -> bool:
        """Whether a budget is used up, or nothing new comes up any more. The step under way when that happens is finished."""
        plan, state = self._plan, self.state
        spent = bool(plan.tokens and state.tokens >= plan.tokens) or bool(plan.money and cost(plan, state) >= plan.money)
        return self._idle >= _IDLE or state.calls >= plan.calls or spent

    def step(self, on_finding: Callable[[Finding], None] = lambda finding: None) -> None:
        """One candidate: asked and, where it fails, examined."""
        batch, place = divmod(self.state.iteration, BATCH)
        control = self._plan.control or place == 0
        candidate = self._fresh(control, Random(seed_of(self._plan.run, batch, place, "propose")))
        self._idle = self._idle + 1 if candidate is None else 0
        finding = self._look(candidate, f"{batch}", control) if candidate is not None else None
        if finding is not None:
            self.state.findings.append(finding)
            on_finding(finding)
        self.state.iteration += 1
        spent = self._asker.spent
        self.state.calls, self.state.tokens, self.state.written = spent.calls, spent.tokens, spent.written

    def _fresh(self, control: bool, rng: Random) -> Candidate | None:
        """A candidate whose words were not asked yet; None where none comes up."""
        for _ in range(_ATTEMPTS):
            candidate = uniform(self._pool, rng) if control else self._proposed(rng)
            key = near(compose(self._pool, candidate))
            if key not in self.state.seen:
                self.state.seen.add(key)
                return candidate
        return None

    def _proposed(self, rng: Random) -> Candidate:
        """For a mode with few findings, away from the cells and groups that have theirs."""
        found = Counter(one.mode for one in self.state.findings)
        modes = self._plan.modes
        mode = rng.choices(modes, [1 / (1 + found[mode]) ** 3 for mode in modes])[0]
        return self._weights.propose(mode, rng, self._handicap(mode))

    def _handicap(self, mode: Mode) -> dict[str, float]:
        handicap = {}
        taken = {one.group for one in self.state.findings if one.mode == mode}
        for name, group in self._pool.groups["ask"].items():
            crowd = self.state.cells[f"{mode}/{group[0].language}/{group[0].form}"]
            handicap[name] = 1 / (1 + crowd)
        for name in taken:
            handicap[name] = 0.1
        for key, times in self.state.tried.items():
            tried_mode, ask, _ = key.split("/")
            if tried_mode == mode and times >= _TRIES:
                handicap[ask] = handicap.get(ask, 1.0) * 0.5
        return handicap

    def _look(self, candidate: Candidate, purpose: str, control: bool) -> Finding | None:
        """Ask the candidate; where it fails again on a second look, examine it."""
        text = compose(self._pool, candidate)
        arm = "control" if control else "weighted"
        self.state.arms[f"{arm}/candidates"] += 1
        hits: Counter[Mode] = Counter()
        worst = self._plan.modes[0]
        for number, (answers, needed) in enumerate(_LOOKS):
            rates = self._asker.ask(text, answers, f"{purpose}/look/{number}")
            self.state.missing += rates.missing
            self._weights.add(candidate, rates.n, rates.hits)
            hits += rates.hits
            worst = max(self._plan.modes, key=lambda mode: hits[mode])
            if hits[worst] < needed:
                return None
            if not number and not self._worth(candidate, worst):
                return None
        self.state.arms[f"{arm}/suspicious"] += 1
        return self._examine(candidate, worst, control)

    def _worth(self, candidate: Candidate, mode: Mode) -> bool:
        """Whether a finding could be a new one: none of its mode has its trigger, nor were close looks at its like in vain."""
        groups = {self._pool.attributes[name].group for name in candidate.names()}
        return not (groups & self._taken(mode)) and self.state.tried[self._key(candidate, mode)] < _TRIES

    def _taken(self, mode: Mode) -> set[str]:
        return {one.group for one in self.state.findings if one.mode == mode}

    def _key(self, candidate: Candidate, mode: Mode) -> str:
        ask, topic = (self._pool.attributes[name].group for name in (candidate.ask, candidate.topic))
        return f"{mode}/{ask}/{topic}"

    def _examine(self, candidate: Candidate, mode: Mode, control: bool) -> Finding | None:
        key = self._key(candidate, mode)
        taken = self._taken(mode)
        finding = examine(self._pool, self._asker, candidate, mode, uniform=control)
        if finding is None or finding.group in taken:
            self.state.tried[key] += 1
            return None
        language, form = cell(self._pool, candidate)
        self.state.cells[f"{mode}/{language}/{form}"] += 1
        return finding


def cost(plan: Plan, state: State) -> float:
    """What the tokens of a run cost so far."""
    asked, written = plan.prices
    return ((state.tokens - state.written) * asked + state.written * written) / 1e6


def distinct(findings: Sequence[Finding]) -> dict[Mode, list[Finding]]:
    """Findings by mode, the surest first."""
    made: dict[Mode, list[Finding]] = {}
    for one in findings:
        made.setdefault(one.mode, []).append(one)
    return {mode: sorted(found, key=lambda one: -one.share.hits) for mode, found in made.items()}
