"""What is kept of one exchange. Log and metrics are both derived from the record, so they cannot disagree.

One rule: a record holds names, numbers and offsets - never text of a prompt or an answer, a header, a credential or a model
name that a client chose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.types import ActionKind, AttemptSummary, HoldKind, Level, Mode, Outcome, OutcomeKind, Span, Usage, Verdict
from core.values import frozen

#: Values of `verdict`: the level, or `unjudged` where nobody judged.
VERDICTS = ("clear", "suspect", "misrouted", "unjudged")
_LEVELS = {Level.CLEAR: "clear", Level.SUSPECT: "suspect", Level.MISROUTED: "misrouted"}
_ACTIONS = {kind: kind.name.lower() for kind in ActionKind}
_NO_USAGE = Usage()
_HOLDS = {kind: kind.name.lower() for kind in HoldKind}


@frozen
class Place:
    """A named span: characters `[start, end)` of message `message`, -1 for the answer. No text."""

    name: str
    message: int
    start: int
    end: int


@frozen
class FindingRecord:
    """One finding above clear, of one attempt."""

    attempt: int
    choice: int
    mode: Mode
    level: str
    score: float
    policy: str
    acting: bool
    spans: tuple[Place, ...]


@frozen
class AttemptRecord:
    """One upstream call. `change`: what differed from the client's request. `failure`: its kind, empty where there was none."""

    number: int
    change: tuple[str, ...]
    probe: bool
    verdict: str
    complete: bool
    failure: str
    prompt_tokens: int
    completion_tokens: int
    estimated: bool


@frozen
class Seconds:
    """`added`: what the client waited longer than for the first attempt alone. `upstream`: all attempts together."""

    added: float = 0.0
    upstream: float = 0.0
    detector: float = 0.0
    total: float = 0.0


