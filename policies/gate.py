"""What forbids asking again: the hold, the never-re-run rules, the harm gate and the budgets.

One rule: nothing here allows anything; each function gives the reason against a retry, or an empty text.
"""

from __future__ import annotations

from typing import Final

from core.types import Budgets, Conversation, Hold, HoldKind, Scores, Step
from policies.schema import Policy

#: A prompt known to be more harmful than this is never asked again by any policy that sets no limit of its own: a changed
#: prompt can weaken a justified answer. Unknown harm stops retries of refusals only.
HARM_CEILING: Final = 0.8
#: The same where the answer also refuses: the refusal may be justified, so the prompt must be known to be about benign.
REFUSED_CEILING: Final = 0.3


def against_policy(policy: Policy, hold: Hold, conversation: Conversation) -> str:
    """Why this policy could not ask again, whatever the answer says. `hold`: its own for this conversation."""
    if not policy.retries:
        return "no ladder"
    if hold.kind is HoldKind.NONE:
        return "not held"
    if (conversation.hosted_tools or conversation.stored) and not policy.rerun_safe:
        return "never re-run"
    return ""


def against_harm(policy: Policy, conversation: Conversation, prompt: Scores, *, refused: bool, cleared: bool = False) -> str:
    """Why the prompt is not benign enough. `refused`: a refusal was found in the answer, by whichever policy: then unknown
    harm (no score, or parts that no detector reads) forbids a retry as much as known harm does.

    `cleared`: a moderation endpoint called the prompt benign, which stands in for a score that is not there. It never
    outweighs a score that is, nor parts that it was not shown."""
    harm = prompt.values.get("harm")
    refusing = refused or policy.mode == "refusal"
    if refusing and (conversation.has_media or (harm is None and not cleared)):
        return "harm unknown"
    if policy.mode == "refusal" and policy.harm_at_most is None:
        return "no harm gate"
    limit = (REFUSED_CEILING if refused else HARM_CEILING) if policy.harm_at_most is None else policy.harm_at_most
    if cleared:
        limit = min(limit, HARM_CEILING)
    return "harm" if harm is not None and harm > limit else ""


def against_budget(budgets: Budgets, step: Step, tokens: int) -> str:
    """Which budget is spent. `tokens`: what one more attempt would reserve."""
    if step.attempts >= budgets.attempts:
        return "attempts spent"
    if step.added_ms >= budgets.added_ms:
        return "added_ms spent"
    return "added_tokens spent" if step.added_tokens + tokens > budgets.added_tokens else ""
