"""Explains which policies match a request and why, span by span, as plain data.

One rule: it shows the plan that would be made, by making it; it decides nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.types import Change, Conversation, Hold, HoldKind, Scores, Span
from policies.plan import compile_route
from policies.schema import Policy


def explain(policies: Sequence[Policy], conversation: Conversation, prompt_scores: Scores, *, stream: bool) -> dict[str, Any]:
    """Plain data: `policies` (one entry each, in route order, with `matches`, the reason and every hit with its text),
    `earlier` (hits outside the last user turn, which are reported and never act), `request` (what is added to it), `hold`,
    `budgets`, `notes`, `scores` and `missing`."""
    plan = compile_route(policies).make_plan(conversation, prompt_scores, stream=stream)
    texts = {turn.index: turn.text for turn in conversation.turns}
    last = conversation.last_user
    entries = [dict(entry) for entry in plan.trace if "policy" in entry]
    for entry in entries:
        entry["hits"] = [{**hit, "text": texts[hit["message"]][hit["start"] : hit["end"]]} for hit in entry["hits"]]
        entry["matches"] = entry["reason"] == "trigger"
    return {
        "policies": entries,
        "earlier": [_shown(span, texts) for span in plan.triggers if last is None or span.message != last.index],
        "request": _request(plan.first_change),
        "hold": _hold(plan.hold),
        "budgets": {
            "attempts": plan.budgets.attempts,
            "added_ms": plan.budgets.added_ms,
            "added_tokens": plan.budgets.added_tokens,
        },
        "notes": [entry["note"] for entry in plan.trace if "note" in entry],
        "scores": dict(prompt_scores.values),
        "missing": sorted(prompt_scores.missing | {"harm"} - prompt_scores.values.keys()),
    }


def _shown(span: Span, texts: dict[int, str]) -> dict[str, Any]:
    text = texts.get(span.message, "")[span.start : span.end]
    return {"name": span.name, "message": span.message, "start": span.start, "end": span.end, "text": text}


def _request(change: Change) -> dict[str, Any]:
    return {
        "changes": list(change.names),
        "boundaries": [{"placement": boundary.placement, "text": boundary.text} for boundary in change.boundaries],
    }


def _hold(hold: Hold) -> dict[str, Any]:
    shown: dict[str, Any] = {"kind": hold.kind.name.lower()}
    if hold.kind in (HoldKind.PREFIX, HoldKind.WINDOW):
        shown["chars"] = hold.chars
    if hold.kind is HoldKind.WINDOW:
        shown["context"] = hold.context
    if hold.timeout_ms:
        shown["timeout_ms"] = hold.timeout_ms
    return shown
