"""`chunkguard experiment`: runs the arms, keeps a state that a stopped run goes on from, writes the report in every form.

One rule: what decides what is asked and how it is judged stands in the first line of the state; another experiment never
continues it, while budgets may be raised and the run goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console

from core.types import MODES, Mode
from core.values import frozen
from evaluation.document import markdown, page
from evaluation.experiment import exports, own, report
from evaluation.experiment.arms import ARMS, settings_of
from evaluation.experiment.figures import figures
from evaluation.experiment.items import Half, Item, counts_of, digest_of, make_items
from evaluation.experiment.judging import Detectors
from evaluation.experiment.reader import ReaderSpec
from evaluation.experiment.state import State, read_state
from evaluation.experiment.trials import Plan, run_trials
from evaluation.experiment.upstream import Upstream, organism
from proxy.config import Settings
from proxy.scan import progress_bar, warm_checker

OK, FAILED, STOPPED = 0, 2, 130
STATE: Final = "trials.jsonl"


@frozen
class Asked:
    """What is asked: of the organism's world, or the lines of `file`; then `prompts` and `half` say nothing.

    `upstream`: None = the organism, seeded. `wordings`: an arm each, name -> policies, beside the usual `arms`."""

    prompts: int = 40
    samples: int = 1
    arms: Sequence[str] = ARMS
    modes: Sequence[Mode] = MODES
    half: Half = "test"
    file: Path | None = None
    upstream: Upstream | None = None
    model: str = "chunky"
    body: Mapping[str, Any] | None = None
    seeds: bool = False
    stream: bool = False
    reader: ReaderSpec | None = None
    seed: int = 0
    wordings: Mapping[str, Sequence[dict[str, Any]]] | None = None


@frozen
class Limits:
    """What this run may do; see `Plan`."""

    calls: int = 0
    tokens: int = 0
    most: int = 0
    parallel: int = 1


def experiment(out: Path, asked: Asked, limits: Limits, *, quiet: bool = False) -> int:
    """Run or go on, then write `out`. Returns the exit status: 130 where Ctrl-C stopped it. Raises ConfigError, OSError."""
    console = Console(stderr=True)
    try:
        found, stopped = run(out, asked, limits, quiet=quiet, console=console)
    except ValueError as error:
        print(f"chunkguard: {error}", file=sys.stderr)
        return FAILED
    missing = found["missing"]
    if not quiet or missing["failed"]:
        console.print(_closing(out, found, stopped), soft_wrap=True, highlight=False)
    if stopped:
        return STOPPED
    judged = any(row["n"] for table in (found["overall"], *found["parts"].values()) for row in table.values())
    return OK if judged or not missing["failed"] else FAILED


def run(
    out: Path, asked: Asked, limits: Limits, *, quiet: bool = True, console: Console | None = None
) -> tuple[dict[str, Any], bool]:
    """As `experiment`, for programs: the figures, and whether Ctrl-C stopped it. Raises ValueError for another's state."""
    console = console or Console(stderr=True)
    out.mkdir(parents=True, exist_ok=True)
    upstream = asked.upstream or organism(asked.seed)
    items = _items(asked)
    arms = [*asked.arms, *(asked.wordings or ())]
    header = _header(asked, upstream, items, arms)
    settings = _settings(asked, upstream, arms)
    plan = Plan(
        arms, asked.model, asked.samples, asked.body, asked.seeds, asked.stream, Detectors(warm_checker()), asked.reader,
        limits.calls, limits.tokens, limits.most, limits.parallel,
    )  # fmt: skip
    stopped = False
    with progress_bar("experiment", console, quiet=quiet) as progress:
        bar = progress.add_task("experiment", total=len(items) * len(arms) * asked.samples)
        advance = lambda count: progress.advance(bar, count)  # noqa: E731
        try:
            state = asyncio.run(run_trials(settings, items, plan, out / STATE, header, done=advance))
        except KeyboardInterrupt:
            stopped, state = True, read_state(out / STATE, header)
    return _write(out, items, state, header, arms, asked.samples), stopped


def _items(asked: Asked) -> list[Item]:
    if asked.file is not None:
        return own.read_items(asked.file, asked.seed, modes=asked.modes)
    return make_items(counts_of(asked.prompts), asked.seed, modes=asked.modes, half=asked.half)


def _header(asked: Asked, upstream: Upstream, items: Sequence[Item], arms: Sequence[str]) -> dict[str, Any]:
    """Everything on which an answer or its judgement depends, as plain data that orjson gives back as it is."""
    world = asked.file is None
    header: dict[str, Any] = {
        "upstream": upstream.name,
        "model": asked.model,
        "prompts": len(items),
        "prompts_sha256": digest_of(items) if world else own.digest(items),
        "half": asked.half if world else None,
        "samples": asked.samples,
        "seed": asked.seed,
        "arms": list(arms),
        "modes": list(asked.modes),
        "body": dict(asked.body or {}),
        "seeds": asked.seeds,
        "stream": asked.stream,
        "judged_by": "oracle" if world else "reader" if asked.reader is not None else "detectors",
        "judge": asked.reader.document() if asked.reader is not None else None,
    }
    if asked.wordings:
        wordings = orjson.dumps(
            {name: list(policies) for name, policies in asked.wordings.items()}, option=orjson.OPT_SORT_KEYS
        )
        header["wordings_sha256"] = hashlib.sha256(wordings).hexdigest()
    return header


def _settings(asked: Asked, upstream: Upstream, arms: Sequence[str]) -> Settings:
    return settings_of(
        upstream.settings, arms, upstream.folder,
        modes=asked.modes,
        policies=asked.wordings,
        others=upstream.others,
        judge=asked.reader.upstream() if asked.reader is not None else None,
        env=os.environ,
    )  # fmt: skip


def _write(
    out: Path, items: Sequence[Item], state: State, header: dict[str, Any], arms: Sequence[str], samples: int
) -> dict[str, Any]:
    found = figures(items, state, arms, samples)
    document = {"settings": header, **found}
    (out / "experiment.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    exports.write_figures(out / "experiment.csv", found)
    exports.write_trials(out / "trials.csv", items, state.trials.values())
    images: Mapping[str, str] = {}
    if find_spec("matplotlib") is not None:  # of the extra 'eval'; the page is whole without pictures
        from evaluation.experiment.plots import PICTURES, draw

        draw(found, out)
        images = PICTURES
    blocks = report.blocks(found, header, images)
    (out / "experiment.md").write_text(markdown(report.TITLE, blocks), encoding="utf-8")
    (out / "experiment.html").write_text(page(report.TITLE, blocks, out), encoding="utf-8")
    return found


def _closing(out: Path, found: Mapping[str, Any], stopped: bool) -> str:
    missing = found["missing"]
    parts = [f"{'stopped; ' if stopped else ''}see {out / 'experiment.html'}"]
    if missing["failed"]:
        first = next(iter(missing["reasons"]), "")
        parts.append(f"{missing['failed']} answers are missing ({first}); the same command asks them again")
    if missing["unasked"]:
        parts.append(f"{missing['unasked']} are not asked yet; the same command goes on")
    return ". ".join(parts)
