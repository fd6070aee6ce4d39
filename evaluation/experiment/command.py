"""`chunkguard experiment`: runs the arms, keeps a state that a stopped run goes on from, writes experiment.json and .md.

One rule: what was asked and how stands in the first line of the state; another experiment never continues it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from core.types import MODES, Mode
from evaluation.experiment.arms import ARMS, settings_of
from evaluation.experiment.items import counts_of, make_items
from evaluation.experiment.report import figures, markdown
from evaluation.experiment.trials import run_trials
from proxy.scan import progress_bar

OK, FAILED = 0, 2
_STATE = "trials.jsonl"


def experiment(
    out: Path,
    *,
    prompts: int = 40,
    samples: int = 1,
    arms: Sequence[str] = ARMS,
    modes: Sequence[Mode] = MODES,
    model: str = "chunky",
    upstream: Mapping[str, Any] | None = None,
    seed: int = 0,
    most: int = 0,
    quiet: bool = False,
) -> int:
    """Run or go on, then write `out`. `upstream`: as under `upstreams.NAME` of a configuration; None = the organism, seeded.

    `most`: new requests at most, 0 = all. Returns the exit status. Raises ConfigError, OSError."""
    out.mkdir(parents=True, exist_ok=True)
    asked = {"kind": "embedded", "seed": seed} if upstream is None else dict(upstream)
    header = {
        "prompts": prompts, "samples": samples, "seed": seed, "model": model, "arms": list(arms), "modes": list(modes),
        "upstream": asked.get("kind", ""),
    }  # fmt: skip
    items = make_items(counts_of(prompts), seed, modes=modes)
    settings = settings_of(asked, arms, out, modes=modes)
    console = Console(stderr=True)
    with progress_bar("experiment", console, quiet=quiet) as progress:
        bar = progress.add_task("experiment", total=len(items) * len(arms) * samples)
        try:
            trials = asyncio.run(
                run_trials(
                    settings, items, arms, samples, model, out / _STATE, header,
                    most=most, done=lambda count: progress.advance(bar, count),
                )
            )  # fmt: skip
        except ValueError as error:
            print(f"chunkguard: {error}", file=sys.stderr)
            return FAILED
    found = figures(items, trials, arms)
    (out / "experiment.json").write_bytes(orjson.dumps({"settings": header, **found}, option=orjson.OPT_INDENT_2) + b"\n")
    (out / "experiment.md").write_text(markdown(found, header), encoding="utf-8")
    if not quiet:
        console.print(f"{len(trials)} answers; see {out / 'experiment.md'}", soft_wrap=True, highlight=False)
    return OK
