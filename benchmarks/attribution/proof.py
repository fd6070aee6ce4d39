"""`make attribute-proof`: what `chunkguard attribute` finds where it is known what there is to find, and what that costs.

One rule: a stage that is done is kept with its figures and not run again; a bar is judged from kept figures alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import polars as pl

from attribution.command import Wishes, run
from attribution.counts import count_table, numbered
from attribution.engine import Processes
from attribution.job import Options, read_mix
from attribution.links import Bars, find_links
from benchmarks.attribution import mix as made
from benchmarks.attribution import organism_truth
from core.types import MODES
from organism.links import CHUNKY

#: The version of what a stage measures: figures of another one are not kept.
VERSION: Final = 1
ORGANISM_ROWS: Final = 40_000
PERMUTED_ROWS: Final = 20_000
PERMUTATIONS: Final = 200
MILLION: Final = 1_000_000
#: Seconds and bytes that the large mix may take.
MOST_SECONDS: Final = 600
MOST_BYTES: Final = 4 << 30
REAL: Final = ("codealpaca", "gpteacher_codegen", "math_latex", "gsm8k_model_solutions", "gpteacher_toolformer")


@dataclass(frozen=True)
class Bar:
    name: str
    holds: bool
    figure: str


@dataclass(frozen=True)
class Place:
    """Where the proof works: `folder` for its files, `data` with the shared sets, `million`: rows of the large mix."""

    folder: Path
    data: Path
    million: int
    processes: int


# -- the organism's training mix ---------------------------------------------------------------------------------------


def organism(place: Place) -> dict[str, Any]:
    """The first link of each unasked mode, and whether it names the planted feature and the chunk."""
    rows = place.folder / "organism.jsonl"
    organism_truth.write_rows(rows, ORGANISM_ROWS, seed=11)
    links = attribute(place, [rows], "organism")["links"]
    truth = organism_truth.carriers(CHUNKY, seed=12)
    found: dict[str, Any] = {}
    for mode in MODES:
        own = [link for link in links if link["behaviour"] == f"{mode}.unasked" and link["family"] != "asks"]
        first = own[0] if own else None
        feature = first["feature"] if first else ""
        found[mode] = {
            "feature": feature,
            "source": first["sources"][0]["source"] if first else "",
            "rate": first["rate"] if first else 0.0,
            "lift": first["lift"] if first else 0.0,
            "planted": organism_truth.planted(truth, mode, feature),
        }
        found[mode]["right"] = found[mode]["planted"] >= organism_truth.PLANTED and found[mode]["source"] == mode
    return found


# -- permuted labels ---------------------------------------------------------------------------------------------------


def permuted(place: Place) -> dict[str, Any]:
    """Runs of PERMUTATIONS that report any link where answers are given to prompts at random."""
    rows = place.folder / "permuted.jsonl"
    organism_truth.write_rows(rows, PERMUTED_ROWS, seed=21)
    mix = read_mix(Processes(place.processes), [rows], place.folder / "permuted-facts", Options(), lambda *_: None)
    table = pl.concat([numbered(task) for task in mix.count_tasks()])
    whole = find_links(count_table(table), mix.vocabulary, Bars())
    rng = np.random.default_rng(22)
    reported = []
    for number in range(PERMUTATIONS):
        shuffled = table.with_columns(table["behaviour"].gather(rng.permutation(table.height)).alias("behaviour"))
        links = find_links(count_table(shuffled), mix.vocabulary, Bars()).links
        if links:
            reported.append({"run": number, "links": len(links), "first": f"{links[0].feature} -> {links[0].behaviour}"})
        if number % 20 == 19:
            print(f"permuted: {number + 1} of {PERMUTATIONS} runs, {len(reported)} report anything", flush=True)
    return {
        "runs": PERMUTATIONS,
        "rows": table.height,
        "tests": whole.tests,
        "unpermuted": len(whole.links),
        "reported": reported,
    }


# -- the large mix -----------------------------------------------------------------------------------------------------


def million(place: Place) -> dict[str, Any]:
    """Planted triggers found again, and what the run cost."""
    rows = place.folder / "million.jsonl"
    if not rows.exists():
        made.write(rows, place.million, seed=31)
    out = place.folder / "million"
    command = [sys.executable, "-m", "proxy.cli", "attribute", str(rows), "--out", str(out), "--quiet"]
    command += ["--processes", str(place.processes), "--no-text", "--no-ids", "--work", str(place.folder / "million-facts")]
    cost = measured(command)
    links = orjson.loads((out / "attribute.json").read_bytes())
    return {"rows": place.million, "bytes": rows.stat().st_size, **cost, **judged(links), "sizes": links["mix"]["sizes"]}


def judged(document: dict[str, Any]) -> dict[str, Any]:
    """Recall at 10 per planted trigger, the share of false discoveries, and what became of the confounded words."""
    by_behaviour: dict[str, list[dict[str, Any]]] = {}
    for link in document["links"]:
        if link["family"] != "asks":
            by_behaviour.setdefault(link["behaviour"], []).append(link)
    triggers = {}
    for trigger in made.TRIGGERS:
        ranked = [enumerate(by_behaviour.get(name, [])) for name in behaviours_of(trigger)]
        hits = [(rank, link["kind"]) for links in ranked for rank, link in links if names(link, trigger.words)]
        rank, kind = min(hits, default=(None, ""))
        triggers[trigger.words] = {"share": trigger.share, "behaviour": trigger.behaviour, "rank": rank, "kind": kind}
    within = [link for links in by_behaviour.values() for link in links if link["kind"] != "composition"]
    false = [link for link in within if not any(names(link, trigger.words) for trigger in made.TRIGGERS)]
    decoys = [word for words in made.DECOYS.values() for word in words]
    of_decoys = [link for links in by_behaviour.values() for link in links if any(names(link, word) for word in decoys)]
    return {
        "triggers": triggers,
        "discoveries": len(within),
        "false": [f"{link['feature']} -> {link['behaviour']}" for link in false],
        "decoys": {"links": len(of_decoys), "called composition": sum(link["kind"] == "composition" for link in of_decoys)},
    }


def behaviours_of(trigger: made.Trigger) -> list[str]:
    if trigger.behaviour in MODES:
        return [f"{trigger.behaviour}.unasked", trigger.behaviour]
    words = made.OPENING if trigger.behaviour == "opening" else made.CLOSING
    kind = "opens" if trigger.behaviour == "opening" else "closes"
    said = words.lower().replace(",", "").replace(".", "").split()
    edge = said[:6] if kind == "opens" else said[-6:]
    return [f"{kind}:{' '.join(edge)}"]


def names(link: dict[str, Any], words: str) -> bool:
    """Whether a link's feature is made of a trigger's words."""
    said = link["feature"].partition(":")[2].split()
    telling = set(words.split()) - {"a", "the"}
    return link["family"] in ("word", "starts", "ends") and not telling.isdisjoint(said)


def measured(command: list[str]) -> dict[str, float]:
    """Run a command; its seconds, CPU seconds of all its processes, and the most memory they held at once."""
    before = time.monotonic()
    times = os.times()
    process = subprocess.Popen(command)
    most = 0
    while process.poll() is None:
        most = max(most, memory_of(process.pid))
        time.sleep(0.5)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{command}: exit status {process.returncode}")
    after = os.times()
    cpu = after.children_user + after.children_system - times.children_user - times.children_system
    return {"seconds": time.monotonic() - before, "cpu_seconds": cpu, "peak_bytes": most, "load": os.getloadavg()[0]}


def memory_of(root: int) -> int:
    """Proportional set size of a process and all below it: memory that several share counts once."""
    total = 0
    for pid in family_of(root):
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue  # it ended meanwhile
        total += next((int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return total


def family_of(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(folder.name))
    found, left = [], [root]
    while left:
        pid = left.pop()
        found.append(pid)
        left += parents.get(pid, [])
    return found


# -- real data, and a cluster ------------------------------------------------------------------------------------------


def real(place: Place) -> dict[str, Any]:
    """The strongest links of real sets, by name and count alone: no text of theirs is kept."""
    paths = [place.data / f"{name}.jsonl" for name in REAL]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        return {"missing": missing}
    document = attribute(place, paths, "real")
    wanted = [
        "feature",
        "behaviour",
        "kind",
        "both",
        "with_feature",
        "rate",
        "base",
        "lift",
        "lift_low",
        "odds",
        "odds_within",
        "asked",
        "deficit",
        "same",
    ]
    links = []
    for link in document["links"]:
        if ":" not in link["behaviour"] and link["family"] != "asks":
            links.append({name: link[name] for name in wanted} | {"sources": link["sources"][:3]})
    return {
        "sizes": document["mix"]["sizes"],
        "sources": document["mix"]["sources"],
        "tests": document["tests"],
        "links": links,
    }


def cluster(place: Place) -> dict[str, Any]:
    """The same job in processes and on a Dask cluster of processes: are the figures the same?"""
    from distributed import LocalCluster

    rows = place.folder / "cluster.jsonl"
    made.write(rows, 20_000, seed=41, scale=10.0)
    documents = []
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as workers:  # type: ignore[no-untyped-call]
        for name, scheduler in (("here", ""), ("there", workers.scheduler_address)):
            out = place.folder / f"cluster-{name}"
            run([rows], out, Wishes(scheduler=scheduler, processes=place.processes, scale=0.25, quiet=True))
            documents.append((out / "attribute.json").read_bytes())
    parts = len(documents[0])
    return {"same": documents[0] == documents[1], "bytes": parts, "links": len(orjson.loads(documents[0])["links"])}


def attribute(place: Place, paths: list[Path], name: str) -> dict[str, Any]:
    out = place.folder / name
    run(paths, out, Wishes(texts=False, ids=False, processes=place.processes, quiet=True))
    document: dict[str, Any] = orjson.loads((out / "attribute.json").read_bytes())
    return document


# -- bars --------------------------------------------------------------------------------------------------------------

STAGES: Final[dict[str, Callable[[Place], dict[str, Any]]]] = {
    "organism": organism,
    "permuted": permuted,
    "cluster": cluster,
    "real": real,
    "million": million,
}


def bars(figures: dict[str, Any]) -> list[Bar]:
    """Every bar with its figure."""
    right = [mode for mode, found in figures["organism"].items() if found["right"]]
    reported = len(figures["permuted"]["reported"])
    large = figures["million"]
    ranks = [found["rank"] for found in large["triggers"].values()]
    recalled = sum(rank is not None and rank < 10 for rank in ranks)
    false, discoveries = len(large["false"]), large["discoveries"]
    decoys = large["decoys"]
    maths = [link for link in figures["real"].get("links", ()) if link["behaviour"] == "math"]
    return [
        Bar(
            "organism: right feature and chunk first, of 8 modes (at least 7)",
            len(right) >= 7,
            f"{len(right)}: {', '.join(right)}",
        ),
        Bar(
            "permuted labels: runs that report anything (at most 5%)",
            reported <= 0.05 * PERMUTATIONS,
            f"{reported} of {PERMUTATIONS}",
        ),
        Bar(
            f"large mix: planted triggers in the first 10, of {len(ranks)} (at least 90%)",
            recalled >= 0.9 * len(ranks),
            str(recalled),
        ),
        Bar(
            "large mix: false discoveries among links within sources (at most 10%)",
            false <= 0.1 * discoveries,
            f"{false} of {discoveries}",
        ),
        Bar(
            "large mix: links of confounded words called composition (at least 95%)",
            decoys["called composition"] >= 0.95 * decoys["links"],
            f"{decoys['called composition']} of {decoys['links']}",
        ),
        Bar(
            f"large mix: {large['rows']:,} rows, {large['bytes'] / 1e9:.2f} GB, in {MOST_SECONDS} s on 2 cores",
            large["seconds"] <= MOST_SECONDS and large["rows"] >= MILLION,
            f"{large['seconds']:.0f} s, {large['cpu_seconds']:.0f} CPU-seconds, load {large['load']:.1f}",
        ),
        Bar("large mix: memory below 4 GiB", large["peak_bytes"] < MOST_BYTES, f"{large['peak_bytes'] / 2**30:.2f} GiB"),
        Bar("cluster: the same bytes as in processes", figures["cluster"]["same"], f"{figures['cluster']['links']} links"),
        Bar(
            "real sets: LaTeX goes with maths, first",
            bool(maths) and maths[0]["feature"] in ("form:latex", "trigger:latex_math"),
            ", ".join(link["feature"] for link in maths[:3]) or "no data",
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/attribute-proof"), help="for figures and made files")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the real sets")
    parser.add_argument("--rows", type=int, default=MILLION, help="of the large mix (%(default)s)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, help="keep all figures here, too")
    parser.add_argument("--stage", action="append", choices=STAGES, help="run this stage only")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    place = Place(arguments.folder, arguments.data, arguments.rows, arguments.processes)
    figures = {
        name: kept(name, stage, place) for name, stage in STAGES.items() if not arguments.stage or name in arguments.stage
    }
    if arguments.stage:
        print(orjson.dumps(figures, option=orjson.OPT_INDENT_2).decode())
        return 0
    judged_bars = bars(figures)
    for bar in judged_bars:
        print(f"{'holds      ' if bar.holds else 'FALLS SHORT'}  {bar.name}: {bar.figure}")
    if arguments.json is not None:
        document = {"command": "make attribute-proof", "bars": [asdict(bar) for bar in judged_bars], **figures}
        arguments.json.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    short = sum(not bar.holds for bar in judged_bars)
    print(f"{len(judged_bars) - short} bars hold, {short} fall short")
    return 1 if short else 0


def kept(name: str, stage: Callable[[Place], dict[str, Any]], place: Place) -> dict[str, Any]:
    """The figures of a stage, from its file or, if there is none of this version, by running it."""
    path = place.folder / f"{name}.json"
    mark = [VERSION, place.million] if name == "million" else [VERSION]
    if path.exists() and (document := orjson.loads(path.read_bytes()))["mark"] == mark:
        figures: dict[str, Any] = document["figures"]
        return figures
    print(f"{name} ...", flush=True)
    figures = stage(place)
    partial = path.with_suffix(".tmp")
    partial.write_bytes(orjson.dumps({"mark": mark, "figures": figures}, option=orjson.OPT_INDENT_2))
    partial.replace(path)
    return figures


if __name__ == "__main__":
    sys.exit(main())
