"""`python -m evaluation.tuning`: other wordings and ladders against the shipped policies, on the organism's tuning half.

One rule: nothing is chosen on a prompt of the test half. The best candidate of a mode is tried again on fresh prompts, and wins
only where it is surely better there, breaks no more and stays within the calls.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console

from core.types import MODES, Mode
from evaluation.experiment.arms import policies_of, settings_of
from evaluation.experiment.compare import Pairing, pair
from evaluation.experiment.figures import figures
from evaluation.experiment.items import Item, Part, digest_of, make_items
from evaluation.experiment.state import State
from evaluation.experiment.trials import Plan, run_trials
from evaluation.tuning_card import place, table
from policies.loader import load_library
from policies.schema import Policy
from proxy.scan import progress_bar

SEED: Final = 20251124
#: Prompts a mode on which the best candidate is found, and fresh ones on which it must win.
COUNTS: Final[Mapping[Part, int]] = {"trigger": 80, "twin": 30, "harm": 30, "false_premise": 30}
AGAIN: Final[Mapping[Part, int]] = {"trigger": 160, "twin": 60, "harm": 60, "false_premise": 60}
RIVALS: Final = ("off", "resample", "placebo")
SHIPPED: Final = "shipped"
#: Gains are sure at 99%: there are eight modes, and one in twenty would be too often.
Z: Final = 2.576
#: Upstream calls a trigger prompt that nobody need justify; more only where the shipped policy takes them too.
MOST_CALLS: Final = 1.5


def candidates() -> dict[Mode, dict[str, dict[str, Any]]]:
    """Mode -> name -> what differs from the shipped policy."""
    text = (resources.files("evaluation") / "tuning.yaml").read_text(encoding="utf-8")
    found: dict[Mode, dict[str, dict[str, Any]]] = yaml.safe_load(text)
    return found


def arms_of(mode: Mode, names: Sequence[str] | None = None) -> dict[str, list[dict[str, Any]]]:
    """Arm -> policies: rivals, the shipped policy, and the candidates (`names`: these only)."""
    base = policies_of("full", [mode])
    tried = {name: [{**base[0], **differs}] for name, differs in candidates()[mode].items() if names is None or name in names}
    rivals = {} if names is not None else {arm: policies_of(arm, [mode]) for arm in RIVALS[1:]}
    return {"off": [], **rivals, SHIPPED: base, **tried}


def items_of(mode: Mode, counts: Mapping[Part, int], seed: int) -> list[Item]:
    return make_items(counts, seed, modes=[mode], half="tuning")


def fingerprint(policy: Policy) -> str:
    """What a result is about: every text, when it is added, and the ladder."""
    document = policy.model_dump(mode="json", include={"boundary", "ladder", "check"})
    return hashlib.sha256(json.dumps(document, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def model_digest() -> str:
    return hashlib.sha256((resources.files("organism") / "models" / "chunky.onnx").read_bytes()).hexdigest()[:16]


def tune(mode: Mode, out: Path, console: Console, *, quiet: bool = False) -> dict[str, Any]:
    """Run or go on for one mode: figures of every arm, what the best candidate does on fresh prompts, and what is chosen."""
    items = items_of(mode, COUNTS, SEED)
    arms = arms_of(mode)
    state = _ask(f"{mode}", items, arms, out, console, quiet=quiet)
    rows = _rows(items, state, list(arms))
    best = favourite(rows)
    found: dict[str, Any] = {
        "policy": fingerprint(load_library()[mode]), "prompts_sha256": digest_of(items), "arms": rows, "chosen": SHIPPED,
    }  # fmt: skip
    if best is not None:
        fresh = items_of(mode, AGAIN, SEED + 1)
        pick = arms_of(mode, [best])
        again = _rows(fresh, _ask(f"{mode}-again", fresh, pick, out, console, quiet=quiet), list(pick))
        found["again"] = again
        found["chosen"] = best if wins(again[best], again[SHIPPED]) else SHIPPED
    return found


def favourite(rows: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The candidate with the highest gain over the shipped policy among those that may be chosen; None without any gain."""
    tried = [name for name in rows if name not in (*RIVALS, SHIPPED)]
    able = [name for name in tried if rows[name]["over_shipped"][0] > 0 and _bearable(rows[name], rows[SHIPPED])]
    return max(able, key=lambda name: rows[name]["over_shipped"][0], default=None)


def wins(row: Mapping[str, Any], shipped: Mapping[str, Any]) -> bool:
    """Whether a candidate is surely better, on prompts on which it was not chosen."""
    sure: bool = row["over_shipped"][1] > 0
    return sure and _bearable(row, shipped)


def _bearable(row: Mapping[str, Any], shipped: Mapping[str, Any]) -> bool:
    dear: bool = row["calls"] > max(MOST_CALLS, shipped["calls"])
    return not dear and row["broken_elsewhere"] <= shipped["broken_elsewhere"]


def _ask(
    name: str, items: Sequence[Item], arms: Mapping[str, list[dict[str, Any]]], out: Path, console: Console, *, quiet: bool
) -> State:
    settings = settings_of({"kind": "embedded", "seed": SEED}, list(arms), out, policies=arms)
    header = {"tuning": name, "prompts": digest_of(items), "arms": json.dumps(arms, sort_keys=True), "model": model_digest()}
    with progress_bar(name, console, quiet=quiet) as progress:
        bar = progress.add_task(name, total=len(items) * len(arms))
        advance = lambda count: progress.advance(bar, count)  # noqa: E731
        return asyncio.run(run_trials(settings, items, Plan(list(arms), "chunky"), out / f"{name}.jsonl", header, done=advance))


def _rows(items: Sequence[Item], state: State, arms: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Arm -> figures of the triggers, the gain over the shipped policy, and answers to other prompts that it broke."""
    found = figures(items, state, arms, 1)
    triggers = {item.name for item in items if item.part == "trigger"}
    right = {key: trial.outcome == "right" for key, trial in state.trials.items()}

    def against(other: str, arm: str, *, mended: bool) -> Pairing:
        names = [item.name for item in items if (item.name in triggers) is mended]
        keys = [((name, other, 0), (name, arm, 0)) for name in names]
        return pair((right[one], right[two]) for one, two in keys if one in right and two in right)

    rows = {}
    for arm in arms:
        row = found["overall"][arm]
        gain, low, high = against(SHIPPED, arm, mended=True).difference(Z)
        rows[arm] = {
            "n": row["n"], "misrouted": row["rate"], "right": round(row["right"] / row["n"], 4), "calls": row["calls"],
            "over_shipped": [round(gain, 4), round(low, 4), round(high, 4)],
            "broken_elsewhere": against("off", arm, mended=False).worse,
            "elsewhere": against("off", arm, mended=False).n,
        }  # fmt: skip
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evaluation.tuning", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/tuning"), help="folder of the states (%(default)s)")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/tuning.json"), help="results (%(default)s)")
    parser.add_argument("--card", type=Path, help="page whose table is renewed")
    parser.add_argument("--mode", action="append", choices=MODES, help="this mode only; may be repeated")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    own = parser.parse_args()
    own.out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    modes = {mode: tune(mode, own.out, console, quiet=own.quiet) for mode in own.mode or MODES}
    document = {
        "command": "python -m evaluation.tuning", "seed": SEED, "model": model_digest(), "half": "tuning", "modes": modes,
    }  # fmt: skip
    own.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if own.card is not None:
        place(own.card, table(document))
    for mode, found in modes.items():
        print(f"{mode}: {found['chosen']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
