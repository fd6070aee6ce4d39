"""What a route allows to be added to its prompts, applied to its policies before they are compiled.

One rule: it only takes away. A policy that may add nothing keeps its check, its hold and every rung that adds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from policies.schema import Policy

#: anywhere: as each policy says. user_turn: for models without a system role, beside the last user message's text only.
#: never: no text of ours reaches the model.
Injection = Literal["anywhere", "user_turn", "never"]


def limit_injection(policies: Sequence[Policy], allowed: Injection) -> tuple[Policy, ...]:
    """The policies with their boundaries moved or left out. `never` leaves out probes, too: they ask in other words."""
    if allowed == "anywhere":
        return tuple(policies)
    return tuple(map(_beside_the_user if allowed == "user_turn" else _silent, policies))


def _beside_the_user(policy: Policy) -> Policy:
    boundary = policy.boundary.model_copy(update={"placement": "last_user_prefix"})
    return policy.model_copy(update={"boundary": boundary})


def _silent(policy: Policy) -> Policy:
    """Without its boundary and without the rungs that are nothing but text of ours."""
    rungs = []
    for rung in policy.ladder:
        change = tuple(name for name in rung.change if name != "boundary")
        asks_the_same = rung.action == "retry" and bool(rung.change) and not change
        if not (rung.probe or asks_the_same):
            rungs.append(rung.model_copy(update={"change": change}))
    boundary = policy.boundary.model_copy(update={"inject": "never"})
    return policy.model_copy(update={"boundary": boundary, "ladder": tuple(rungs)})
