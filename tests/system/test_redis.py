"""Limits in Debian's Redis: what every store does, done by the real thing; and what happens when it goes and comes back.

One rule: nothing here speaks for Redis but Redis.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.config_keys import KeyLimits
from proxy.limiting.redis_store import RedisStore
from proxy.limiting.store import StoreError
from tests.proxy.limiting.store_suite import StoreSuite
from tests.system.programs import free_port, program, running

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@contextmanager
def redis(folder: Path, port: int) -> Iterator[str]:
    """A Redis of its own that keeps nothing on disk."""
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with running(command, folder / "redis.log", port):
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis(tmp_path_factory.mktemp("redis"), free_port()) as found:
        yield found


class TestRedisStore(StoreSuite):
    @pytest.fixture
    async def store(self, url: str, request: pytest.FixtureRequest) -> AsyncIterator[RedisStore]:
        store = RedisStore(url, request.node.name, 2.0)
        yield store
        await store.close()


async def test_two_processes_share_one_limit(url: str) -> None:
    one, two = RedisStore(url, "shared", 2.0), RedisStore(url, "shared", 2.0)
    limits = KeyLimits(requests_per_minute=30)
    found = await asyncio.gather(*[store.take("app", limits, 1) for _ in range(30) for store in (one, two)])
    assert sum(not item.refused for item in found) == 30
    await one.close()
    await two.close()


async def test_nothing_is_kept_longer_than_it_counts(url: str) -> None:
    store = RedisStore(url, "ttl", 2.0)
    limits = KeyLimits(requests_per_minute=60, tokens_per_minute=60, tokens_per_day=9, tokens_per_month=9)
    await store.take("app", limits, 6)
    store.settle("app", limits, 6, 7)
    await store.drain()
    left = {key.decode(): await store._redis.ttl(key) for key in await store._redis.keys("ttl:*")}
    assert len(left) == 4
    assert all(seconds > 0 for seconds in left.values()), left
    assert max(seconds for key, seconds in left.items() if ":day:" not in key and ":month:" not in key) <= 10
    await store.close()


async def test_redis_may_go_and_come_back(tmp_path: Path) -> None:
    port = free_port()
    limits = KeyLimits(requests_per_minute=100, tokens_per_day=100)
    with redis(tmp_path, port) as url:
        store = RedisStore(url, "t", 0.5)
        work = asyncio.create_task(store.run())
        assert not (await store.take("app", limits, 1)).refused
    with pytest.raises(StoreError):
        await store.take("app", limits, 1)
    store.settle("app", limits, 1, 100)
    with redis(tmp_path, port):
        end = time.monotonic() + 20
        refused = ""
        while refused != "day":
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
            try:
                refused = (await store.take("app", limits, 1)).refused
            except StoreError:
                continue
        work.cancel()
        await store.close()
