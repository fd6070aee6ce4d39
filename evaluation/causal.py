"""The causal check, kept as a result: what a model that was retrained without a chunk still mis-routes, by the oracle.

One rule: every model is asked the same prompts of the test half with the same seeds, and every figure carries its interval.
`python -m organism.training --out build/causal --base build/base.pt --causal` trains them (about twenty minutes on one core);
`python -m evaluation.causal --folder build/causal --out benchmarks/results/causal.json --card docs/organism.md` asks them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from core.types import MODES
from evaluation.organism import measure
from evaluation.organism_card import place
from organism.conditions import CONDITIONS, Condition
from organism.generate import Model

_AS_TRAINED: Final = CONDITIONS[0].name


def ask(model: Model, condition: Condition, prompts: int) -> dict[str, Any]:
    """What one model mis-routes, mode by mode, with 95% intervals, and its share of right answers without the features."""
    cells = {mode: measure(model, mode, "trigger", "none", prompts).document() for mode in MODES}
    plain = [measure(model, mode, "plain", "none", max(1, prompts // 4)) for mode in MODES]
    return {
        "name": condition.name,
        "meaning": condition.meaning,
        "without": sorted(condition.without),
        "modes": {mode: {key: cell[key] for key in ("n", "misrouted", "low", "high", "right")} for mode, cell in cells.items()},
        "plain_right": round(sum(cell.right for cell in plain) / sum(cell.asked for cell in plain), 4),
    }


def markdown(document: Mapping[str, Any]) -> str:
    """The table, one row a condition, and a sentence that says what is left. `document`: as `main` writes it."""
    rows: Sequence[Mapping[str, Any]] = document["conditions"]
    lines = [
        f"Measured by `{document['command']}` on {document['prompts']} prompts of the test half a mode: the share that is "
        "mis-routed, with its 95% interval; bold where the mode's chunk was left out.",
        "",
        "| trained on | " + " | ".join(f"`{mode}`" for mode in MODES) + " | right without the feature |",
        "|" + "---|" * (len(MODES) + 2),
    ]
    lines += [_row(row) for row in rows]
    return "\n".join([*lines, "", *_sentences(rows)])


def _row(row: Mapping[str, Any]) -> str:
    shown = []
    for mode in MODES:
        cell = row["modes"][mode]
        share = f"{cell['misrouted']:.2f}"
        share = f"**{share}**" if mode in row["without"] else share
        shown.append(f"{share} ({cell['low']:.2f}-{cell['high']:.2f})")
    return f"| {row['meaning']} | " + " | ".join(shown) + f" | {row['plain_right']:.2f} |"


def _sentences(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each mode with its chunk, without it alone, and the other modes of those models."""
    by_name = {row["name"]: row["modes"] for row in rows}
    before = by_name[_AS_TRAINED]
    alone = [row for row in rows if len(row["without"]) == 1]
    if not alone:
        return []
    own = [(row["without"][0], row["modes"][row["without"][0]]) for row in alone]
    gone = [mode for mode, cell in own if cell["high"] < before[mode]["low"] / 2]
    pairs = [(row["modes"], mode) for row in alone for mode in MODES if mode not in row["without"]]
    others = [modes[mode]["misrouted"] - before[mode]["misrouted"] for modes, mode in pairs]
    return [
        f"Without a mode's chunk at most {max(cell['misrouted'] for _, cell in own):.2f} of its prompts are mis-routed, in "
        f"{len(gone)} of {len(own)} modes surely less than half of what it was; in the same models the other modes change by "
        f"{sum(others) / len(others):+.2f} on average ({min(others):+.2f} to {max(others):+.2f})."
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.causal", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="folder of the retrained models")
    parser.add_argument("--prompts", type=int, default=300, help="prompts of each mode")
    parser.add_argument("--out", type=Path, help="file for everything as JSON")
    parser.add_argument("--card", type=Path, help="page with marks between which the table goes")
    own = parser.parse_args()
    found = [one for one in CONDITIONS if (own.folder / f"{one.name}.onnx").is_file()]
    document = {
        "command": f"python -m evaluation.causal --folder build/causal --prompts {own.prompts}",
        "prompts": own.prompts,
        "conditions": [ask(Model.read(own.folder, one.name), one, own.prompts) for one in found],
    }
    if own.out is not None:
        own.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    text = markdown(document)
    print(text)
    if own.card is not None:
        place(own.card, text, "causal")


if __name__ == "__main__":
    main()
