"""The table of metrics, and the closed sets of label values."""

from __future__ import annotations

from proxy.metric_table import METRICS, OTHER, Labels


def test_every_metric_is_named_and_explained() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.startswith("chunkguard_")
        assert metric.help.endswith(".")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert "model" not in metric.labels


def test_a_label_value_outside_its_set_is_other_until_a_configuration_names_it() -> None:
    labels = Labels()
    assert labels.map("route", "mine") == OTHER
    labels.allow(routes=["mine"])
    assert (labels.map("route", "mine"), labels.map("status", "2xx"), labels.map("status", "299")) == ("mine", "2xx", OTHER)
