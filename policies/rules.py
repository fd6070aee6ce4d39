"""What the fields of one policy must hold together: a policy that could never do what it says is refused.

One rule: every check returns all its problems; none stops at the first, none raises for a bad policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from core.types import EARLY_MODES, HoldKind, Mode
from policies.schema import TRIGGERS, HoldSpec, Policy, Problem

#: Modes with a form of probe: only here can a changed question settle what is true.
PROBE_MODES: Final[frozenset[Mode]] = frozenset({"rebuttal"})
#: Modes for which `neutralise` knows a rewrite.
NEUTRALISE_MODES: Final[frozenset[Mode]] = frozenset({"rebuttal", "code", "tool_call", "refusal", "math", "extraction"})

Found = Iterator[tuple[str, str]]


def check_triggers(policy: Policy) -> Found:
    """Unknown names, and new triggers under a shipped or repeated name."""
    seen: set[str] = set()
    for number, trigger in enumerate(policy.triggers):
        key = f"triggers.{number}"
        if not trigger.custom and trigger.name not in TRIGGERS:
            yield key, f"unknown trigger {trigger.name!r}; define it by keywords, regex or score, or use: {', '.join(TRIGGERS)}"
        if trigger.custom and trigger.name in TRIGGERS:
            yield key, f"{trigger.name!r} is the name of a shipped trigger and cannot be defined anew"
        if trigger.name in seen:
            yield key, f"trigger {trigger.name!r} is listed twice"
        seen.add(trigger.name)


def check_boundary(policy: Policy) -> Found:
    """A boundary that is used but has no text, or one nothing can raise."""
    boundary = policy.boundary
    used = any("boundary" in rung.change for rung in policy.ladder)
    if boundary.inject != "never" and "en" not in boundary.text:
        yield "boundary.text", "an English text (en) is required: it is used for every language that has none"
    for language, text in boundary.text.items():
        if len(text) > boundary.max_chars:
            yield f"boundary.text.{language}", f"{len(text)} characters, more than boundary.max_chars = {boundary.max_chars}"
    if boundary.inject == "on_trigger" and not policy.triggers:
        yield "boundary.inject", "on_trigger, but the policy lists no triggers"
    if used and boundary.inject == "never":
        yield "boundary.inject", "never, but the ladder adds the boundary"
    if boundary.inject == "on_retry" and not used:
        yield "boundary.inject", "on_retry, but no rung of the ladder adds the boundary"


def check_thresholds(policy: Policy) -> Found:
    """`suspect` must come before `misrouted`."""
    if policy.check.suspect_at > policy.check.misrouted_at:
        yield "check.suspect_at", f"{policy.check.suspect_at} is above check.misrouted_at = {policy.check.misrouted_at}"


def _check_one_hold(key: str, hold: HoldSpec) -> Found:
    if hold.kind in ("prefix", "window") and hold.chars == 0:
        yield f"{key}.chars", f"a {hold.kind} needs a number of characters"
    if hold.kind in ("none", "all") and (hold.chars or hold.context or hold.timeout_ms):
        yield key, f"{hold.kind} takes no chars, context or timeout_ms"
    if hold.kind == "window" and hold.context > hold.chars:
        yield f"{key}.context", f"{hold.context} is more than the window of {hold.chars} characters"
    if hold.kind == "window" and hold.timeout_ms:
        yield f"{key}.timeout_ms", "only a prefix has a timeout"
    if hold.kind == "prefix" and hold.context:
        yield f"{key}.context", "only a window has a context"


def check_holds(policy: Policy) -> Found:
    """Impossible numbers, and a trigger that would loosen the hold."""
    yield from _check_one_hold("hold.default", policy.hold.default)
    if policy.hold.on_trigger is None:
        return
    yield from _check_one_hold("hold.on_trigger", policy.hold.on_trigger)
    if policy.hold.on_trigger.value().kind < policy.hold.default.value().kind:
        yield "hold.on_trigger", f"{policy.hold.on_trigger.kind} is weaker than hold.default = {policy.hold.default.kind}"
    if not policy.triggers:
        yield "hold.on_trigger", "the policy lists no triggers that could raise it"


def check_ladder_against_hold(policy: Policy) -> Found:
    """A retry needs an answer that is still held, and judged while it is."""
    if not policy.retries:
        return
    holds = {"hold.default": policy.hold.default, "hold.on_trigger": policy.hold.triggered}
    if all(hold.kind == "none" for hold in holds.values()):
        yield "ladder", "retry or fallback under hold none: the answer leaves before it is judged; set a hold"
    if policy.mode in EARLY_MODES:
        return
    for key, hold in holds.items():
        given = key == "hold.default" or policy.hold.on_trigger is not None
        if given and hold.value().kind in (HoldKind.PREFIX, HoldKind.WINDOW):
            yield key, f"{hold.kind} with a retry: {policy.mode} can only be judged on the whole answer; use all or none"


def check_rungs(policy: Policy) -> Found:
    """Rungs that contradict themselves or can never be reached."""
    last = len(policy.ladder) - 1
    for number, rung in enumerate(policy.ladder):
        key = f"ladder.{number}"
        if not rung.attempts and number != last:
            yield key, f"{rung.action} ends the ladder; no rung may follow it"
        if not rung.attempts and (rung.change or rung.upstream or rung.model):
            yield key, f"{rung.action} asks nobody, so it takes no change, upstream or model"
        if rung.action == "fallback" and not (rung.upstream or rung.model):
            yield key, "fallback needs an upstream or a model"
        if rung.action == "retry" and (rung.upstream or rung.model):
            yield key, "another upstream or model is a fallback, not a retry"
        if len(set(rung.change)) != len(rung.change):
            yield f"{key}.change", "a change is listed twice"
        if rung.action == "block" and policy.mode == "analytic":
            yield key, "analytic answers are never blocked: the remedy is to add, not to withhold"
    if policy.retries and policy.budgets.attempts < 2:
        yield "budgets.attempts", "1 attempt leaves none for the retries of the ladder"


def check_changes(policy: Policy) -> Found:
    """Changes of the prompt that do not exist for the mode."""
    for number, rung in enumerate(policy.ladder):
        key = f"ladder.{number}.change"
        if rung.probe and policy.mode not in PROBE_MODES:
            yield key, f"probe makes no sense for {policy.mode}: no changed question settles it"
        if rung.probe and (rung.action != "retry" or rung.change != ("probe",)):
            yield key, "a probe is a retry and the only change of its rung"
        if "neutralise" in rung.change and policy.mode not in NEUTRALISE_MODES:
            yield key, f"neutralise knows no rewrite for {policy.mode}"


def check_harm_gate(policy: Policy) -> Found:
    """A refusal is retried only where an independent look at the prompt says it is benign."""
    if policy.mode == "refusal" and policy.retries and policy.harm_at_most is None:
        yield "harm_at_most", "required: a refusal is retried only where the harm score of the prompt is known and low"


def check_examples(policy: Policy) -> Found:
    """Examples that cannot be run."""
    names = {trigger.name for trigger in policy.triggers}
    for side in ("match", "no_match"):
        for number, example in enumerate(getattr(policy.examples, side)):
            key = f"examples.{side}.{number}"
            if bool(example.prompt) == bool(example.messages):
                yield key, "give either prompt or messages"
            if example.expect is not None and example.response is None:
                yield f"{key}.expect", "a verdict needs a response"
            if example.triggers is not None and not names.issuperset(example.triggers):
                yield f"{key}.triggers", f"not triggers of this policy: {', '.join(sorted(set(example.triggers) - names))}"


CHECKS: Final[tuple[Callable[[Policy], Found], ...]] = (
    check_triggers,
    check_boundary,
    check_thresholds,
    check_holds,
    check_ladder_against_hold,
    check_rungs,
    check_changes,
    check_harm_gate,
    check_examples,
)


def check_policy(policy: Policy, source: str) -> tuple[Problem, ...]:
    """All problems of a well-formed policy."""
    return tuple(Problem(source, key, reason) for check in CHECKS for key, reason in check(policy))


def _problem(source: str, error: ErrorDetails) -> Problem:
    parts = [str(part) for part in error["loc"] if part != "[key]"]
    reason = "unknown field" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
    return Problem(source, ".".join(parts), reason)


def parse_policy(data: Mapping[str, Any], source: str) -> tuple[Policy | None, tuple[Problem, ...]]:
    """Read one policy from plain data: the policy, or all its problems (fields alone and together) at once."""
    try:
        policy = Policy.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        problems = tuple(_problem(source, detail) for detail in details)
        return None, problems + _checks_of_the_rest(data, {str(detail["loc"][0]) for detail in details}, source)
    problems = check_policy(policy, source)
    return (None, problems) if problems else (policy, ())


def _checks_of_the_rest(data: Mapping[str, Any], bad: set[str], source: str) -> tuple[Problem, ...]:
    # The blocks that can be read are still checked together, so that one round of mending is enough.
    rest = {key: value for key, value in data.items() if str(key) not in bad}
    try:
        policy = Policy.model_validate(rest)
    except ValidationError:
        return ()
    return tuple(problem for problem in check_policy(policy, source) if problem.key.split(".")[0] in rest)
