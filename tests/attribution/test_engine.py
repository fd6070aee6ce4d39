"""Engines give the same results in the same order; a cluster that is not there is said at once."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from attribution.engine import Cluster, Engine, Processes
from proxy.errors import ConfigError


def square(number: int) -> int:
    return number * number


def spelled(number: int) -> str:
    return str(number)


@contextmanager
def cluster() -> Iterator[Engine]:
    """A scheduler and a worker in this process: that they may be elsewhere is shown by `make attribute-proof`."""
    from distributed import LocalCluster

    start: Any = LocalCluster
    with (
        start(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as workers,
        Cluster(workers.scheduler_address) as engine,
    ):
        yield engine


def check(engine: Engine) -> None:
    assert list(engine.map(square, range(60))) == [number * number for number in range(60)]
    assert engine.fold(spelled, range(100), operator.add) == "".join(map(str, range(100)))
    assert engine.fold(spelled, range(1), operator.add) == "0"
    assert engine.fold(spelled, [], operator.add) is None


def test_one_process_maps_and_folds_in_order() -> None:
    check(Processes(1))


@pytest.mark.filterwarnings("ignore")  # Dask's own, of sockets that close while its loop ends
def test_a_cluster_does_the_same() -> None:
    with cluster() as engine:
        check(engine)


def test_a_cluster_that_is_not_there_is_a_problem_with_the_option() -> None:
    with pytest.raises(ConfigError) as caught:
        Cluster("tcp://127.0.0.1:9", timeout="300ms")
    assert "--scheduler" in str(caught.value.problems[0])
