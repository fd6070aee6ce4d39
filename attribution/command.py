"""`chunkguard attribute`: traces behaviours to training data and writes report, figures, lists of ids and counter-examples.

One rule: the same files and options give the same bytes on any engine: no time and no host is written, paths as given.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table as Shown

from attribution import exemplars, exports, report
from attribution.behaviours import UNASKED
from attribution.engine import Cluster, Engine, Processes
from attribution.exemplars import Behind, ExemplarTask, exemplars_part, wanted_of
from attribution.files import files_of
from attribution.job import Advance, Attribution, Options, attribute
from attribution.links import Bars, Link
from attribution.plots import draw
from attribution.trace import Trace, explain, read_cases
from evaluation import document
from proxy.scan import progress_bar

OK, FOUND, FAILED = 0, 1, 2
#: Links of a behaviour that are reported.
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to look and what to write. `work`: folder for facts, None = one that is removed. `shown`: links of a behaviour.

    `behaviours`: only these, empty = all. `counters`: counter-examples of a link and origin, at most. `trace`: JSONL of failing
    exchanges or decision records. `scheduler`: of a Dask cluster, empty = processes of this machine (0 = one a core)."""

    bars: Bars = field(default_factory=Bars)
    work: Path | None = None
    source_field: str = ""
    behaviours: tuple[str, ...] = ()
    shown: int = SHOWN
    counters: int = 200
    trace: Path | None = None
    ids: bool = True
    texts: bool = True
    scheduler: str = ""
    processes: int = 0
    scale: float = 1.0
    quiet: bool = False


def run(paths: Sequence[Path], out: Path, wishes: Wishes) -> int:
    """Attribute, write into `out`, and show a summary. Returns the exit status: 0, 1 where rows were bad, 2 where there is
    nothing to read. Raises OSError, ConfigError."""
    files = files_of(paths)
    if not files:
        print("chunkguard: no file of training data: *.jsonl, *.jsonl.gz, *.jsonl.zst or *.parquet", file=sys.stderr)
        return FAILED
    cases = list(read_cases(wishes.trace)) if wishes.trace is not None else []
    out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with ExitStack() as stack:
        engine: Engine = stack.enter_context(Cluster(wishes.scheduler)) if wishes.scheduler else Processes(wishes.processes)
        work = wishes.work or Path(stack.enter_context(tempfile.TemporaryDirectory(dir=out, prefix="facts-")))
        bar = stack.enter_context(progress_bar("attribute", console, quiet=wishes.quiet))
        found = attribute(engine, files, work, Options(wishes.bars, wishes.source_field, wishes.scale), _advance(bar))
        if not found.mix.summary.examples:
            print("chunkguard: no answer in any row", file=sys.stderr)
            _complain(console, found)
            return FAILED
        found = replace(found, links=_chosen(found.links, wishes))
        traces = explain(cases, found.mix, found.every) if cases else []
        behind = _behind(engine, found, wishes)
        _write(found, behind, traces, wishes, out)
    _complain(console, found)
    if not wishes.quiet:
        _show(Console(), found, traces, out)
    return FOUND if found.mix.summary.bad else OK


def _advance(bar: Progress) -> Advance:
    tasks: dict[str, TaskID] = {}

    def advance(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bar.add_task(stage, total=total)
        bar.update(tasks[stage], completed=done, description=stage)

    return advance


def _chosen(links: Sequence[Link], wishes: Wishes) -> list[Link]:
    """The links to report: of each wanted behaviour the strongest."""
    kept: list[Link] = []
    counts: dict[tuple[str, bool], int] = {}
    for link in links:
        if wishes.behaviours and link.behaviour not in wishes.behaviours:
            continue
        key = link.behaviour, link.intended
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= wishes.shown:
            kept.append(link)
    return kept


def _behind(engine: Engine, found: Attribution, wishes: Wishes) -> list[Behind]:
    wanted = wanted_of(found.links, wishes.counters, wishes.behaviours)
    ids = found.mix.folder if wishes.ids else None
    tasks = [
        ExemplarTask(task, part, wanted, ids, wishes.texts, wishes.source_field)
        for task, part in zip(found.mix.count_tasks(), found.mix.parts, strict=True)
    ]
    behind = engine.fold(exemplars_part, tasks, partial(exemplars.merge, counters=wishes.counters)) if wanted else None
    return behind or [Behind() for _ in found.links]


def _write(found: Attribution, behind: Sequence[Behind], traces: Sequence[Trace], wishes: Wishes, out: Path) -> None:
    draw(found.links, found.every, out)
    made = report.blocks(found, wishes.bars, behind, traces, texts=wishes.texts)
    (out / "attribute.json").write_bytes(exports.json_of(found, wishes.bars, behind, traces, texts=wishes.texts))
    (out / "attribute.md").write_text(document.markdown(report.TITLE, made), encoding="utf-8")
    (out / "attribute.html").write_text(document.page(report.TITLE, made, out), encoding="utf-8")
    if wishes.counters and wishes.texts:
        exports.write_counter_examples(found.links, behind, out)
    if wishes.ids:
        exports.write_ids(found.mix.folder, found.links, out)


def _complain(console: Console, found: Attribution) -> None:
    summary = found.mix.summary
    for bad in summary.named[:20]:
        console.print(f"{bad.path}:{bad.line}: {bad.reason}", style="red", markup=False, highlight=False, soft_wrap=True)
    if summary.bad > 20:
        console.print(f"{summary.bad - 20} more rows could not be read", style="red", highlight=False)


def _show(console: Console, found: Attribution, traces: Sequence[Trace], out: Path) -> None:
    table = Shown(box=None, padding=(0, 1, 0, 0))
    for place, name in enumerate(("behaviour", "feature", "P(b|f)", "P(b|not f)", "lift", "kind", "first source")):
        table.add_column(name, justify="right" if place in (2, 3, 4) else "left", overflow="fold")
    for link in _summary(found.links):
        rates = (f"{link.rate * 100:.0f}%", f"{link.base * 100:.1f}%", f"{link.lift:.1f}")
        table.add_row(link.behaviour, link.feature, *rates, link.kind, link.sources[0].source)
    console.print(table)
    for trace in traces:
        first = next(iter(trace.explanations), None)
        said = (
            trace.problem if first is None else f"{first.behaviour}: {first.links[0].feature}, from {first.sources[0].source}"
        )
        console.print(f"{trace.id}: {said}", markup=False, highlight=False)
    summary, sizes = found.mix.summary, found.mix.sizes
    console.print(
        f"\n{summary.examples} answers, {sizes.effective} votes; {found.tests} tests, {len(found.every)} above the bars; "
        f"{summary.bad} rows could not be read",
        highlight=False,
    )
    console.print(
        f"written to {out}: attribute.html, attribute.md, attribute.json, lists of ids, counter-examples", highlight=False
    )


def _summary(links: Sequence[Link]) -> Iterator[Link]:
    """The first two links of each unasked mode and of each mode."""
    seen: dict[str, int] = {}
    for link in sorted(links, key=lambda link: not link.behaviour.endswith(UNASKED)):
        if ":" in link.behaviour or link.intended:
            continue
        seen[link.behaviour] = seen.get(link.behaviour, 0) + 1
        if seen[link.behaviour] <= 2:
            yield link
