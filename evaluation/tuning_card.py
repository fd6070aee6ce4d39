"""The results of the tuning as a table of a page.

One rule: the table is made from the results and from nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_BEGIN, _END = "<!-- tuning -->", "<!-- /tuning -->"
_RIVALS: Final = ("off", "resample", "placebo", "shipped")


def table(document: Mapping[str, Any]) -> str:
    """A line a mode: right answers of rivals and the shipped policy, every candidate's gain over it, and what was chosen."""
    lines = [
        f"Measured by `{document['command']}` on the chunky model `{document['model']}`:",
        "",
        "| mode | right: off / resample / placebo / shipped | candidates, points over shipped (99% interval) | chosen |",
        "|---|---|---|---|",
    ]
    for mode, found in document["modes"].items():
        arms = found["arms"]
        rivals = " / ".join(f"{arms[name]['right']:.2f}" for name in _RIVALS)
        tried = "; ".join(f"`{name}` {_gain(row)}" for name, row in arms.items() if name not in _RIVALS)
        lines.append(f"| `{mode}` | {rivals} | {tried} | {_chosen(found)} |")
    return "\n".join(lines)


def place(page: Path, text: str) -> None:
    """Put the table between the marks of a page. Raises ValueError where it has no marks."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{page} has no place for the table")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def _gain(row: Mapping[str, Any]) -> str:
    gain, low, high = (round(100 * edge) for edge in row["over_shipped"])
    broken = f", breaks {row['broken_elsewhere']} of {row['elsewhere']}" if row["broken_elsewhere"] else ""
    return f"{gain:+d} ({low:+d} to {high:+d}){broken}"


def _chosen(found: Mapping[str, Any]) -> str:
    tried = [name for name in found.get("again", ()) if name not in ("off", "shipped")]
    if not tried:
        return f"`{found['chosen']}`"
    return f"`{found['chosen']}`; on fresh prompts `{tried[0]}` {_gain(found['again'][tried[0]])}"
