"""Admission by key: refusals as errors, headers, and what happens without a store."""

from __future__ import annotations

from collections import Counter

import pytest
from pydantic import SecretStr

from proxy.config_keys import KeyLimits, LimitStore
from proxy.errors import LimitsUnavailable, QuotaExceeded, RateLimited
from proxy.keys import Client
from proxy.limiting.bucket import Admission
from proxy.limiting.limiter import RESULTS, Limiter, make_store
from proxy.limiting.redis_store import RedisStore
from proxy.limiting.store import MemoryStore, StoreError

LIMITS = KeyLimits(requests_per_minute=2, tokens_per_minute=100, tokens_per_day=150)
APP = Client("app", limits=LIMITS)


class Gone(MemoryStore):
    """A store that cannot be asked."""

    async def take(self, name: str, limits: KeyLimits, tokens: int) -> Admission:
        raise StoreError


def limiter(store: MemoryStore, *, fail_open: bool = True) -> tuple[Limiter, Counter[tuple[str, str]], Counter[str]]:
    results: Counter[tuple[str, str]] = Counter()
    tokens: Counter[str] = Counter()

    def used(client: str, amount: int) -> None:
        tokens[client] += amount

    made = Limiter(store, fail_open=fail_open, on_request=lambda *key: results.update([key]), on_tokens=used)
    return made, results, tokens


async def test_a_request_is_charged_once() -> None:
    own, results, tokens = limiter(MemoryStore())
    grant = await own.admit(APP, 40)
    assert grant.reserved == 10
    grant.charge(30)
    grant.charge(30)
    assert tokens == {"app": 30}
    assert results == {("app", "admitted"): 1}
    assert ("x-ratelimit-remaining-tokens", "90") in grant.headers


async def test_each_limit_refuses_with_its_own_word() -> None:
    own, results, _ = limiter(MemoryStore())
    first = await own.admit(APP, 200)
    with pytest.raises(RateLimited) as tokens:
        await own.admit(APP, 4000)
    assert "tokens" in tokens.value.message
    first.charge(160)
    with pytest.raises(QuotaExceeded) as day:
        await own.admit(APP, 4)
    assert day.value.retry_after_s is not None
    assert [word for _, word in results] == ["admitted", "tokens", "day"]
    assert {word for _, word in results} <= set(RESULTS)


@pytest.mark.parametrize("fail_open", [True, False])
async def test_without_its_store_the_setting_decides(fail_open: bool) -> None:
    own, results, _ = limiter(Gone(), fail_open=fail_open)
    if fail_open:
        grant = await own.admit(APP, 40)
        assert (grant.headers, grant.reserved) == ([], 0)
        grant.charge(7)  # told to the store when it is back
        assert results == {("app", "uncounted"): 1}
    else:
        with pytest.raises(LimitsUnavailable) as caught:
            await own.admit(APP, 40)
        assert (caught.value.status, caught.value.retry_after_s) == (503, 1.0)
        assert results == {("app", "unavailable"): 1}


async def test_the_configuration_names_the_store() -> None:
    assert isinstance(make_store(LimitStore()), MemoryStore)
    store = make_store(LimitStore(kind="redis", url=SecretStr("redis://127.0.0.1:1/0")))
    assert isinstance(store, RedisStore)
    await store.close()
