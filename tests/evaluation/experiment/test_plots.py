"""Pictures of any experiment: none is too poor for them, and they show the figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.experiment.figures import figures
from evaluation.experiment.plots import PICTURES, draw, gains_figure, rates_figure
from evaluation.experiment.state import Trial
from evaluation.style import drawing
from tests.evaluation.experiment.test_figures import ITEMS, TRIALS, state


@pytest.mark.parametrize(
    ("trials", "arms"),
    [(TRIALS, ["off", "full"]), (TRIALS[4:], ["full"]), (TRIALS[:4], ["off"]), ([], ["off", "full"])],
    ids=["both", "nothing to compare with", "nothing to compare", "nothing"],
)
def test_every_experiment_can_be_drawn(trials: list[Trial], arms: list[str], tmp_path: Path) -> None:
    draw(figures(ITEMS, state(*trials), arms, 1), tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == PICTURES.keys()
    assert all((tmp_path / name).read_bytes()[:4] == b"\x89PNG" for name in PICTURES)


def test_pictures_show_the_figures() -> None:
    found = figures(ITEMS, state(*TRIALS), ["off", "full"], 1)
    with drawing():
        panel = rates_figure(found).axes[0]
        gains = [text.get_text() for text in gains_figure(found).axes[0].texts]
    assert [float(line.get_xdata()[0]) for line in panel.lines] == [0.75, 0.25]
    assert gains[0] == "+50.0 ·"  # two of four, and four are few
