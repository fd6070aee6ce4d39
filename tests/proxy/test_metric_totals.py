"""Totals of processes: added up, sent, shown."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.metric_totals import NOTHING, Shown, Totals, added, from_json, to_json

PLACES = len((0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)) + 1
ONE = Totals(
    {("chunkguard_scans_total", "r"): 3},
    {("chunkguard_requests_active", "0"): 2, ("chunkguard_policy_revision_info", "a"): 1},
    {("chunkguard_detector_seconds", "r"): ([1] + [0] * (PLACES - 1), 0.25)},
)
TWO = Totals(
    {("chunkguard_scans_total", "r"): 4, ("chunkguard_scans_total", "s"): 1},
    {("chunkguard_requests_active", "1"): 1, ("chunkguard_policy_revision_info", "b"): 1},
    {("chunkguard_detector_seconds", "r"): ([0] * (PLACES - 1) + [2], 9.0)},
)


def test_counts_add_up_and_gauges_stand_beside_each_other() -> None:
    both = added([ONE, NOTHING, TWO])
    assert both.counters == {("chunkguard_scans_total", "r"): 7, ("chunkguard_scans_total", "s"): 1}
    assert both.gauges == {**ONE.gauges, **TWO.gauges}
    assert both.spreads == {("chunkguard_detector_seconds", "r"): ([1] + [0] * (PLACES - 2) + [2], 9.25)}


def test_the_way_to_the_supervisor_changes_nothing() -> None:
    assert from_json(to_json(ONE)) == ONE
    for broken in (b"", b"{", b"[1, 2]", b"[[], [], [1]]", b'{"a": 1}'):
        with pytest.raises(ValueError, match="no totals"):
            from_json(broken)


def test_prometheus_reads_the_sum() -> None:
    text = Shown(lambda: added([ONE, TWO])).text().decode()
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["chunkguard_scans_total", "r"] == 7
    assert samples["chunkguard_detector_seconds_count", "r"] == 3
    assert samples["chunkguard_detector_seconds_bucket", "5e-05", "r"] == 1
    assert samples["chunkguard_detector_seconds_bucket", "+Inf", "r"] == 3
    assert samples["chunkguard_requests_active", "1"] == 1
    assert samples["chunkguard_worker_restarts_total",] == 0
