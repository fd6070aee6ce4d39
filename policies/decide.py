"""Decides for one conversation: the verdict on an answer and the next action, as the policies of its route want it.

Owns the meaning of the ladder. One rule: pure - the same conversation, scores and step always give the same action, and no
action asks again where `gate.py` names a reason against it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

from core.types import (
    MODERATED,
    Action,
    ActionKind,
    Boundary,
    Budgets,
    Change,
    Conversation,
    Edit,
    Finding,
    Hold,
    HoldKind,
    Level,
    Mode,
    Reply,
    Scores,
    Span,
    Step,
    Verdict,
)
from core.values import frozen
from policies.boundaries import boundaries_of, join_boundaries
from policies.gate import against_budget, against_harm, against_policy
from policies.language import pick_language
from policies.neutralise import neutralise
from policies.probes import Probe, contradicts, demanded, make_probe
from policies.schema import Policy, Rung

#: One policy as `judge` reads it: mode, name, suspect_at, misrouted_at, early, enforcing, fail_closed.
Check = tuple[Mode, str, float, float, bool, bool, bool]


@frozen
class Facts:
    """What a plan was made from: the route's policies in its order and by place, and this conversation's hits."""

    policies: tuple[Policy, ...]
    #: Places of the policies in the order of the mode table, in which boundaries are joined.
    table_order: tuple[int, ...]
    checks: tuple[Check, ...]
    #: Per policy: the trigger hits that act on it; empty where its licence silences them.
    hits: Mapping[int, tuple[Span, ...]]
    #: Per policy: the trigger hits that its licence silenced, for the trace.
    licensed: Mapping[int, tuple[Span, ...]]
    #: Per policy: its own hold for this conversation.
    holds: tuple[Hold, ...]
    #: Places of the policies whose boundary is in the first request.
    injected: tuple[int, ...]
    notes: tuple[str, ...] = ()


@frozen
class RoutePlan:
    """A `core.types.Plan`, with the trace that explains it."""

    conversation: Conversation
    prompt: Scores
    facts: Facts
    first_change: Change
    hold: Hold
    budgets: Budgets
    release_reasoning: bool

    @property
    def triggers(self) -> tuple[Span, ...]:
        """All trigger hits of the prompt, of every user turn; only those of the last one act."""
        return self.prompt.spans

    @property
    def trace(self) -> tuple[dict[str, Any], ...]:
        """One entry per policy, in the route's order: what raised it, what it adds, how much it holds, and why; then notes."""
        entries = [self._entry(place, policy) for place, policy in enumerate(self.facts.policies)]
        return (*entries, *({"note": note} for note in self.facts.notes))

    def _entry(self, place: int, policy: Policy) -> dict[str, Any]:
        hits = self.facts.hits.get(place, ())
        silenced = self.facts.licensed.get(place, ())
        reason = "trigger" if hits else ("licensed" if silenced else "default")
        inject = policy.boundary.inject
        return {
            "policy": policy.name,
            "mode": policy.mode,
            "enforcement": policy.enforcement,
            "hits": [_plain(span) for span in (*hits, *silenced)],
            "reason": reason,
            "boundary": inject if place in self.facts.injected else "",
            "hold": self.facts.holds[place].kind.name.lower(),
            "counts": policy.enforcing,
        }

    # -- the verdict ---------------------------------------------------------------------------------------------------

    def judge(self, replies: Sequence[Reply], scores: Sequence[Scores], *, final: bool) -> Verdict:
        """Judge all choices of one attempt. A score that is missing, or absent, leaves its policy unchecked, never clear."""
        findings: list[Finding] = []
        unchecked: set[str] = set()
        refused: set[str] = set()
        for reply, score in zip(replies, scores, strict=True):
            values = score.values
            for mode, name, suspect_at, misrouted_at, early, enforcing, closed in self.facts.checks:
                if not (final or early):
                    continue
                value = values.get(mode)
                if value is None:
                    unchecked.add(name)
                    if closed:
                        refused.add(name)
                elif value >= suspect_at:
                    cleared = value < misrouted_at and mode == "refusal" and values.get(MODERATED) == 0.0
                    level = Level.MISROUTED if cleared or value >= misrouted_at else Level.SUSPECT
                    spans = _evidence(mode, score)
                    findings.append(Finding(mode, reply.choice, level, value, name, enforcing, spans, cleared))
        return Verdict(tuple(findings), frozenset(unchecked), frozenset(refused)) if findings or unchecked else _CLEAR

    def asks_moderation(self, scores: Sequence[Scores]) -> bool:
        """Whether the word of a moderation endpoint could change what is done about replies with these scores: a refusal is
        suspected by an enforcing policy that would ask again if the prompt were called benign."""
        return any(
            policy.mode == "refusal"
            and policy.enforcing
            and any(policy.check.suspect_at <= s.values.get("refusal", -1.0) < policy.check.misrouted_at for s in scores)
            and not against_policy(policy, self.facts.holds[place], self.conversation)
            and not against_harm(policy, self.conversation, self.prompt, refused=True, cleared=True)
            for place, policy in enumerate(self.facts.policies)
        )

    # -- the action ----------------------------------------------------------------------------------------------------

    def choose_action(self, verdict: Verdict, step: Step) -> Action:
        """What to do next: OBSERVE where no enforcing policy found or missed anything, FLAG where nothing else is left to do.

        After commit only a window can still withhold what has not left."""
        acting = verdict.acting
        if not acting:
            if not verdict.unchecked:
                return _OBSERVE
            missed = any(policy.enforcing and policy.name in verdict.unchecked for policy in self.facts.policies)
            return Action(ActionKind.FLAG, reason="unchecked") if missed else _OBSERVE
        firing = {finding.policy: finding for finding in reversed(acting) if finding.level is Level.MISROUTED}
        if step.committed:
            ended = self._end(firing, "committed") if self.hold.kind is HoldKind.WINDOW else None
            return ended if ended and ended.kind is ActionKind.BLOCK else _flag(acting[0], "committed")
        refusals = [finding for finding in verdict.findings if finding.mode == "refusal"]
        if not firing:
            return self._probe({finding.policy for finding in acting}, step, refusals) or _flag(acting[0], "suspect")
        return self._climb(firing, step, refusals)

    def _climb(self, firing: Mapping[str, Finding], step: Step, refusals: Sequence[Finding]) -> Action:
        """The next rung of the one ladder: of the policy that began it, else of the first listed that may ask again."""
        begun = next((action.policy for action in reversed(step.taken) if not action.probe), "")
        reason = "no ladder"
        for place, policy in enumerate(self.facts.policies):
            if policy.name not in firing or (begun and policy.name != begun):
                continue
            denied = self._denied(place, step, refusals)
            rungs = [] if denied else self._rungs(policy)
            done = sum(action.policy == policy.name and not action.probe for action in step.taken)
            if done < len(rungs):
                number, rung, change = rungs[done]
                return Action(rung.kind, change, policy.name, policy.mode, reason=f"rung {number}")
            reason = denied or "ladder ended"
        return self._end(firing, reason)

    def _denied(self, place: int, step: Step, refusals: Sequence[Finding]) -> str:
        policy = self.facts.policies[place]
        refused = bool(refusals)
        cleared = refused and all(finding.cleared for finding in refusals)
        return (
            against_policy(policy, self.facts.holds[place], self.conversation)
            or against_harm(policy, self.conversation, self.prompt, refused=refused, cleared=cleared)
            or against_budget(self.budgets, step, self.estimate_tokens())
        )

    def _end(self, firing: Mapping[str, Finding], reason: str) -> Action:
        """The highest of what the firing ladders end in: BLOCK where one does, else FLAG."""
        for policy in self.facts.policies:
            if policy.name in firing and policy.ladder and policy.ladder[-1].action == "block":
                return Action(ActionKind.BLOCK, policy=policy.name, mode=policy.mode, reason=reason)
        return Action(ActionKind.FLAG, reason=reason) if not firing else _flag(next(iter(firing.values())), reason)

    def _probe(self, suspected: Set[str], step: Step, refusals: Sequence[Finding]) -> Action | None:
        """One probe of the first answer, where a suspecting policy has one and the prompt holds something it can settle."""
        if step.taken:
            return None
        for place, policy in enumerate(self.facts.policies):
            if policy.name not in suspected or not any(rung.probe for rung in policy.ladder):
                continue
            probe = None if self._denied(place, step, refusals) else make_probe(self.conversation, self.prompt.spans)
            if probe is not None:
                change = Change(self._names("probe"), self.first_change.boundaries, probe.edits)
                return Action(ActionKind.RETRY, change, policy.name, policy.mode, probe=True, reason=probe.kind)
        return None

    # -- changes of the prompt -----------------------------------------------------------------------------------------

    def _rungs(self, policy: Policy) -> list[tuple[int, Rung, Change]]:
        """The attempts that the ladder offers here, with their number and complete change. A rung that names changes which
        come to nothing for this prompt, so that it would ask the same again, is left out."""
        rungs = []
        for number, rung in enumerate(policy.ladder, start=1):
            if not rung.attempts or rung.probe:
                continue
            change = self._change(policy, rung)
            if not rung.change or change != self.first_change:
                rungs.append((number, rung, change))
        return rungs

    def _change(self, policy: Policy, rung: Rung) -> Change:
        boundaries = self.first_change.boundaries
        edits: tuple[Edit, ...] = ()
        names: list[str] = []
        if "boundary" in rung.change:
            boundaries = self._boundaries_with(policy)
            names.append("boundary")
        if "neutralise" in rung.change:
            edits = neutralise(self.conversation, self.prompt.spans, policy.mode)
            names.extend(["neutralise"] if edits else [])
        return Change(self._names(*names), boundaries, edits, rung.upstream, rung.model)

    def _names(self, *names: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.first_change.names, *names)))

    def _boundaries_with(self, policy: Policy) -> tuple[Boundary, ...]:
        last = self.conversation.last_user
        chosen = [
            self.facts.policies[place]
            for place in self.facts.table_order
            if place in self.facts.injected or self.facts.policies[place] is policy
        ]
        return join_boundaries(boundaries_of(chosen, pick_language(last.text if last else "")))[0]

    # -- probes --------------------------------------------------------------------------------------------------------

    def estimate_tokens(self) -> int:
        """Tokens reserved for one more attempt: the largest estimate of an enforcing policy, or the request's `max_tokens`,
        whichever is less, times its choices."""
        conversation = self.conversation
        each = max((policy.budgets.estimate_tokens for policy in self.facts.policies if policy.enforcing), default=0)
        if conversation.max_tokens is not None:
            each = min(each, conversation.max_tokens)
        return each * conversation.n

    def valid(self, replies: Sequence[Reply]) -> bool:
        """Whether every choice is JSON, where the request demanded JSON and the choice is no tool call."""
        return not self.conversation.structured or all(reply.tool_calls or _is_json(reply.text) for reply in replies)

    def disagrees(self, action: Action, first: Sequence[Reply], probe: Sequence[Reply]) -> bool | None:
        """Whether the probe's verdict is positive where the first answer was negative; None where either cannot be read."""
        made = self._made(action)
        return None if made is None else contradicts(made, first, probe)

    def reapply(self, action: Action, replies: Sequence[Reply]) -> tuple[str, ...] | None:
        """The content of each choice in the form the client asked for; None for an action that is no probe."""
        made = self._made(action)
        return None if made is None else demanded(made, replies)

    def _made(self, action: Action) -> Probe | None:
        return make_probe(self.conversation, self.prompt.spans) if action.probe else None


_CLEAR: Final = Verdict()
_OBSERVE: Final = Action(ActionKind.OBSERVE)


def _evidence(mode: Mode, scores: Scores) -> tuple[Span, ...]:
    prefix = mode + "."
    return tuple(span for span in scores.spans if span.name.startswith(prefix))


def _flag(finding: Finding, reason: str) -> Action:
    return Action(ActionKind.FLAG, policy=finding.policy, mode=finding.mode, reason=reason)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _plain(span: Span) -> dict[str, Any]:
    return {"name": span.name, "message": span.message, "start": span.start, "end": span.end}
