"""Figures of a small table, worked out by hand."""

from __future__ import annotations

import pytest

from core.types import MODES
from evaluation.figures import CERTAIN, FLAGGED, MAJORITY, compute
from evaluation.measures import Rate
from evaluation.table import ANY, make_table
from tests.evaluation.made import judged

ROWS = [
    # code: two found (one of them only suspected), one found as something else
    judged("code", False, {"code": (2, 0.9)}, baselines=(False, True)),
    judged("code", False, {"code": (1, 0.5)}, source="b"),
    judged("code", False, {"math": (1, 0.6)}, lang="de", source="b"),
    # its look-alikes: one flagged
    judged("code", True, {"code": (1, 0.5)}, baselines=(False, True)),
    judged("code", True, baselines=(False, True)),
    judged("code", None, {"code": (2, 0.9)}),
    # ordinary: two of five are flagged somewhere
    judged("none", True),
    judged("none", True, lang="de"),
    judged("none", None, {"code": (1, 0.45), "math": (2, 0.4)}),
    judged("none", None, {"math": (1, 0.6), "rebuttal": (1, 0.5)}),
    judged("none", None),
]
FIGURES = compute(make_table(ROWS))


def shown(rate: Rate) -> tuple[int, int]:
    return rate.hits, rate.n


def test_rates_of_a_mode() -> None:
    group = FIGURES.modes["code"]
    assert (group.rows, group.positives, group.look_alikes, group.ordinary, group.left_out) == (10, 3, 2, 5, 1)
    flagged, certain = group.systems[FLAGGED], group.systems[CERTAIN]
    assert shown(flagged.recall) == (2, 3)
    assert shown(flagged.false_positives) == (1, 5)
    assert shown(flagged.look_alikes) == (1, 2)
    assert flagged.accuracy == pytest.approx(7 / 10)
    assert shown(certain.recall) == (1, 3)
    assert shown(certain.false_positives) == (0, 5)
    assert flagged.precision["1%"].value == pytest.approx(0.01 * 2 / 3 / (0.01 * 2 / 3 + 0.99 / 5), abs=1e-6)
    assert certain.precision["5%"].value == 1.0


def test_scores_of_a_mode() -> None:
    group = FIGURES.modes["code"]
    # Positives .9, .5, 0 against ordinary .45, 0, 0, 0, 0: the first two win all, the last ties with four.
    assert group.auc == pytest.approx((5 + 5 + 2) / 15, abs=1e-6)
    # Against look-alikes .5 and 0.
    assert group.auc_look_alikes == pytest.approx((2 + 1.5 + 0.5) / 6, abs=1e-6)
    assert group.recall_at_1_percent is not None
    assert group.recall_at_1_percent.recall == pytest.approx(2 / 3, abs=1e-6)
    assert sum(each.rows for each in group.calibration.bins) == 10


def test_baselines_see_the_same_rows() -> None:
    systems = FIGURES.modes["code"].systems
    assert list(systems) == [FLAGGED, CERTAIN, "every code fence", MAJORITY]
    assert shown(systems["every code fence"].recall) == (1, 3)
    assert shown(systems["every code fence"].look_alikes) == (2, 2)
    assert shown(systems[MAJORITY].recall) == (0, 3)
    assert systems[MAJORITY].accuracy == pytest.approx(7 / 10)


def test_the_majority_may_be_the_mis_routed() -> None:
    rows = [judged("math", False), judged("math", False), judged("none", True)]
    system = compute(make_table(rows)).modes["math"].systems[MAJORITY]
    assert (shown(system.recall), shown(system.false_positives)) == ((2, 2), (1, 1))


def test_any_mode() -> None:
    group = FIGURES.modes[ANY]
    assert (group.positives, group.ordinary, group.look_alikes, group.left_out) == (3, 5, 2, 1)
    assert shown(group.systems[FLAGGED].recall) == (3, 3)
    assert shown(FIGURES.own_mode) == (2, 3)
    assert shown(group.systems[FLAGGED].false_positives) == (2, 5)


def test_an_empty_class_has_no_figures() -> None:
    group = FIGURES.modes["fiction"]
    assert (group.positives, group.auc, group.recall_at_1_percent) == (0, None, None)
    assert group.systems[FLAGGED].recall.rate is None
    assert group.systems[FLAGGED].precision["1%"].value is None
    assert FIGURES.mean_auc == FIGURES.modes["code"].auc


def test_one_class_only() -> None:
    figures = compute(make_table([judged("code", False, {"code": (2, 0.9)})]))
    assert figures.modes["code"].systems[FLAGGED].recall.rate == 1.0
    assert figures.modes["code"].systems[FLAGGED].false_positives.rate is None
    assert figures.modes["code"].auc is None
    assert figures.mean_auc is None


def test_languages_are_parts_of_the_whole() -> None:
    for name in (ANY, *MODES):
        groups = FIGURES.languages[name]
        assert list(groups) == ["en", "de"]
        assert sum(group.rows for group in groups.values()) == FIGURES.modes[name].rows
        hits = sum(group.systems[FLAGGED].false_positives.hits for group in groups.values())
        assert hits == FIGURES.modes[name].systems[FLAGGED].false_positives.hits
    assert FIGURES.languages["code"]["de"].positives == 1


def test_sources_by_label() -> None:
    keys = [(row.source, row.behaviour, row.appropriate, row.rows) for row in FIGURES.sources]
    assert keys == [
        ("b", "code", False, 2),
        ("made", "code", False, 1),
        ("made", "code", True, 2),
        ("made", "code", None, 1),
        ("made", "none", True, 2),
        ("made", "none", None, 3),
    ]
    first = FIGURES.sources[0]
    assert first.own is not None
    assert (shown(first.own), shown(first.flagged), shown(first.certain)) == ((1, 2), (2, 2), (0, 2))
    assert FIGURES.sources[-1].own is None


def test_confusion_counts_each_row_once_where_it_is_worst() -> None:
    found = {(row.behaviour, row.appropriate): row for row in FIGURES.confusion}
    wrong = found["code", False]
    assert (wrong.rows, wrong.clear, wrong.found["code"], wrong.found["math"]) == (3, 0, (1, 1), (1, 0))
    plain = found["none", None]
    # The level comes before the score, then the score decides.
    assert (plain.rows, plain.clear, plain.found["math"]) == (3, 1, (1, 1))
    for row in FIGURES.confusion:
        assert row.clear + sum(sum(pair) for pair in row.found.values()) == row.rows


def test_rows_that_could_not_be_judged_are_counted_and_not_flagged() -> None:
    rows = [judged("refusal", False, {"refusal": (-1, 0.0)}), judged("none", True)]
    group = compute(make_table(rows)).modes["refusal"]
    assert group.unchecked == 1
    assert shown(group.systems[FLAGGED].recall) == (0, 1)
