"""What drafted policies mend on the organism, unedited, beside the shipped ones on the same prompts.

One rule: the prompts are of the test half, which no report has seen; drafts and shipped policies are enforced alike.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

from audit.cases import read_cases
from audit.drafts import draft
from core.types import MODES
from evaluation.experiment.arms import policies_of
from evaluation.experiment.compare import pair
from evaluation.experiment.items import Item, make_items
from evaluation.experiment.trials import Trial, run_trials
from proxy import config
from proxy.config import Settings

#: Triggers a mode, and the share of the shipped policies' fix rate that drafts should reach.
PROMPTS: Final = 40
SHARE: Final = 0.6
_SEED: Final = 4711


def models_digest() -> str:
    """What tells the organism's models from others."""
    place = resources.files("organism") / "models"
    texts = [(place / f"{name}.onnx").read_bytes() for name in ("chunky", "clean")]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:12]


def figures(work: Path, reports: Mapping[str, Path], prompts: int) -> dict[str, Any]:
    """Fix rates of both arms by mode, for each report that drafts are made from."""
    made: dict[str, Any] = {}
    for name, report in reports.items():
        drafts = draft(read_cases(report).cases)
        arms = {
            "off": [],
            "full": policies_of("full"),
            "drafted": [{**entry, "enforcement": "enforce"} for entry in drafts.policies.values()],
        }
        items = make_items({"trigger": prompts, "ordinary": prompts}, _SEED)
        header = {"report": name, "prompts": prompts, "models": models_digest()}
        file = work / f"drafts-{name}-{models_digest()}.jsonl"
        trials = asyncio.run(run_trials(_settings(arms, work), items, list(arms), 1, "chunky", file, header))
        made[name] = {"drafted": list(drafts.policies), "left": drafts.left, **_compared(items, trials)}
    return made


def bars(found: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """The bar of every kind of report."""
    return [
        (
            f"drafts from {name}: share of the shipped policies' fix rate (at least {SHARE:.0%}): "
            f"{one['share']:.0%} ({one['drafted_fixed']:.2f} against {one['full_fixed']:.2f})",
            one["share"] >= SHARE,
        )
        for name, one in found.items()
    ]


def _settings(arms: Mapping[str, Sequence[Any]], folder: Path) -> Settings:
    routes = [
        {"name": arm, "upstream": arm, "match": {"path_prefix": f"/{arm}"}, "policies": list(policies)}
        for arm, policies in arms.items()
    ]
    document = {
        "listen": "127.0.0.1:0", "admin": "127.0.0.1:0",
        "upstreams": {arm: {"kind": "embedded", "seed": _SEED} for arm in arms}, "routes": routes,
        "limits": {"holdout": 0, "retry_share": 1, "deadline_ms": 5000},
    }  # fmt: skip
    return config.build(document, source="drafts", folder=folder, env={})


def _compared(items: Sequence[Item], trials: Sequence[Trial]) -> dict[str, Any]:
    right = {(trial.item, trial.arm): trial.outcome == "right" for trial in trials}
    rows: dict[str, Any] = {}
    for mode in (*MODES, "all"):
        own = [item.name for item in items if item.part == "trigger" and mode in ("all", item.name.partition("/")[0])]
        rows[mode] = {arm: _fix(right, own, arm) for arm in ("full", "drafted")}
    ordinary = [item.name for item in items if item.part == "ordinary"]
    broken = pair([(right[name, "off"], right[name, "drafted"]) for name in ordinary if (name, "drafted") in right])
    full, drafted = rows["all"]["full"]["rate"] or 0.0, rows["all"]["drafted"]["rate"] or 0.0
    return {
        "modes": rows, "full_fixed": full, "drafted_fixed": drafted, "share": drafted / full if full else 0.0,
        "ordinary": {"n": broken.n, "worse": broken.worse},
    }  # fmt: skip


def _fix(right: Mapping[tuple[str, str], bool], names: Sequence[str], arm: str) -> dict[str, Any]:
    """Of the answers that are wrong without a guard, those that an arm has right."""
    paired = pair([(right[name, "off"], right[name, arm]) for name in names if (name, "off") in right and (name, arm) in right])
    return {"wrong": paired.better + paired.both_wrong, "fixed": paired.better, "rate": paired.fix_rate}
