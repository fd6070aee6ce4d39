"""Pictures of any table: what they draw is what was computed, and no table is too poor or too strange for them."""

from __future__ import annotations

import struct
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.colors import to_rgba

from core.types import MODES
from evaluation.figures import CERTAIN, FLAGGED, compute
from evaluation.judge import Judged
from evaluation.plots import PICTURES, confusion_figure, draw, languages_figure, reliability_figure, roc_figure
from evaluation.table import ANY, make_table
from tests.evaluation.made import judged

ROWS = [
    *(judged("code", False, {"code": (2, 0.5 + number / 20)}) for number in range(8)),
    *(judged("code", True, {"code": (number % 2, number / 20)}, lang="de") for number in range(8)),
    *(judged("none", True, {"refusal": (number % 2, number / 10)}, lang="de") for number in range(9)),
    *(judged("refusal", False, {"refusal": (1, 0.4)}) for _ in range(3)),
]


def size(file: Path) -> tuple[int, int]:
    data = file.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        [judged("none", True)],
        [judged("code", False, {"code": (2, 1.0)})],
        [judged("code", None), judged("none", None)],
        [judged("none", True, lang=f"$lang_{number}^") for number in range(60)],
        [judged("none", True, lang=lang) for lang in ("日本語", "$", "\\", "zh-Hant", "עברית", "<b>")],
    ],
    ids=["both", "one-row", "one-positive", "nothing-said", "many-languages", "strange-languages"],
)
def test_every_table_can_be_drawn(rows: list[Judged], tmp_path: Path) -> None:
    table = make_table(rows)
    draw(table, compute(table), tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == PICTURES.keys()
    for name in PICTURES:
        width, height = size(tmp_path / name)
        assert 600 < width < 2500
        assert 300 < height < 2500


def test_the_same_table_gives_the_same_bytes_whatever_style_is_set(tmp_path: Path) -> None:
    table = make_table(ROWS)
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    draw(table, compute(table), folders[0])
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "black"}):
        draw(table, compute(table), folders[1])
        assert mpl.rcParams["font.size"] == 20
    for name in PICTURES:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_one_mode_is_enough(tmp_path: Path) -> None:
    table = make_table(ROWS, ["code"])
    draw(table, compute(table), tmp_path)
    assert size(tmp_path / "reliability.png")[0] > 600


def test_roc_marks_lie_where_the_thresholds_do() -> None:
    table = make_table(ROWS)
    figures = compute(table)
    whole, low = roc_figure(table, figures).axes
    for way in (FLAGGED, CERTAIN):
        system = figures.modes["code"].systems[way]
        marks = [(line.get_xdata()[0], line.get_ydata()[0]) for line in whole.lines if line.get_marker() in "oD"]
        assert (system.false_positives.rate, system.recall.rate) in marks
    assert low.get_xscale() == "log"
    assert min(min(line.get_xdata()) for line in low.lines[:3]) > 0


def test_a_legend_names_each_drawn_mode_with_its_rows() -> None:
    table = make_table(ROWS)
    (legend,) = roc_figure(table, compute(table)).legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert [label.split()[0] for label in labels] == [ANY, "code", "refusal"]
    assert labels[1].endswith("8 / 12")


def test_reliability_draws_each_bin() -> None:
    figures = compute(make_table(ROWS))
    panels = dict(zip(MODES, reliability_figure(figures).axes, strict=True))
    bins = figures.modes["code"].calibration.bins
    (points,) = panels["code"].containers
    assert list(points.lines[0].get_xdata()) == pytest.approx([each.mean_score for each in bins])
    assert list(points.lines[0].get_ydata()) == pytest.approx([each.share.rate for each in bins])


def test_few_rows_are_drawn_hollow() -> None:
    rows = [*(judged("none", True) for _ in range(30)), *(judged("none", True, lang="de") for _ in range(29))]
    panel = languages_figure(compute(make_table(rows))).axes[0]
    faces = [to_rgba(point.lines[0].get_markerfacecolor()) for point in panel.containers]
    assert [face == to_rgba("white") for face in faces] == [False, True]


def test_confusion_writes_misrouted_and_suspect_apart_and_frames_the_right_cell() -> None:
    figures = compute(make_table(ROWS))
    panel = confusion_figure(figures).axes[0]
    cells = {(round(text.get_position()[0]), round(text.get_position()[1])): text.get_text() for text in panel.texts}
    columns = [label.get_text() for label in panel.get_xticklabels()]
    assert columns == ["clear", *MODES]
    lines = [(row.behaviour, row.appropriate) for row in figures.confusion]
    assert cells[columns.index("code"), lines.index(("code", False))] == "8+0"
    assert cells[columns.index("code"), lines.index(("code", True))] == "0+4"
    assert cells[0, lines.index(("code", True))] == "4"
    framed = {(round(patch.get_x() + 0.5), round(patch.get_y() + 0.5)) for patch in panel.patches}
    expected = {("code", False): "code", ("code", True): "clear", ("none", True): "clear", ("refusal", False): "refusal"}
    assert framed == {(columns.index(column), lines.index(label)) for label, column in expected.items()}
