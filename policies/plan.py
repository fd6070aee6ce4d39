"""Compiles the policies of a route once, and makes the plan of each conversation from them.

Owns how policies of a route combine: strictest hold, smallest budgets, boundaries in the order of the mode table. One rule:
a policy in `observe` never changes an enforcing policy's plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.types import (
    EARLY_MODES,
    MODES,
    Budgets,
    Change,
    Conversation,
    Hold,
    HoldKind,
    Scores,
    Span,
    TriggerSpec,
)
from policies.boundaries import MAX_BOUNDARY_CHARS, boundaries_of, join_boundaries
from policies.decide import Check, Facts, RoutePlan
from policies.language import pick_language
from policies.schema import Policy

#: From here on a licence score says that the behaviour was asked for.
LICENSED_AT: Final = 0.5
_NO_CHANGE: Final = Change()
_NO_HITS: Final[Mapping[int, tuple[Span, ...]]] = {}


def combine_holds(holds: Iterable[Hold]) -> Hold:
    """The strictest: the highest kind, the longest stretch, the most context, the longest wait (0 waits without end)."""
    held = [hold for hold in holds if hold.kind is not HoldKind.NONE]
    if not held:
        return Hold()
    kind = max(hold.kind for hold in held)
    if kind is HoldKind.ALL:
        return Hold(kind)
    # A window is at least as long as the prefix another policy wants: its first window is that prefix.
    chars = max(hold.chars for hold in held)
    if kind is HoldKind.WINDOW:
        return Hold(kind, chars, max(hold.context for hold in held))
    waits = [hold.timeout_ms for hold in held]
    return Hold(kind, chars, 0, 0 if 0 in waits else max(waits))


def combine_budgets(policies: Iterable[Policy]) -> Budgets:
    """The smallest of each budget; one attempt where no policy may act."""
    budgets = [policy.budgets for policy in policies]
    if not budgets:
        return Budgets(attempts=1, added_ms=0, added_tokens=0)
    return Budgets(
        min(budget.attempts for budget in budgets),
        min(budget.added_ms for budget in budgets),
        min(budget.added_tokens for budget in budgets),
    )


@dataclass(frozen=True, slots=True)
class CompiledRoute:
    """The policies of a route, ready to plan. Built once by `compile_route`.

    `needs`: names of the prompt and reply scores that its policies read. `triggers`: the custom triggers that detectors must
    look for."""

    policies: tuple[Policy, ...]
    needs: frozenset[str]
    triggers: tuple[TriggerSpec, ...]
    budgets: Budgets
    release_reasoning: bool
    checks: tuple[Check, ...]
    table_order: tuple[int, ...]
    #: Trigger name -> the places of the policies that list it.
    listeners: Mapping[str, tuple[int, ...]]
    #: Custom triggers on a prompt score: (place, name, score, at_least).
    thresholds: tuple[tuple[int, str, str, float], ...]
    licences: tuple[tuple[str, ...], ...]
    quiet_holds: tuple[Hold, ...]
    raised_holds: tuple[Hold, ...]
    enforcing: tuple[int, ...]
    always: tuple[int, ...]
    #: The combined hold of a prompt that raises nothing, not streamed and streamed.
    quiet: tuple[Hold, Hold]

    @property
    def acts(self) -> bool:
        """Whether any policy may change what a client gets. Where none may, a plan is the same whatever the prompt scores."""
        return bool(self.enforcing)

    def make_plan(self, conversation: Conversation, prompt_scores: Scores, *, stream: bool) -> RoutePlan:
        """The plan for one conversation. `prompt_scores`: what detectors say of it; its spans are the trigger hits.

        A reply that is not streamed is of no use before its end, so every hold of one keeps the whole of it."""
        hits, licensed = self._hits(conversation, prompt_scores)
        if not hits and not self.always:
            facts = Facts(self.policies, self.table_order, self.checks, hits, licensed, self.quiet_holds, ())
            hold = self.quiet[stream]
            return RoutePlan(conversation, prompt_scores, facts, _NO_CHANGE, hold, self.budgets, self.release_reasoning)
        holds = tuple(
            raised if place in hits else quiet
            for place, (quiet, raised) in enumerate(zip(self.quiet_holds, self.raised_holds, strict=True))
        )
        injected = tuple(place for place in self.table_order if self._injects(place, hits))
        change, notes = self._first_change(conversation, injected)
        facts = Facts(self.policies, self.table_order, self.checks, hits, licensed, holds, injected, notes)
        hold = _whole(combine_holds(holds[place] for place in self.enforcing), stream)
        return RoutePlan(conversation, prompt_scores, facts, change, hold, self.budgets, self.release_reasoning)

    def _injects(self, place: int, hits: Mapping[int, tuple[Span, ...]]) -> bool:
        policy = self.policies[place]
        inject = policy.boundary.inject
        return policy.enforcing and (inject == "always" or (inject == "on_trigger" and place in hits))

    def _first_change(self, conversation: Conversation, injected: Sequence[int]) -> tuple[Change, tuple[str, ...]]:
        last = conversation.last_user
        if not injected:
            return _NO_CHANGE, ()
        texts = boundaries_of([self.policies[place] for place in injected], pick_language(last.text if last else ""))
        joined, left_out = join_boundaries(texts)
        notes = (f"boundary left out, beyond {MAX_BOUNDARY_CHARS} characters: {each.text[:60]}" for each in left_out)
        return Change(("boundary",), joined), tuple(notes)

    def _hits(
        self, conversation: Conversation, scores: Scores
    ) -> tuple[Mapping[int, tuple[Span, ...]], Mapping[int, tuple[Span, ...]]]:
        """Per policy the hits in the last user turn, and those that its licence silences."""
        raised = self.raised(conversation, scores)
        if not raised:
            return _NO_HITS, _NO_HITS
        acting: dict[int, tuple[Span, ...]] = {}
        silenced: dict[int, tuple[Span, ...]] = {}
        values = scores.values
        for place, spans in raised.items():
            asked = any(values.get(name, 0.0) >= LICENSED_AT for name in self.licences[place])
            (silenced if asked else acting)[place] = tuple(spans)
        return acting, silenced

    def raised(self, conversation: Conversation, scores: Scores) -> dict[int, list[Span]]:
        """Per policy (by its place) the trigger hits in the last user turn, licensed or not."""
        raised: dict[int, list[Span]] = {}
        if not scores.spans and not self.thresholds:
            return raised
        last = conversation.last_user
        if last is None:
            return raised
        for span in scores.spans:
            if span.message == last.index:
                for place in self.listeners.get(span.name, ()):
                    raised.setdefault(place, []).append(span)
        for place, name, score, at_least in self.thresholds:
            whole = Span(name, last.index, 0, len(last.text))
            if scores.values.get(score, -1.0) >= at_least and whole not in raised.get(place, ()):
                raised.setdefault(place, []).append(whole)
        return raised


def _whole(hold: Hold, stream: bool) -> Hold:
    return hold if stream or hold.kind is HoldKind.NONE else Hold(HoldKind.ALL)


def _needs(policies: Sequence[Policy]) -> frozenset[str]:
    names: set[str] = set()
    for policy in policies:
        names.add(policy.mode)
        names.update(policy.licence)
        names.update(trigger.score for trigger in policy.triggers if trigger.score)
        if policy.mode == "refusal" or (policy.enforcing and policy.retries):
            names.add("harm")
    return frozenset(names)


def compile_route(policies: Sequence[Policy]) -> CompiledRoute:
    """Everything about the policies of a route that no conversation changes. The order given is the order of ownership."""
    listeners: dict[str, tuple[int, ...]] = {}
    specs: dict[str, TriggerSpec] = {}
    thresholds = []
    for place, policy in enumerate(policies):
        for trigger in policy.triggers:
            listeners[trigger.name] = (*listeners.get(trigger.name, ()), place)
            if trigger.custom:
                specs[trigger.name] = trigger.spec()
            if trigger.score:
                thresholds.append((place, trigger.name, trigger.score, trigger.at_least))
    enforcing = tuple(place for place, policy in enumerate(policies) if policy.enforcing)
    quiet_holds = tuple(policy.hold.default.value() for policy in policies)
    quiet = combine_holds(quiet_holds[place] for place in enforcing)
    acting = [policies[place] for place in enforcing]
    return CompiledRoute(
        policies=tuple(policies),
        needs=_needs(policies),
        triggers=tuple(specs.values()),
        budgets=combine_budgets(acting),
        release_reasoning=bool(acting) and all(policy.release_reasoning for policy in acting),
        checks=tuple(_check(policy) for policy in policies),
        table_order=tuple(sorted(range(len(policies)), key=lambda place: MODES.index(policies[place].mode))),
        listeners=listeners,
        thresholds=tuple(thresholds),
        licences=tuple(policy.licence for policy in policies),
        quiet_holds=quiet_holds,
        raised_holds=tuple(policy.hold.triggered.value() for policy in policies),
        enforcing=enforcing,
        always=tuple(place for place in enforcing if policies[place].boundary.inject == "always"),
        quiet=(_whole(quiet, False), quiet),
    )


def _check(policy: Policy) -> Check:
    check = policy.check
    closed = policy.enforcing and policy.failure_mode == "fail_closed"
    early = policy.mode in EARLY_MODES
    return (policy.mode, policy.name, check.suspect_at, check.misrouted_at, early, policy.enforcing, closed)


def make_plan(policies: Sequence[Policy], conversation: Conversation, prompt_scores: Scores, *, stream: bool) -> RoutePlan:
    """`compile_route(policies).make_plan(...)`, for a single conversation."""
    return compile_route(policies).make_plan(conversation, prompt_scores, stream=stream)
