"""The arms of an experiment: the same upstream behind different halves of the guard, each a route of one gateway.

One rule: arms differ in policies alone; each has an upstream of its own, so that no arm's requests change another's answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

from core.types import MODES, Mode
from organism.chunks import placebo
from policies.loader import load_library
from policies.schema import Policy
from proxy import config
from proxy.config import Settings
from proxy.config_model import PolicyEntry

#: off: no policy. detect_only: all of them observe. The others retry: the same prompt (resample), with a text of the boundary's
#: length that says nothing (placebo), with the boundary, with the feature rewritten, and by the shipped ladder (full).
ARMS: Final = ("off", "detect_only", "resample", "placebo", "boundary", "neutralise", "full")
#: Modes whose incidental feature can be rewritten; elsewhere the arm of the same name only asks again.
_REWRITTEN: Final = frozenset({"rebuttal", "code", "tool_call", "refusal", "math", "extraction"})


#: Route of the judge that reads; no policy is on it.
JUDGE: Final = "judge"


def settings_of(
    upstream: Mapping[str, Any],
    arms: Sequence[str],
    folder: Path,
    *,
    modes: Sequence[Mode] = MODES,
    policies: Mapping[str, Sequence[PolicyEntry]] | None = None,
    others: Mapping[str, Mapping[str, Any]] | None = None,
    judge: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> Settings:
    """The gateway of an experiment on free ports: arm `a` answers under `/a/v1`, the judge under `/judge/v1`.

    `policies`: of each arm, where they are not the usual ones. `others`: upstreams that `upstream` is made of. `judge`: the
    upstream of a judge that reads. `env`: variables that upstreams may name. Raises ConfigError for a bad upstream."""
    given = policies or {}
    upstreams = {f"arm-{arm}": dict(upstream) for arm in arms}
    routes = [
        {
            "name": arm,
            "upstream": f"arm-{arm}",
            "match": {"path_prefix": f"/{arm}"},
            "policies": list(given[arm]) if arm in given else policies_of(arm, modes),
        }
        for arm in arms
    ]
    if judge is not None:
        upstreams["arm-judge"] = dict(judge)
        routes.append({"name": JUDGE, "upstream": "arm-judge", "match": {"path_prefix": f"/{JUDGE}"}, "policies": []})
    document = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "upstreams": {**(others or {}), **upstreams},
        "routes": routes,
        # Neither a held-out share nor a ration of retries: every request of an arm is treated alike.
        "limits": {"holdout": 0, "retry_share": 1, "deadline_ms": 5000},
        "log_level": "error",
    }
    return config.build(document, source="experiment", folder=folder, env=env or {})


def policies_of(arm: str, modes: Sequence[Mode] = MODES) -> list[dict[str, Any]]:
    """What of the shipped policies an arm applies. Raises KeyError for an unknown arm."""
    library = load_library()
    if arm == "off":
        return []
    return [_policy(arm, library[mode]) for mode in modes]


def placebo_of(text: str) -> str:
    """Sentences that say nothing about an answer, as long as `text` give or take a sentence; the same for the same text."""
    rng = Random(text)
    found = placebo(rng, 1)
    while len(found) < len(text):
        found += " " + placebo(rng, 1)
    cut = found.rfind(". ", 0, len(text) + 1)
    return found if cut < len(text) // 2 else found[: cut + 1]


def _policy(arm: str, shipped: Policy) -> dict[str, Any]:
    if arm == "detect_only":
        return {"extends": shipped.name, "enforcement": "observe"}
    enforced = {"extends": shipped.name, "enforcement": "enforce"}
    if arm == "full":
        return enforced
    silent = {"inject": "never"}
    match arm:
        case "resample":
            return {**enforced, "boundary": silent, "ladder": _ladder()}
        case "neutralise":
            change = ["neutralise"] if shipped.mode in _REWRITTEN else []
            return {**enforced, "boundary": silent, "ladder": _ladder(*change)}
        case "boundary":
            return {**enforced, "ladder": _ladder("boundary")}
        case "placebo":
            texts = {language: placebo_of(text) for language, text in shipped.boundary.text.items()}
            return {**enforced, "boundary": {"text": texts, "max_chars": 600}, "ladder": _ladder("boundary")}
    raise KeyError(arm)


def _ladder(*change: str) -> list[dict[str, Any]]:
    return [{"action": "retry", "change": list(change)}, {"action": "flag"}]
