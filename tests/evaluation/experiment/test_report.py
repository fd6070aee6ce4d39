"""The report's words repeat the figures, whoever judged."""

from __future__ import annotations

import pytest

from evaluation.document import markdown
from evaluation.experiment.figures import figures
from evaluation.experiment.report import JUDGES, blocks
from evaluation.experiment.state import Failure
from tests.evaluation.experiment.test_figures import ITEMS, NAMES, TRIALS, state, trial

COMPARED = [trial(name, "off", right=name == NAMES[0], verdict="misrouted") for name in NAMES]


@pytest.mark.parametrize("judge", sorted(JUDGES))
def test_the_words_repeat_the_figures(judge: str) -> None:
    made = state(*COMPARED, *TRIALS[4:-1], Failure(NAMES[3], "full", 0, "status 500"))
    found = figures(ITEMS, made, ["off", "full"], 1)
    text = markdown("Experiment", blocks(found, {"seed": 1, "judged_by": judge}, {"rates.png": "a picture"}))
    assert "### code" in text
    assert "| full | 3 |" in text
    assert "1 answers are missing" in text
    assert "| status 500 | 1 |" in text
    assert "Nothing was asked." in text
    assert "![a picture](rates.png)" in text
    assert "| code | 3 | 1 | 0 | 0 | 75.0% | - |" in text
    assert "flattered" in text if judge == "detectors" else "flattered" not in text


def test_without_the_arm_off_nothing_is_compared() -> None:
    text = markdown("Experiment", blocks(figures(ITEMS, state(*TRIALS[4:]), ["full"], 1), {"judged_by": "oracle"}, {}))
    assert "| full | 4 | 25.0% (4.6% to 69.9%) | - | - | - | - | 2.00 | - | - |" in text