@frozen
class DecisionRecord:
    """One exchange. `time`: seconds since 1970. `outcome`: as of `Outcome.kind`, or `untouched` for what no policy saw.

    `verdict`: of the answer that was sent; `first_verdict`: of the first attempt; `modes`: found in the first attempt.
    `fixed`: modes that a retry or probe removed; `worse`: modes that a completed retry had newly or at a higher level.
    `moderation`: what the route's moderation endpoint said, empty where it was not asked.
    `hold_expired`: a prefix was judged early. `scans`: calls of the detectors. `holdout`: judged, deliberately not acted on.
    """

    decision_id: str
    time: float
    route: str
    endpoint: str
    streamed: bool = False
    status: int = 0
    outcome: OutcomeKind | str = "untouched"
    verdict: str = "unjudged"
    first_verdict: str = "unjudged"
    modes: tuple[Mode, ...] = ()
    findings: tuple[FindingRecord, ...] = ()
    triggers: tuple[Place, ...] = ()
    action: str = "observe"
    attempts: tuple[AttemptRecord, ...] = ()
    chosen: int = 0
    fixed: tuple[Mode, ...] = ()
    worse: tuple[Mode, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tokens_estimated: bool = False
    hold: str = "none"
    hold_expired: bool = False
    flagged: bool = False
    rewritten: bool = False
    unchecked: tuple[str, ...] = ()
    moderation: str = ""
    seconds: Seconds = Seconds()
    scanned_characters: int = 0
    scans: int = 0
    holdout: bool = False
    policy_revision: str = ""
    client_gone: bool = False
    failure: str = ""


def from_outcome(
    outcome: Outcome,
    *,
    decision_id: str,
    time: float,
    route: str,
    endpoint: str,
    streamed: bool,
    status: int,
    hold: HoldKind = HoldKind.NONE,
    triggers: Sequence[Span] = (),
    seconds: Seconds | None = None,
    scanned_characters: int = 0,
    scans: int = 0,
    holdout: bool = False,
    policy_revision: str = "",
    moderation: str = "",
) -> DecisionRecord:
    """The record of an exchange."""
    final, first = outcome.verdict, outcome.first_verdict
    attempts = tuple([_attempt(summary) for summary in outcome.attempts])
    return DecisionRecord(
        decision_id=decision_id,
        time=time,
        route=route,
        endpoint=endpoint,
        streamed=streamed,
        status=status,
        outcome=outcome.kind,
        verdict=_level(final),
        first_verdict=_level(first),
        modes=first.modes if first is not None and first.findings else (),
        findings=tuple([found for summary in outcome.attempts for found in _findings(summary)]),
        triggers=_places(triggers),
        action=_ACTIONS[outcome.action],
        attempts=attempts,
        chosen=outcome.chosen,
        fixed=_fixed(outcome, first, final),
        worse=_worse(outcome, first),
        prompt_tokens=sum([attempt.prompt_tokens for attempt in attempts]),
        completion_tokens=sum([attempt.completion_tokens for attempt in attempts]),
        tokens_estimated=any([attempt.estimated for attempt in attempts]),
        hold=_HOLDS[hold],
        hold_expired=outcome.hold_expired,
        flagged=outcome.flagged,
        rewritten=outcome.rewritten,
        unchecked=tuple(sorted(final.unchecked)) if final is not None and final.unchecked else (),
        moderation=moderation,
        seconds=seconds or Seconds(),
        scanned_characters=scanned_characters,
        scans=scans,
        holdout=holdout,
        policy_revision=policy_revision,
        client_gone=outcome.kind == "client_gone",
        failure=outcome.failure.kind if outcome.failure is not None else "",
    )


def _level(verdict: Verdict | None) -> str:
    if verdict is None:
        return "unjudged"
    # The property costs a microsecond, and most verdicts are empty.
    return _LEVELS[verdict.level] if verdict.findings else "clear"


def _places(spans: Sequence[Span]) -> tuple[Place, ...]:
    return () if not spans else tuple([Place(span.name, span.message, span.start, span.end) for span in spans])


def _findings(summary: AttemptSummary) -> Sequence[FindingRecord]:
    verdict = summary.verdict
    if verdict is None or not verdict.findings:
        return ()
    return [
        FindingRecord(
            attempt=summary.number,
            choice=item.choice,
            mode=item.mode,
            level=_LEVELS[item.level],
            score=round(item.score, 4),
            policy=item.policy,
            acting=item.acting,
            spans=_places(item.spans),
        )
        for item in verdict.findings
    ]


def _attempt(summary: AttemptSummary) -> AttemptRecord:
    usage = summary.usage or _NO_USAGE
    return AttemptRecord(
        number=summary.number,
        change=summary.change.names,
        probe=summary.action is not None and summary.action.probe,
        verdict=_level(summary.verdict),
        complete=summary.complete,
        failure=summary.failure.kind if summary.failure is not None else "",
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        estimated=usage.estimated,
    )


def _levels_by_mode(verdict: Verdict) -> Mapping[Mode, Level]:
    levels: dict[Mode, Level] = {}
    for item in verdict.findings:
        levels[item.mode] = max(item.level, levels.get(item.mode, Level.CLEAR))
    return levels


def _fixed(outcome: Outcome, first: Verdict | None, final: Verdict | None) -> tuple[Mode, ...]:
    if outcome.chosen < 2 or first is None or final is None:
        return ()
    left = set(final.modes)
    acted = {item.mode for item in first.acting}
    return tuple(mode for mode in first.modes if mode in acted and mode not in left)


def _worse(outcome: Outcome, first: Verdict | None) -> tuple[Mode, ...]:
    if first is None or len(outcome.attempts) < 2:
        return ()
    before = _levels_by_mode(first)
    found: dict[Mode, None] = {}
    for summary in outcome.attempts:
        if summary.number > 1 and summary.complete and summary.verdict is not None:
            after = _levels_by_mode(summary.verdict)
            found |= {mode: None for mode, level in after.items() if level > before.get(mode, Level.CLEAR)}
    return tuple(found)
