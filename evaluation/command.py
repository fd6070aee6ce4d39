"""`chunkguard eval`: judges labelled exchanges and writes eval.json, eval.md, eval.html and pictures.

One rule: the same files, options and policies give the same bytes: no time and no host is written, paths as they were given.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table as Shown

from core.types import MODES, Mode
from detectors.rows import files_of
from evaluation import document, report
from evaluation.figures import CERTAIN, FLAGGED, MAJORITY, PREVALENCES, Figures, compute
from evaluation.judge import Judged, Problem
from evaluation.measures import Rate
from evaluation.plots import draw
from evaluation.run import Run, choose, judge_all
from evaluation.table import ANY, make_table
from evaluation.worst import Worst, worst_errors
from proxy.scan import open_models, progress_bar

OK, FOUND, FAILED = 0, 1, 2


def evaluate(
    paths: Sequence[Path],
    out: Path,
    *,
    modes: Sequence[Mode] = MODES,
    limit: int = 0,
    seed: int = 0,
    processes: int = 0,
    errors: int = 10,
    texts: bool = True,
    quiet: bool = False,
    models: Path | None = None,
) -> int:
    """Measure, write into `out`, and show a summary. Returns the exit status: 0, 1 where lines were bad, 2 where there is
    nothing to measure. `limit`, `processes`: 0 = all. `errors`: shown at most, per mode and kind. `models`: folder of own ones.
    Raises OSError, ConfigError."""
    console = Console(stderr=True)
    files = files_of(paths)
    if not files:
        print("chunkguard: no *.jsonl file to evaluate", file=sys.stderr)
        return FAILED
    own = open_models(models)
    out.mkdir(parents=True, exist_ok=True)

    def complain(problem: Problem) -> None:
        where = f"{problem.path}:{problem.number}: {problem.reason}"
        console.print(where, style="red", markup=False, highlight=False, soft_wrap=True)

    run = Run(seed, limit, texts, models=own.digest if own is not None else "")
    lines = choose(run, files, complain)
    with progress_bar("eval", console, quiet=quiet) as progress:
        bar = progress.add_task("eval", total=len(lines))
        rows = list(judge_all(run, lines, processes, complain, lambda done: progress.advance(bar, done), models))
    if not rows:
        print("chunkguard: no labelled exchange: rows need 'response' and a known 'behaviour'", file=sys.stderr)
        return FAILED
    figures = _write(run, rows, modes, errors, out)
    if not quiet:
        _show(Console(), run, figures, out)
    return FOUND if run.problems else OK


def _write(run: Run, rows: Sequence[Judged], modes: Sequence[Mode], errors: int, out: Path) -> Figures:
    table = make_table(rows, modes)
    figures = compute(table)
    worst = worst_errors(table, errors, run.seed)
    draw(table, figures, out)
    blocks = report.blocks(run, figures, worst)
    (out / "eval.json").write_bytes(json_of(run, figures, worst))
    (out / "eval.md").write_text(document.markdown(report.TITLE, blocks), encoding="utf-8")
    (out / "eval.html").write_text(document.page(report.TITLE, blocks, out), encoding="utf-8")
    return figures


def json_of(run: Run, figures: Figures, worst: dict[str, Worst]) -> bytes:
    """All figures as JSON; a figure that nothing was counted for is null."""
    doc = {"run": asdict(run), "figures": asdict(figures), "worst": {mode: asdict(errors) for mode, errors in worst.items()}}
    return orjson.dumps(doc, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


# -- the summary on the terminal ---------------------------------------------------------------------------------------


def _show(console: Console, run: Run, figures: Figures, out: Path) -> None:
    table = Shown(box=None, padding=(0, 1, 0, 0))
    for place, name in enumerate(("mode", "rows", "recall", "FPR", "twins", *(f"P@{name}" for name in PREVALENCES), "AUC")):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    for name, group in figures.modes.items():
        for way, system in group.systems.items():
            if way == FLAGGED:
                first, auc = ("any mode" if name == ANY else name, str(group.positives)), _plain(group.auc)
            elif way == CERTAIN or (way != MAJORITY and name != ANY):
                first, auc = (f" {way}", ""), ""
            else:
                continue
            shares = (_short(system.precision[share].value) for share in PREVALENCES)
            twins = _short(system.look_alikes.rate)
            style = "" if way == FLAGGED else "dim"
            table.add_row(*first, _rate(system.recall), _rate(system.false_positives), twins, *shares, auc, style=style)
    console.print(table)
    counts = run.counts
    console.print(
        f"\n{counts.judged} exchanges judged; left out: {counts.unlabelled} unlabelled, {counts.prompts} without an answer, "
        f"{counts.bad} lines that could not be read. First line of a mode: suspect or misrouted; percent with 95% intervals. "
        "FPR: of ordinary answers; twins: of warranted answers of the mode; P: precision where 1% or 5% is mis-routed.",
        highlight=False,
    )
    console.print(f"written to {out}: eval.html, eval.md, eval.json, pictures", markup=False, highlight=False)


def _rate(rate: Rate) -> str:
    return "-" if rate.rate is None else f"{_short(rate.rate)} [{_short(rate.low)}-{_short(rate.high)}]".replace("[", "\\[")


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    if 0 < value < 0.01:
        return f"{value * 100:.2f}"
    return f"{value * 100:.1f}" if value < 0.1 else f"{value * 100:.0f}"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
