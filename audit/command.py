"""`chunkguard audit`: runs a search to the end of its budget, keeps a state that a stopped run goes on from, writes the report.

One rule: the settings that decide what is asked stand in the state; budgets may be raised and the run goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from audit.asking import Asker, Spent
from audit.confirm import Finding
from audit.judge import Judge
from audit.own import digest, pool_of, read_prompts
from audit.pool import load_pool
from audit.reading import Reader, ReaderSpec
from audit.report import write_report
from audit.search import Plan, Search, State
from audit.store import read_state, write_state
from audit.target import Target
from proxy.scan import progress_bar, warm_checker

OK, FOUND, FAILED = 0, 1, 2
STATE: Final = "state.json"


def audit(
    out: Path,
    target: Target,
    plan: Plan,
    *,
    models: Path | None = None,
    prompts: Path | None = None,
    reader: ReaderSpec | None = None,
    quiet: bool = False,
) -> int:
    """Run or go on, then write `out`. `models`: folder of own trained detectors. `prompts`: what the pool is made of, None =
    the shipped one. `reader`: a model that reads what the detectors find. Returns the exit status: 1 with findings.

    Raises ConfigError, OSError."""
    console = Console(stderr=True)
    try:
        state = run(out, target, plan, models=models, prompts=prompts, reader=reader, quiet=quiet, console=console)
    except ValueError as error:
        print(f"chunkguard: {error}", file=sys.stderr)
        return FAILED
    if state.calls and state.missing * 2 > state.calls:
        print("chunkguard: most calls brought no answer that can be judged", file=sys.stderr)
        return FAILED
    if not quiet:
        console.print(f"{len(state.findings)} confirmed; see {out / 'audit.md'}", soft_wrap=True, highlight=False)
    return FOUND if state.findings else OK


def run(
    out: Path,
    target: Target,
    plan: Plan,
    *,
    models: Path | None = None,
    prompts: Path | None = None,
    reader: ReaderSpec | None = None,
    quiet: bool = True,
    console: Console | None = None,
) -> State:
    """As `audit`, for programs. Raises ValueError for a state of other settings and for no prompts, ConfigError, OSError."""
    console = console or Console(stderr=True)
    pool = load_pool() if prompts is None else pool_of(read_prompts(prompts))
    out.mkdir(parents=True, exist_ok=True)
    header = {"target": target.name, **plan.document(), "pool": digest(pool), "reader": reader.name if reader else ""}
    state = read_state(out / STATE, header)
    judge = Judge(warm_checker(models))
    if reader is not None:
        judge = Reader(judge, reader)
    search = Search(pool, Asker(target, judge, plan.run, Spent()), plan, state)

    def tell(finding: Finding) -> None:
        if not quiet:
            console.print(_line(finding), style="yellow", markup=False, highlight=False, soft_wrap=True)

    with progress_bar("audit", console, quiet=quiet) as progress:
        bar = progress.add_task("audit", total=plan.calls, completed=state.calls)
        while not search.over:
            search.step(tell)
            write_state(out / STATE, header, state)
            progress.update(bar, completed=min(state.calls, plan.calls))
    judge.close()
    write_report(out, header, state)
    return state


def _line(finding: Finding) -> Any:
    share = finding.share
    return f"{finding.mode}: {share.hits}/{share.n} of {finding.prompt!r}; smallest {finding.smallest!r}"
