"""The report says what the figures say, and never shows a rate without its count."""

from __future__ import annotations

from dataclasses import replace

from evaluation.document import Grid, Heading, Image, Paragraph
from evaluation.figures import compute
from evaluation.judge import Judged, Shown
from evaluation.plots import PICTURES
from evaluation.report import blocks
from evaluation.run import Counts, File, Run
from evaluation.table import make_table
from evaluation.worst import worst_errors
from tests.evaluation.made import judged

ROWS = [
    *(judged("code", False, {"code": (2, 0.9)}) for _ in range(7)),
    *(judged("code", False, {"code": (1, 0.5)}, lang="de") for _ in range(2)),
    replace(judged("code", False, name="hidden"), shown=Shown("a prompt", "an answer", {})),
    judged("code", True, {"refusal": (-1, 0.0)}),
    *(judged("none", True) for _ in range(150)),
]


def report(rows: list[Judged], *, limit: int = 0, texts: bool = True, usable: int = 0) -> list[object]:
    table = make_table(rows)
    counts = Counts(lines=200, usable=usable or len(rows), judged=len(rows), bad=3, unlabelled=4, prompts=5)
    run = Run(0, limit, texts, [File("a.jsonl", "0" * 64, 200)], counts)
    return list(blocks(run, compute(table), worst_errors(table, 5, 0)))


def grids(made: list[object], after: str) -> list[Grid]:
    """The tables of one section."""
    titles = [block.text if isinstance(block, Heading) and block.level == 2 else "" for block in made]
    start = titles.index(after)
    end = next((place for place in range(start + 1, len(made)) if titles[place]), len(made))
    return [block for block in made[start:end] if isinstance(block, Grid)]


def texts_of(made: list[object]) -> str:
    return "\n".join(block.text for block in made if isinstance(block, Paragraph))


def test_rates_stand_with_interval_and_count() -> None:
    (summary,) = grids(report(ROWS), "Modes and baselines")
    rows = {(row[0], row[1]): row for row in summary.rows}
    code = rows["code", "suspect or misrouted"]
    assert code[2] == "90.0% [59.6-98.2] of 10"
    assert code[3] == "0.0% [0.0-2.5] of 150"
    assert code[4] == "0.0% [0.0-79.3] of 1"
    assert code[5].startswith("100% (at worst ")
    fiction = rows["fiction", "suspect or misrouted"]
    assert (fiction[2], fiction[5]) == ("-", "-")
    assert len(summary.head) == len(code)


def test_baselines_stand_in_the_same_table() -> None:
    (summary,) = grids(report(ROWS), "Modes and baselines")
    quiet = {summary.rows[place][1] for place in summary.quiet}
    assert quiet == {"refusal phrases or every code fence", "refusal phrases", "every code fence", "majority class"}


def test_what_is_left_out_is_said() -> None:
    said = texts_of(report(ROWS))
    assert "161 labelled exchanges from 1 files" in said
    assert "4 rows with unknown behaviour, 5 prompts without an answer, 3 lines that could not be read" in said
    assert "drawn at random" not in said
    assert "drawn at random (seed 0) from 900" in texts_of(report(ROWS, limit=161, usable=900))
    assert "Mean AUC of the modes that have mis-routed and ordinary rows: 0.950." in said
    assert "could not be judged, counted as not flagged with score 0: refusal 1." in said


def test_every_picture_is_in_it() -> None:
    assert [block.file for block in report(ROWS) if isinstance(block, Image)] == list(PICTURES)


def test_languages_sources_and_confusion() -> None:
    made = report(ROWS)
    languages = {grid.folded: grid for grid in grids(made, "Languages")}
    assert [row[0] for row in languages["code"].rows] == ["en", "de"]
    assert languages["code"].rows[1][1] == "100.0% [34.2-100.0] of 2"
    (confusion,) = grids(made, "Confusion")
    assert confusion.rows[0][:4] == ("code", "mis-routed", "10", "1")
    assert confusion.rows[0][5] == "7 + 2"
    (sources,) = grids(made, "Sources")
    assert sources.rows[0][:4] == ("made", "code", "mis-routed", "10")


def test_errors_are_shown_with_or_without_texts() -> None:
    (missed,) = grids(report(ROWS), "Worst errors")
    assert missed.folded == "missed, lowest score first (1 of 1)"
    assert missed.rows == (("hidden", "made.jsonl:hidden en", "code, mis-routed", "clear 0.00", "", "a prompt", "an answer"),)
    (bare,) = grids(report(ROWS, texts=False), "Worst errors")
    assert bare.head == ("id", "where", "label", "found", "evidence")
    assert len(bare.rows[0]) == 5


def test_tables_are_rectangular() -> None:
    for rows in (ROWS, [judged("none", True)]):
        for block in report(rows):
            if isinstance(block, Grid):
                assert {len(row) for row in block.rows} <= {len(block.head)}
