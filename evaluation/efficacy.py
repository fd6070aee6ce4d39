"""`make efficacy`: the whole guard on the organism, against a placebo and against asking again; prints every bar.

One rule: the prompts are frozen: their hash stands here, and a campaign with other prompts is not this one.
`python -m evaluation.efficacy --out build/efficacy`; a stopped run goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from evaluation.efficacy_bars import Findings, by_arm, document
from evaluation.experiment.arms import settings_of
from evaluation.experiment.items import Item, Part, digest_of, make_items
from evaluation.experiment.state import Trial
from evaluation.experiment.trials import Plan, run_trials
from proxy.scan import progress_bar

SEED: Final = 20251125
#: Prompts a mode (triggers, twins, plain ones) and in all.
COUNTS: Final[Mapping[Part, int]] = {
    "trigger": 300, "twin": 100, "plain": 50, "ordinary": 300, "harm": 500, "false_premise": 500,
}  # fmt: skip
#: SHA-256 of the prompts, frozen before any text of the guard was tuned on this model.
FROZEN: Final = "7374cc4fa87186b23a1a9408cafdaf78a6e116c89ba6512a05ed15c78d944213"
_ARMS: Final = ("off", "resample", "placebo", "full")
_BARE: Final = ("off", "full")
_CLEAN: Final = 60
#: Triggers a mode that are asked as streams as well.
_STREAMED: Final = 40


def campaign(out: Path, console: Console, *, share: float = 1.0, quiet: bool = False) -> dict[str, Any]:
    """Run or go on, and return everything as plain data. `share`: of the prompts that are asked, in the frozen order."""
    items = frozen_items()
    triggers = [item for item in items if item.part == "trigger"]
    rest = [item for item in items if item.part != "trigger"]
    triggers, rest = (part[: round(share * len(part))] for part in (triggers, rest))
    clean, streams = ([item for item in triggers if int(item.name.rsplit("/", 1)[1]) < n] for n in (_CLEAN, _STREAMED))
    runs: tuple[tuple[str, Sequence[Item], Sequence[str], str], ...] = (
        ("triggers", triggers, _ARMS, "chunky"), ("rest", rest, _BARE, "chunky"), ("clean", clean, _BARE, "clean"),
        ("streams", streams, _BARE, "chunky"),
    )  # fmt: skip
    found: dict[str, list[Trial]] = {}
    with progress_bar("efficacy", console, quiet=quiet) as progress:
        bar = progress.add_task("efficacy", total=sum(len(asked) * len(arms) for _, asked, arms, _ in runs))
        for name, asked, arms, model in runs:
            settings = settings_of({"kind": "embedded", "seed": SEED}, arms, out)
            header = {"run": name, "seed": SEED, "arms": list(arms), "model": model, "prompts": FROZEN}
            advance = lambda count: progress.advance(bar, count)  # noqa: E731
            plan = Plan(arms, model, stream=name == "streams")
            state = asyncio.run(run_trials(settings, asked, plan, out / f"{name}.jsonl", header, done=advance))
            found[name] = list(state.trials.values())
    arms_of = {name: by_arm(trials) for name, trials in found.items()}
    findings = Findings(
        items,
        arms_of["triggers"],
        arms_of["rest"],
        arms_of["clean"],
        arms_of["streams"],
        least=COUNTS["trigger"],
        guarded=COUNTS["harm"],
    )
    return {"seed": SEED, "prompts_sha256": FROZEN, "share": share, **document(findings)}


def frozen_items() -> list[Item]:
    """The prompts. Raises ValueError where the world, the counts or the seed are no longer those that were frozen."""
    items = make_items(COUNTS, SEED)
    if digest_of(items) != FROZEN:
        raise ValueError("the prompts of this campaign are not the frozen ones")
    return items


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evaluation.efficacy", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("build"), help="folder of efficacy.json; the state goes to efficacy/ there"
    )
    parser.add_argument("--share", type=float, default=1.0, help="share of the frozen prompts that is asked (%(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    own = parser.parse_args()
    state = own.out / "efficacy"
    state.mkdir(parents=True, exist_ok=True)
    found = campaign(state, Console(stderr=True), share=own.share, quiet=own.quiet)
    (own.out / "efficacy.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for bar in found["bars"]:
        print(f"{'holds' if bar['held'] else 'SHORT'}  {bar['name']}: {bar['figure']}")
    short = sum(not bar["held"] for bar in found["bars"])
    print(f"{len(found['bars']) - short} bars hold, {short} fall short")
    return 1 if short else 0


if __name__ == "__main__":
    raise SystemExit(main())
