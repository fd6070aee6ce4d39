"""What an attribution leaves for other tools: its figures, lists of ids, counter-examples and their specification.

One rule: rows are exported by id and place; texts only where they are training rows somebody asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from attribution.exemplars import Behind, add_turns
from attribution.features import MEANINGS as FAMILIES
from attribution.job import Attribution
from attribution.links import Bars, Link
from attribution.trace import Trace

#: Decimals of every figure.
_DIGITS: Final = 6


def json_of(found: Attribution, bars: Bars, behind: Sequence[Behind], traces: Sequence[Trace], *, texts: bool) -> bytes:
    """All figures as JSON."""
    summary, sizes = found.mix.summary, found.mix.sizes
    doc = {
        "mix": {
            "rows": summary.rows,
            "examples": summary.examples,
            "unanswered": summary.unanswered,
            "bad": summary.bad,
            "named": [asdict(bad) for bad in summary.named],
            "sources": dict(summary.sources.most_common()),
            "sizes": asdict(sizes),
        },
        "bars": asdict(bars),
        "tests": found.tests,
        "above": len(found.every),
        "links": [
            _link(number, link, each, texts=texts) for number, (link, each) in enumerate(zip(found.links, behind, strict=True))
        ],
        "traces": [_trace(trace) for trace in traces],
    }
    return orjson.dumps(_rounded(doc), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _link(number: int, link: Link, behind: Behind, *, texts: bool) -> dict[str, Any]:
    shown = {"with": behind.with_it, "without": behind.without_it}
    hidden = set() if texts else {"prompt", "answer"}
    examples = {
        what: [{name: value for name, value in asdict(each).items() if name not in hidden | {"order"}} for each in rows]
        for what, rows in shown.items()
    }
    return {"number": number, **asdict(link), "examples": examples}


def _trace(trace: Trace) -> dict[str, Any]:
    explanations = [
        {
            "behaviour": each.behaviour,
            "chance": each.chance,
            "features": [
                {"feature": link.feature, "kind": link.kind, "rate": link.rate, "lift": link.lift} for link in each.links
            ],
            "sources": [asdict(share) for share in each.sources],
        }
        for each in trace.explanations
    ]
    return {"id": trace.id, "behaviours": trace.behaviours, "explanations": explanations, "problem": trace.problem}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value


def write_counter_examples(links: Sequence[Link], behind: Sequence[Behind], out: Path) -> int:
    """Write what is missing (`counterexamples.json`) and rows that fill it (`counterexamples.jsonl`); how many rows."""
    specs: list[dict[str, Any]] = []
    rows: dict[bytes, dict[str, Any]] = {}
    for number, (link, each) in enumerate(zip(links, behind, strict=True)):
        if not each.counters:
            continue
        specs.append(spec_of(number, link, each))
        named = {"feature": link.feature, "behaviour": link.behaviour, "link": number}
        for row in add_turns(each.counters):  # one that counters several links is written for the first
            rows.setdefault(orjson.dumps(row), {**row, **named})
    (out / "counterexamples.json").write_bytes(
        orjson.dumps(_rounded(specs), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    )
    with (out / "counterexamples.jsonl").open("wb") as file:
        for row in rows.values():
            file.write(orjson.dumps(row) + b"\n")
    return len(rows)


def spec_of(number: int, link: Link, behind: Behind) -> dict[str, Any]:
    """What counter-examples of a link must be, for people and programs that write them."""
    made = {origin: sum(each.origin == origin for each in behind.counters) for origin in ("synthesised", "mined")}
    return {
        "link": number,
        "feature": link.feature,
        "behaviour": link.behaviour,
        "kind": link.kind,
        "rate": link.rate,
        "missing": link.deficit,
        "delivered": made,
        "prompt_must": f"{FAMILIES[link.family]}: {link.feature.partition(':')[2]}",
        "answer_must_not": link.behaviour,
        "sources": [share.source for share in link.sources[:3]],
        "like": [each.id for each in behind.without_it],
        "unlike": [each.id for each in behind.with_it],
    }


def write_ids(folder: Path, links: Sequence[Link], out: Path) -> None:
    """Join the parts' lists of ids: `exclude.jsonl` holds rows with feature and behaviour, `include.jsonl` rows that counter
    it."""
    with (out / "exclude.jsonl").open("wb") as exclude, (out / "include.jsonl").open("wb") as include:
        for path in sorted(folder.glob("ids-*.jsonl")):
            with path.open("rb") as lines:
                for line in lines:
                    entry = orjson.loads(line)
                    link = links[entry["link"]]
                    made = {"id": entry["id"], "source": entry["source"], "path": entry["path"], "line": entry["line"]}
                    made |= {"link": entry["link"], "feature": link.feature, "behaviour": link.behaviour}
                    (exclude if entry["list"] == "exclude" else include).write(orjson.dumps(made) + b"\n")
