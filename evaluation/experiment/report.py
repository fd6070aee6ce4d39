"""The report of an experiment as blocks: what was asked, what the guard mended and broke, how far the judges agree.

One rule: the words only repeat the figures, and a rate never stands without its interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from evaluation.document import Block, Grid, Heading, Image, Paragraph

TITLE: Final = "Experiment"
#: Who judged -> what that means.
JUDGES: Final[Mapping[str, str]] = {
    "oracle": "The organism's oracle judged: it knows the right answer to every prompt and shares no code with the detectors.",
    "detectors": "The guard's own detectors judged, told what each prompt is for. The guard acts on the same detectors: what "
    "they do not see is missed in every arm, so fix rates are flattered. A judge that reads (--judge) is independent of them.",
    "reader": "A language model judged by the rubric, without knowing the arm.",
}
_HEAD: Final = (
    "arm", "n", "mis-routed", "fixed", "broken", "gain in right answers", "McNemar p", "calls", "extra tokens", "extra ms",
)  # fmt: skip


def blocks(found: Mapping[str, Any], header: Mapping[str, Any], images: Mapping[str, str]) -> list[Block]:
    """The whole report. `images`: picture file -> what it shows; empty where nothing is drawn."""
    return [
        *_opening(found, header),
        Heading("All triggers"),
        *_table(found["overall"]),
        *_pictures(images, "rates.png", "gains.png"),
        *(block for mode, arms in found["modes"].items() for block in (Heading(mode, 3), *_table(arms))),
        Heading("What must stay as it is"),
        *_pictures(images, "breaks.png"),
        *(block for part, arms in found["parts"].items() for block in (Heading(part, 3), *_table(arms))),
        *_costs(images),
        *_agreement(found["agreement"]),
        *_missing(found),
        Heading("Settings"),
        Grid(("setting", "value"), tuple((name, str(value)) for name, value in header.items()), left=2),
    ]


def _opening(found: Mapping[str, Any], header: Mapping[str, Any]) -> Iterator[Block]:
    yield Paragraph(JUDGES[header["judged_by"]])
    yield Paragraph(
        "Every arm is paired with the arm off by prompt and sample. Fixed: of the answers that are not right there, those that "
        "are right here; broken: the other way. Intervals are 95%; several samples of a prompt widen them by what they agree, "
        "and McNemar's exact test counts prompts. The placebo is as long as the boundary and says nothing about the answer."
    )
    spent, missing = found["spent"], found["missing"]
    yield Paragraph(
        f"{spent['calls']} calls and {spent['tokens']} tokens were spent. "
        f"{missing['failed']} answers are missing, {missing['unasked']} were not asked yet; neither counts anywhere."
    )


def _pictures(images: Mapping[str, str], *files: str) -> Iterator[Block]:
    yield from (Image(file, images[file]) for file in files if file in images)


def _costs(images: Mapping[str, str]) -> Iterator[Block]:
    if "costs.png" in images:
        yield Heading("What it costs")
        yield Image("costs.png", images["costs.png"])


def _agreement(found: Mapping[str, Any]) -> Iterator[Block]:
    if not found:
        return
    yield Heading("Detectors and judge")
    yield Paragraph(
        "The unguarded answers, as the detectors' verdict and the judge see them. Agreed: both or neither call an answer "
        "mis-routed. Kappa: agreement beyond chance, 1 at most."
    )
    rows = tuple(
        (
            mode,
            *(str(row[name]) for name in ("both", "detectors_only", "judge_only", "neither")),
            _percent(row["share"]),
            "-" if row["kappa"] is None else f"{row['kappa']:.2f}",
        )
        for mode, row in found.items()
    )
    yield Grid(("prompts of", "both", "detectors only", "judge only", "neither", "agreed", "kappa"), rows)


def _missing(found: Mapping[str, Any]) -> Iterator[Block]:
    if found["missing"]["reasons"]:
        yield Heading("Missing answers")
        yield Grid(("why", "how many"), tuple((why, str(count)) for why, count in found["missing"]["reasons"].items()))


def _table(arms: Mapping[str, Any]) -> Iterator[Block]:
    if not arms:
        yield Paragraph("Nothing was asked.")
        return
    rows = []
    for arm, row in arms.items():
        compared = "extra_ms" in row and arm != "off"
        rows.append((
            arm,
            str(row["n"]),
            f"{_percent(row['rate'])} ({_percent(row['low'])} to {_percent(row['high'])})",
            _share(row, "fix") if compared else "-",
            _share(row, "break") if compared else "-",
            _signed(row["gain"], row["gain_interval"]) if compared else "-",
            f"{row['p']:.2g}" if compared else "-",
            f"{row['calls']:.2f}",
            _extra(row["extra_tokens"]) if compared else "-",
            _extra(row["extra_ms"]) if compared else "-",
        ))  # fmt: skip
    yield Grid(_HEAD, tuple(rows))


def _share(row: Mapping[str, Any], name: str) -> str:
    if row[f"{name}_rate"] is None:
        return "-"
    low, high = row[f"{name}_interval"]
    return f"{_percent(row[f'{name}_rate'])} ({_percent(low)} to {_percent(high)})"


def _signed(value: float, interval: tuple[float, float]) -> str:
    return f"{100 * value:+.1f} points ({100 * interval[0]:+.1f} to {100 * interval[1]:+.1f})"


def _extra(values: tuple[float, float, float]) -> str:
    mean, low, high = values
    return f"{mean:+.0f} ({low:+.0f} to {high:+.0f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
