"""What the operating system says of this process."""

from __future__ import annotations

import socket

from proxy import process
from proxy.metric_table import METRICS


def test_open_files_and_memory_follow_what_is_held() -> None:
    files, memory = process.open_files(), process.resident_bytes()
    assert files is not None
    assert memory is not None
    with socket.socket():
        assert process.open_files() == files + 1
    held = bytearray(b"x") * (64 << 20)
    assert (process.resident_bytes() or 0) - memory > len(held) * 0.9


def test_what_is_measured_stands_in_the_table() -> None:
    labels = {metric.name: metric.labels for metric in METRICS}
    found = process.measured(3, active=2, waiting=1)
    assert found["chunkguard_requests_active", "3"] == 2
    assert found["chunkguard_observer_waiting", "3"] == 1
    assert found["chunkguard_cpu_seconds_total",] > 0
    assert {len(labels[name]) == len(values) for name, *values in found} == {True}
