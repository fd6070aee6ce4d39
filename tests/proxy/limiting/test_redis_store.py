"""The store in Redis when Redis misbehaves: refuses, hangs, answers errors. What it counts is tested against a real one in
`tests/system/test_redis.py`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from proxy.config_keys import KeyLimits
from proxy.limiting import redis_store
from proxy.limiting.redis_store import RedisStore
from proxy.limiting.store import StoreError

LIMITS = KeyLimits(requests_per_minute=2, tokens_per_day=9)


async def command_word(reader: asyncio.StreamReader) -> bytes:
    size = int((await reader.readline())[1:])
    return (await reader.readexactly(size + 2))[:-2]


@asynccontextmanager
async def speaking(answer: Callable[[list[bytes]], bytes | None]) -> AsyncIterator[str]:
    """A server that reads Redis commands and answers as told, None = never."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readline():
                words = [await command_word(reader) for _ in range(int(head[1:]))]
                # A connection introduces itself first.
                reply = b"+OK\r\n" if words[0] in (b"CLIENT", b"HELLO") else answer(words)
                if reply is not None:
                    writer.write(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://:secret-word@127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()


def scripted(*replies: bytes | None) -> Callable[[list[bytes]], bytes | None]:
    """Answers scripts in turn, the last again and again; AUTH and SELECT are always fine."""
    left = list(replies)

    def answer(words: list[bytes]) -> bytes | None:
        if not words[0].startswith(b"EVAL"):
            return b"+OK\r\n"
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


def reply(*texts: bytes) -> bytes:
    return b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%s\r\n" % (len(text), text) for text in texts)


async def failing(store: RedisStore) -> float:
    began = time.monotonic()
    with pytest.raises(StoreError):
        await store.take("app", LIMITS, 1)
    return time.monotonic() - began


async def test_what_redis_decides_is_read() -> None:
    async with speaking(scripted(reply(b"requests", b"29.5", b"59.5", b"0"))) as url:
        store = RedisStore(url, "t", 1.0)
        admission = await store.take("app", LIMITS, 1)
        assert (admission.refused, admission.wait_s, admission.tokens) == ("requests", 29.5, None)
        assert admission.requests is not None
        assert admission.requests.remaining == 0
        await store.close()


async def test_more_requests_than_connections_wait_for_one() -> None:
    async with speaking(scripted(reply(b"", b"0", b"0", b"0"))) as url:
        store = RedisStore(url, "t", 5.0)
        found = await asyncio.gather(*[store.take("app", LIMITS, 1) for _ in range(10 * redis_store.CONNECTIONS)])
        assert not any(admission.refused for admission in found)
        await store.close()


async def test_nobody_there_is_said_at_once_and_not_asked_again_for_a_moment() -> None:
    store = RedisStore("redis://127.0.0.1:1/0", "t", 1.0)
    assert await failing(store) < 0.5
    assert max([await failing(store) for _ in range(50)]) < 0.01
    await store.close()


async def test_a_redis_that_hangs_costs_one_request_its_time(caplog: pytest.LogCaptureFixture) -> None:
    async with speaking(scripted(None)) as url:
        store = RedisStore(url, "t", 0.15)
        assert 0.1 < await failing(store) < 1.0
        assert max([await failing(store) for _ in range(50)]) < 0.01
        assert "secret-word" not in caplog.text
        assert "cannot be asked" in caplog.text
        await store.close()


async def test_a_drain_waits_for_what_is_on_its_way() -> None:
    arrived: list[bytes] = []
    gate = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            words = [await command_word(reader) for _ in range(int(head[1:]))]
            if words[0].startswith(b"EVAL"):
                await gate.wait()
                arrived.append(words[0])
            writer.write(b":1\r\n" if words[0].startswith(b"EVAL") else b"+OK\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    store = RedisStore(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", "t", 5.0)
    work = asyncio.create_task(store.run())
    store.settle("app", LIMITS, 0, 5)
    await asyncio.sleep(0.2)  # the batch has left, and nothing is pending
    asyncio.get_running_loop().call_later(0.1, gate.set)
    await store.drain()
    assert len(arrived) == 1
    work.cancel()
    await store.close()
    server.close()


async def test_it_is_asked_again_when_the_pause_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "PAUSE_S", 0.05)
    async with speaking(scripted(b"-LOADING Redis is loading the dataset in memory\r\n", reply(b"", b"0", b"0", b"0"))) as url:
        store = RedisStore(url, "t", 1.0)
        await failing(store)
        await asyncio.sleep(0.06)
        assert not (await store.take("app", LIMITS, 1)).refused
        await store.close()


async def test_what_was_used_while_redis_was_gone_is_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "PAUSE_S", 0.02)
    told: list[list[bytes]] = []

    def answer(words: list[bytes]) -> bytes:
        if words[0].startswith(b"EVAL"):
            told.append(words)
            return b"-OOM command not allowed\r\n" if len(told) < 3 else b":1\r\n"
        return b"+OK\r\n"

    async with speaking(answer) as url:
        store = RedisStore(url, "t", 1.0)
        work = asyncio.create_task(store.run())
        store.settle("app", LIMITS, 3, 10)
        await asyncio.sleep(0.1)
        store.settle("app", LIMITS, 0, 5)
        for _ in range(100):
            if len(told) >= 3:
                break
            await asyncio.sleep(0.02)
        await store.drain()
        work.cancel()
        # limit, beyond what was reserved, used
        assert told[-1][6:9] == [b"0", b"12", b"15"]
        assert len(told) == 3
        await store.close()
