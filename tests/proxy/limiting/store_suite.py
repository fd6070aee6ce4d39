"""What every store does: run over the one in memory by `make test`, over the one in Redis by `make test-system`.

One rule: nothing here knows which store it is.
"""

from __future__ import annotations

import asyncio

from proxy.config_keys import KeyLimits
from proxy.limiting.store import Store


class StoreSuite:
    """Tests of a store; a subclass gives the fixture `store`. Names of keys are used once each."""

    async def test_a_limit_of_requests_is_exact_under_a_race(self, store: Store) -> None:
        limits = KeyLimits(requests_per_minute=20)
        found = await asyncio.gather(*[store.take("race", limits, 1) for _ in range(50)])
        admitted = [item for item in found if not item.refused]
        assert len(admitted) == 20
        assert sorted(item.requests.remaining for item in admitted if item.requests) == list(range(20))
        refused = next(item for item in found if item.refused)
        assert refused.refused == "requests"
        assert 0 < refused.wait_s <= 3

    async def test_requests_come_back_with_time(self, store: Store) -> None:
        limits = KeyLimits(requests_per_minute=600)  # one in 100 ms
        for _ in range(600):
            await store.take("time", limits, 1)
        last = await store.take("time", limits, 1)
        if last.refused:  # the burst itself may have taken longer than a tenth of a second
            await asyncio.sleep(last.wait_s + 0.01)
            assert not (await store.take("time", limits, 1)).refused

    async def test_reserved_tokens_count_until_they_are_settled(self, store: Store) -> None:
        limits = KeyLimits(tokens_per_minute=100)
        assert not (await store.take("tokens", limits, 60)).refused
        second = await store.take("tokens", limits, 60)
        assert (second.refused, second.requests) == ("tokens", None)
        assert second.tokens is not None
        assert 40 <= second.tokens.remaining <= 41
        store.settle("tokens", limits, 60, 10)
        await store.drain()
        assert not (await store.take("tokens", limits, 60)).refused

    async def test_an_answer_may_overdraw_and_the_next_request_waits(self, store: Store) -> None:
        limits = KeyLimits(tokens_per_minute=100)
        await store.take("debt", limits, 1)
        store.settle("debt", limits, 1, 200)
        await store.drain()
        refused = await store.take("debt", limits, 1)
        assert refused.refused == "tokens"
        assert 55 <= refused.wait_s <= 61

    async def test_more_than_the_bucket_holds_waits_for_a_full_one_and_not_for_ever(self, store: Store) -> None:
        limits = KeyLimits(tokens_per_minute=10)
        assert not (await store.take("large", limits, 1000)).refused
        assert (await store.take("large", limits, 1)).refused == "tokens"

    async def test_budgets_of_day_and_month_are_used_up(self, store: Store) -> None:
        for name, limits in (("day", KeyLimits(tokens_per_day=50)), ("month", KeyLimits(tokens_per_month=50))):
            assert not (await store.take(name, limits, 40)).refused
            store.settle(name, limits, 40, 49)
            await store.drain()
            assert not (await store.take(name, limits, 40)).refused
            store.settle(name, limits, 40, 1)
            await store.drain()
            refused = await store.take(name, limits, 1)
            assert refused.refused == name
            assert 0 < refused.wait_s <= (86_400 if name == "day" else 31 * 86_400)

    async def test_keys_do_not_share(self, store: Store) -> None:
        limits = KeyLimits(requests_per_minute=1)
        assert not (await store.take("one", limits, 1)).refused
        assert not (await store.take("two", limits, 1)).refused
        assert (await store.take("one", limits, 1)).refused == "requests"

    async def test_a_refused_request_takes_nothing(self, store: Store) -> None:
        limits = KeyLimits(requests_per_minute=5, tokens_per_minute=10)
        assert not (await store.take("both", limits, 10)).refused
        for _ in range(5):
            assert (await store.take("both", limits, 10)).refused == "tokens"
        store.settle("both", limits, 10, 0)
        await store.drain()
        after = await store.take("both", limits, 1)
        assert not after.refused
        assert after.requests is not None
        assert after.requests.remaining == 3
