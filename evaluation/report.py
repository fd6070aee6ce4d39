"""The report of one run as blocks: what each figure means, the tables, the pictures, the worst errors.

One rule: a rate never stands without its count and its interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from evaluation.document import Block, Grid, Heading, Image, Paragraph
from evaluation.figures import APPROPRIATE, CERTAIN, FLAGGED, Figures, Group
from evaluation.measures import Operating, Precision, Rate
from evaluation.plots import PICTURES
from evaluation.run import Run
from evaluation.table import ANY
from evaluation.worst import Error, Worst

TITLE = "chunkguard evaluation"
_HEAD = ("mode", "way", "recall", "false positives", "look-alikes flagged", "precision at 1%", "precision at 5%", "accuracy")
_CURVES = (
    "mode",
    "mis-routed",
    "ordinary",
    "look-alikes",
    "left out",
    "AUC",
    "AUC, look-alikes",
    "recall at 1% FPR",
    "ECE",
    "ECE, even",
)
_BY_LANGUAGE = (
    "language",
    "recall",
    "misrouted alone",
    "false positives",
    "look-alikes flagged",
    "precision at 1%",
    "precision at 5%",
    "AUC",
    "recall at 1% FPR",
    "ECE, even",
)


def blocks(run: Run, figures: Figures, worst: Mapping[str, Worst]) -> tuple[Block, ...]:
    """The whole report."""
    images = {file: Image(file, alt) for file, alt in PICTURES.items()}
    return (
        *_opening(run, figures),
        *_summary(figures),
        images["roc.png"],
        Heading("Calibration"),
        Paragraph(
            "Rows are put into ten bins by their score. ECE is the mean distance between the score and the share of mis-routed "
            "answers. Scores are made for evenly frequent classes, so the even figure says how true they are; the plain one "
            "depends on how many mis-routed answers the rows hold."
        ),
        images["reliability.png"],
        *_languages(figures, images["languages.png"]),
        *_confusion(figures, images["confusion.png"]),
        *_sources(figures),
        *_errors(run, worst),
    )


def _opening(run: Run, figures: Figures) -> Iterator[Block]:
    counts = run.counts
    whole = figures.modes[ANY]
    yield Paragraph(
        f"{counts.judged} labelled exchanges from {len(run.files)} files, judged with the shipped policies"
        + (f" and own models {run.models}" if run.models else "")
        + (f", drawn at random (seed {run.seed}) from {counts.usable}" if counts.judged + counts.failed < counts.usable else "")
        + f". Not counted: {counts.unlabelled} rows with unknown behaviour, {counts.prompts} prompts without an answer, "
        f"{counts.bad} lines that could not be read."
    )
    flagged, certain = whole.systems[FLAGGED], whole.systems[CERTAIN]
    yield Paragraph(
        f"Of {whole.positives} mis-routed answers {_bare(flagged.recall)} were flagged, {_bare(figures.own_mode)} in the mode "
        f"they are labelled with. Of {whole.ordinary} ordinary answers {_bare(flagged.false_positives)} were flagged, "
        f"{_bare(certain.false_positives)} as misrouted; of {whole.look_alikes} warranted answers of the same kinds "
        f"{_bare(flagged.look_alikes)}."
    )


def _summary(figures: Figures) -> Iterator[Block]:
    yield Heading("Modes and baselines")
    yield Paragraph(
        "Recall counts answers that are labelled with the mode and mis-routed. Look-alikes are labelled with the mode and "
        "warranted; ordinary is every other row of known behaviour. Rows of the mode that do not say whether it was warranted "
        "are left out. In brackets: 95% Wilson intervals. Precision is computed for traffic of which 1% or 5% is mis-routed, "
        "from recall and the false-positive rate on ordinary rows; behind it the value from the worse ends of both intervals. "
        "Baselines, in grey, saw the same rows."
    )
    rows: list[tuple[str, ...]] = []
    quiet = set()
    for name, group in figures.modes.items():
        for way, system in group.systems.items():
            if way not in (FLAGGED, CERTAIN):
                quiet.add(len(rows))
            rows.append(
                (
                    _name(name) if way == FLAGGED else "",
                    way,
                    _rate(system.recall),
                    _rate(system.false_positives),
                    _rate(system.look_alikes),
                    *(_precision(precision) for precision in system.precision.values()),
                    _share(system.accuracy),
                )
            )
    yield Grid(_HEAD, tuple(rows), left=2, quiet=frozenset(quiet))
    yield Heading("Scores")
    yield Paragraph(
        "AUC is the chance that a mis-routed answer has a higher score than an ordinary one (or a look-alike). Recall at 1% "
        "FPR is the best recall that a threshold gives while at most 1% of the ordinary rows are flagged; behind it that "
        "threshold."
    )
    yield Grid(_CURVES, tuple((_name(name), *_curve(group)) for name, group in figures.modes.items()))
    if figures.mean_auc is not None:
        yield Paragraph(f"Mean AUC of the modes that have mis-routed and ordinary rows: {_figure(figures.mean_auc)}.")
    unchecked = {name: group.unchecked for name, group in figures.modes.items() if group.unchecked and name != ANY}
    if unchecked:
        said = ", ".join(f"{name} {count}" for name, count in unchecked.items())
        yield Paragraph(f"Rows that could not be judged, counted as not flagged with score 0: {said}.")


def _curve(group: Group) -> tuple[str, ...]:
    return (
        str(group.positives),
        str(group.ordinary),
        str(group.look_alikes),
        str(group.left_out),
        _figure(group.auc),
        _figure(group.auc_look_alikes),
        _operating(group.recall_at_1_percent),
        _figure(group.calibration.error),
        _figure(group.calibration.error_even),
    )


def _languages(figures: Figures, image: Image) -> Iterator[Block]:
    yield Heading("Languages")
    yield image
    for name, groups in figures.languages.items():
        rows = tuple(
            (
                lang,
                _rate(group.systems[FLAGGED].recall),
                _rate(group.systems[CERTAIN].recall),
                _rate(group.systems[FLAGGED].false_positives),
                _rate(group.systems[FLAGGED].look_alikes),
                *(_precision(precision) for precision in group.systems[FLAGGED].precision.values()),
                _figure(group.auc),
                _operating(group.recall_at_1_percent),
                _figure(group.calibration.error_even),
            )
            for lang, group in groups.items()
        )
        yield Grid(_BY_LANGUAGE, rows, folded=_name(name))


def _confusion(figures: Figures, image: Image) -> Iterator[Block]:
    yield Heading("Confusion")
    yield Paragraph(
        "A row counts once: as clear, or in the mode that is found at the highest level and, of those, with the highest score."
    )
    yield image
    names = [name for name in figures.modes if name != ANY]
    rows = tuple(
        (
            row.behaviour,
            APPROPRIATE[row.appropriate],
            str(row.rows),
            str(row.clear),
            *(f"{certain} + {suspect}" if certain or suspect else "" for suspect, certain in row.found.values()),
        )
        for row in figures.confusion
    )
    yield Grid(("label", "it was", "rows", "clear", *names), rows, left=2, folded="the same in numbers: misrouted + suspect")


def _sources(figures: Figures) -> Iterator[Block]:
    yield Heading("Sources")
    head = ("source", "label", "it was", "rows", "flagged in that mode", "flagged in any", "misrouted in any")
    rows = tuple(
        (
            row.source,
            row.behaviour,
            APPROPRIATE[row.appropriate],
            str(row.rows),
            _rate(row.own) if row.own else "",
            _rate(row.flagged),
            _rate(row.certain),
        )
        for row in figures.sources
    )
    yield Grid(head, rows, left=3)


def _errors(run: Run, worst: Mapping[str, Worst]) -> Iterator[Block]:
    yield Heading("Worst errors")
    for mode, errors in worst.items():
        if not errors.missed and not errors.flagged:
            continue
        yield Heading(f"{mode}: {errors.missed} missed, {errors.flagged} false alarms", 3)
        if errors.misses:
            yield _error_grid(run, errors.misses, f"missed, lowest score first ({len(errors.misses)} of {errors.missed})")
        if errors.false_alarms:
            shown = f"false alarms, most certain first ({len(errors.false_alarms)} of {errors.flagged})"
            yield _error_grid(run, errors.false_alarms, shown)


def _error_grid(run: Run, errors: Sequence[Error], title: str) -> Grid:
    texts = ("prompt", "response") if run.texts else ()
    rows = tuple(
        (
            error.id,
            f"{Path(error.place).name} {error.lang}".strip(),
            f"{error.behaviour}, {APPROPRIATE[error.appropriate]}",
            f"{error.verdict} {error.score:.2f}",
            "; ".join(error.evidence),
            *((error.prompt, error.response) if run.texts else ()),
        )
        for error in errors
    )
    head = ("id", "where", "label", "found", "evidence", *texts)
    return Grid(head, rows, left=len(head), folded=title)


# -- how figures are written -------------------------------------------------------------------------------------------


def _name(name: str) -> str:
    return "any mode" if name == ANY else name


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _rate(rate: Rate) -> str:
    """`12.3% [10.1-14.9] of 900`, or - of nothing."""
    return "-" if rate.rate is None else f"{_bare(rate)} of {rate.n}"


def _bare(rate: Rate) -> str:
    """A rate whose count stands beside it already."""
    if rate.rate is None:
        return "-"
    return f"{_percent(rate.rate)}% [{_percent(rate.low)}-{_percent(rate.high)}]"


def _percent(value: float) -> str:
    return f"{value * 100:.2f}" if 0 < value < 0.01 else f"{value * 100:.1f}"


def _precision(precision: Precision) -> str:
    return "-" if precision.value is None else f"{precision.value:.0%} (at worst {precision.low:.0%})"


def _operating(point: Operating | None) -> str:
    if point is None:
        return "-"
    return f"{point.recall:.1%}" + (f" at {point.threshold:.2f}" if point.threshold is not None else "")
