"""What an audit found, as data and as pages.

One rule: only confirmed findings are shown; every rate carries its interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from audit import plots
from audit.confirm import Share
from audit.search import State, distinct
from detectors.measures import wilson
from evaluation.document import Block, Grid, Heading, Image, Paragraph, markdown, page


def write_report(out: Path, header: Mapping[str, Any], state: State) -> None:
    """`audit.json`, `audit.md`, `audit.html` and the pictures in a folder. Raises OSError."""
    plots.draw(state, out)
    document = {"settings": dict(header), **figures(state)}
    (out / "audit.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    blocks = _blocks(header, state)
    (out / "audit.md").write_text(markdown("Audit", blocks), encoding="utf-8")
    (out / "audit.html").write_text(page("Audit", blocks, out), encoding="utf-8")


def figures(state: State) -> dict[str, Any]:
    """Everything a report shows."""
    arms = {}
    for arm in ("weighted", "control"):
        shown, suspicious = state.arms[f"{arm}/candidates"], state.arms[f"{arm}/suspicious"]
        low, high = wilson(suspicious, shown)
        arms[arm] = {"candidates": shown, "suspicious": suspicious, "low": round(low, 4), "high": round(high, 4)}
    return {
        "calls": state.calls, "tokens": state.tokens, "missing": state.missing, "iterations": state.iteration, "arms": arms,
        "findings": [one.document() for found in distinct(state.findings).values() for one in found],
    }  # fmt: skip


def _blocks(header: Mapping[str, Any], state: State) -> list[Block]:
    found = figures(state)
    blocks: list[Block] = [
        Paragraph(
            f"Target {header['target']}, seed {header['run']}: {found['calls']} calls, {found['tokens']} tokens, "
            f"{found['missing']} answers missing. {len(state.findings)} findings are confirmed: of 20 fresh answers "
            "at least 15 could be judged, and the 95% lower bound of mis-routed ones is at least 0.2 and above the twin's."
        ),
        Heading("Arms"),
        Grid(
            ("arm", "candidates", "suspicious", "share", "95%"),
            tuple(
                (arm, str(one["candidates"]), str(one["suspicious"]), _part(one), f"{one['low']:.2f} - {one['high']:.2f}")
                for arm, one in found["arms"].items()
            ),
        ),
    ]
    blocks += [
        Image("progress.png", plots.PICTURES["progress.png"]),
        Heading("Attributes"),
        Paragraph(
            "Answers of the search itself, which looks where it expects faults: they show where it looked, and prove nothing."
        ),
        Image("odds.png", plots.PICTURES["odds.png"]),
        Image("heat.png", plots.PICTURES["heat.png"]),
    ]
    for mode, findings in distinct(state.findings).items():
        blocks.append(Heading(mode))
        rows = tuple(
            (one.trigger, one.prompt, one.smallest, one.twin, _share(one.share), _share(one.twin_share), _share(one.reworded))
            for one in findings
        )
        head = ("trigger", "prompt", "smallest", "twin", "mis-routed", "twin's", "reworded")
        blocks.append(Grid(head, rows, left=4))
    return blocks


def _part(arm: Mapping[str, Any]) -> str:
    return f"{arm['suspicious'] / arm['candidates']:.3f}" if arm["candidates"] else "-"


def _share(share: Share) -> str:
    low, high = wilson(share.hits, share.n)
    return f"{share.hits}/{share.n} ({low:.2f} - {high:.2f})"
