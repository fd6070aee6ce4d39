"""What a client is shown of a decision: the `x-chunkguard-*` headers and the opt-in `chunkguard` field.

One rule: offsets, names and numbers only - no text of a prompt or an answer is repeated here.
"""

from __future__ import annotations

from typing import Any

from core.types import AttemptSummary, Finding, Outcome, Span, Verdict
from core.values import frozen
from proxy.upstream.base import Headers


def verdict_word(outcome: Outcome) -> str:
    """`clear`, `suspect`, `misrouted`; `unchecked`: a policy could not judge and none found anything; `pending`: judging
    comes later; `unjudged`: nothing was there to judge."""
    verdict = outcome.verdict
    if verdict is None:
        return "pending" if outcome.kind == "relayed" else "unjudged"
    if verdict.unchecked and not verdict.findings:
        return "unchecked"
    return verdict.level.name.lower()


def span_document(span: Span) -> dict[str, Any]:
    """`message` is absent for a span of the answer."""
    where: dict[str, Any] = {"message": span.message} if span.message >= 0 else {}
    return {"name": span.name, **where, "start": span.start, "end": span.end}


def finding_document(finding: Finding) -> dict[str, Any]:
    return {
        "mode": finding.mode,
        "choice": finding.choice,
        "verdict": finding.level.name.lower(),
        "score": round(finding.score, 4),
        "policy": finding.policy,
        "evidence": [span_document(span) for span in finding.spans],
    }


def _attempt_document(attempt: AttemptSummary) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "change": list(attempt.change.names),
        "injected": [{"placement": item.placement, "characters": len(item.text)} for item in attempt.change.boundaries],
        "probe": bool(attempt.action and attempt.action.probe),
        "verdict": attempt.verdict.level.name.lower() if attempt.verdict else None,
        "complete": attempt.complete,
        "failure": attempt.failure.kind if attempt.failure else None,
    }


def usage_total(outcome: Outcome) -> dict[str, Any]:
    """Tokens of all attempts; `estimated`: at least one of them never reported its own."""
    usages = [attempt.usage for attempt in outcome.attempts if attempt.usage is not None]
    return {
        "prompt_tokens": sum(usage.prompt_tokens for usage in usages),
        "completion_tokens": sum(usage.completion_tokens for usage in usages),
        "estimated": any(usage.estimated for usage in usages),
    }


@frozen
class Presenter:
    """Renders one decision. `observe_only`: every policy of the route observes, so nothing but the id may be added."""

    decision_id: str
    revision: str
    observe_only: bool
    triggers: tuple[Span, ...] = ()

    def headers(self, outcome: Outcome | None) -> Headers:
        """What is known when the head leaves; `outcome` None: the verdict is still pending."""
        headers = [("x-chunkguard-decision-id", self.decision_id)]
        if self.observe_only:
            return headers
        headers.append(("x-chunkguard-verdict", verdict_word(outcome) if outcome else "pending"))
        if outcome is not None:
            if outcome.verdict is not None and outcome.verdict.findings:
                headers.append(("x-chunkguard-modes", ",".join(outcome.verdict.modes)))
            headers.append(("x-chunkguard-attempts", str(len(outcome.attempts))))
        headers.append(("x-chunkguard-policy-revision", self.revision))
        return headers

    def report(self, outcome: Outcome) -> dict[str, Any]:
        """The `chunkguard` field."""
        verdict = outcome.verdict or Verdict()
        return {
            "decision_id": self.decision_id,
            "policy_revision": self.revision,
            "verdict": verdict_word(outcome),
            "modes": list(verdict.modes),
            "findings": [finding_document(finding) for finding in verdict.findings],
            "triggers": [span_document(span) for span in self.triggers],
            "unchecked": sorted(verdict.unchecked),
            "action": outcome.action.name.lower(),
            "chosen": outcome.chosen,
            "attempts": [_attempt_document(attempt) for attempt in outcome.attempts],
            "flagged": outcome.flagged,
            "rewritten": outcome.rewritten,
            "usage_total": usage_total(outcome),
        }
