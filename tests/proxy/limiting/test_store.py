"""The store of one process: what every store does, and the clock."""

from __future__ import annotations

import pytest

from proxy.config_keys import KeyLimits
from proxy.limiting.store import MemoryStore
from tests.proxy.limiting.store_suite import StoreSuite


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


async def test_a_new_day_and_a_new_month_have_budgets_of_their_own() -> None:
    seconds = [1_706_745_600.0 - 60]  # a minute before February 2024
    store = MemoryStore(clock=lambda: 0.0, date=lambda: seconds[0])
    limits = KeyLimits(tokens_per_day=10, tokens_per_month=15)
    store.settle("app", limits, 0, 15)
    assert (await store.take("app", limits, 1)).refused == "month"
    seconds[0] += 61
    assert not (await store.take("app", limits, 1)).refused
    store.settle("app", limits, 0, 10)
    assert (await store.take("app", limits, 1)).refused == "day"
    seconds[0] += 86_400
    assert not (await store.take("app", limits, 1)).refused


async def test_a_clock_that_is_set_back_opens_no_bucket() -> None:
    """Buckets are on the monotonic clock; only the windows follow the date."""
    date = [1_706_745_600.0]
    store = MemoryStore(clock=lambda: 5.0, date=lambda: date[0])
    limits = KeyLimits(requests_per_minute=1)
    assert not (await store.take("app", limits, 1)).refused
    date[0] += 3600
    assert (await store.take("app", limits, 1)).refused == "requests"
