"""Limits that several processes and hosts hold together, in Redis.

One rule: a request is decided by one script, which Redis runs as a whole, by Redis's own clock. What requests have used is
added up here and sent every 50 ms, so that an answer waits for no second round trip; a process that is killed loses what it
had not sent.

All of a key's counts have one hash tag, so they live on one node of a cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from time import monotonic, time
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from proxy.config_keys import KeyLimits
from proxy.limiting.bucket import Admission, Refusal, standing, windows_at
from proxy.limiting.store import StoreError

log = logging.getLogger("chunkguard.limits")
#: Seconds between two batches of what was used.
FLUSH_S: Final = 0.05
#: Seconds after a failure in which Redis is not asked: requests must not queue up behind its time-out.
PAUSE_S: Final = 1.0
#: Open connections at most: one script takes well under a millisecond, so few suffice for thousands of requests a second.
CONNECTIONS: Final = 32

#: Seconds pass through as text: Redis would cut numbers to integers.
_NOW: Final = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local function full_at(key) return math.max(tonumber(redis.call('GET', key) or '0'), now) end
local function put(key, at)
  if at > now then redis.call('SET', key, string.format('%.6f', at), 'PX', math.ceil((at - now) * 1000) + 1000)
  else redis.call('DEL', key) end
end
"""
#: KEYS: requests, tokens, day, month. ARGV: limits of the same (0 = none), tokens to reserve.
_TAKE: Final = (
    _NOW
    + """
local requests, tokens, day, month = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local cost = tonumber(ARGV[5])
local refused, wait = '', 0
local at = {full_at(KEYS[1]), full_at(KEYS[2])}
local function late(full, taking, limit) return full + math.min(taking, limit) * 60 / limit - now - 60 end
if month > 0 and tonumber(redis.call('GET', KEYS[4]) or '0') >= month then refused = 'month'
elseif day > 0 and tonumber(redis.call('GET', KEYS[3]) or '0') >= day then refused = 'day'
else
  if requests > 0 then wait = late(at[1], 1, requests); if wait > 0.000001 then refused = 'requests' end end
  if refused == '' and tokens > 0 then wait = late(at[2], cost, tokens); if wait > 0.000001 then refused = 'tokens' end end
end
if refused == '' then
  if requests > 0 then at[1] = at[1] + 60 / requests; put(KEYS[1], at[1]) end
  if tokens > 0 then at[2] = at[2] + cost * 60 / tokens; put(KEYS[2], at[2]) end
end
return {refused, tostring(wait), tostring(at[1] - now), tostring(at[2] - now)}
"""
)
#: KEYS: tokens, day, month. ARGV: limit of tokens (0 = none), tokens beyond those reserved, tokens, seconds the windows last.
_SETTLE: Final = (
    _NOW
    + """
local limit, beyond, used = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if limit > 0 then put(KEYS[1], full_at(KEYS[1]) + beyond * 60 / limit) end
if used > 0 then
  for place = 2, 3 do
    redis.call('INCRBY', KEYS[place], used)
    redis.call('EXPIRE', KEYS[place], ARGV[place + 2])
  end
end
return 1
"""
)
#: Seconds that a window's count outlives it, for hosts whose clocks differ.
_GRACE_S: Final = 3600


@dataclass(slots=True)
class _Charge:
    """What a key has used and Redis has not heard of, in windows of one day."""

    limits: KeyLimits
    beyond: int = 0
    tokens: int = 0


class RedisStore:
    """Counts in Redis. Must be made inside a running event loop."""

    def __init__(self, url: str, prefix: str, timeout_s: float) -> None:
        """`timeout_s`: longest wait for one script, a connection included."""
        self._prefix = prefix
        self._timeout_s = timeout_s
        # More than its connections wait for one. The driver's description of itself is read from disk for every connection, on
        # the event loop: it is left out.
        pool = BlockingConnectionPool.from_url(
            url,
            driver_info=None,
            protocol=2,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            max_connections=CONNECTIONS,
            timeout=timeout_s,
        )
        self._redis: Any = Redis.from_pool(pool)
        self._take = self._redis.register_script(_TAKE)
        self._settle = self._redis.register_script(_SETTLE)
        self._pending: dict[tuple[str, str, str], _Charge] = {}
        self._paused_until = 0.0
        self._flushing = asyncio.Lock()

    async def take(self, name: str, limits: KeyLimits, tokens: int) -> Admission:
        windows = windows_at(time())
        own = [limits.requests_per_minute, limits.tokens_per_minute, limits.tokens_per_day, limits.tokens_per_month]
        keys = self._keys(name, windows.day, windows.month)
        refused, wait, requests, held = await self._call(self._take, keys, [*(limit or 0 for limit in own), tokens])
        word: Refusal = refused.decode()
        wait_s = {"": 0.0, "day": windows.day_left_s, "month": windows.month_left_s}.get(word, float(wait))
        return Admission(
            word,
            wait_s,
            standing(float(requests), 0.0, limits.requests_per_minute) if limits.requests_per_minute else None,
            standing(float(held), 0.0, limits.tokens_per_minute) if limits.tokens_per_minute else None,
        )

    def settle(self, name: str, limits: KeyLimits, reserved: int, tokens: int) -> None:
        windows = windows_at(time())
        charge = self._pending.setdefault((name, windows.day, windows.month), _Charge(limits))
        charge.limits = limits
        charge.beyond += tokens - reserved
        charge.tokens += tokens

    async def run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            with contextlib.suppress(StoreError):  # it stays pending
                async with self._flushing:
                    await self._flush()

    async def drain(self) -> None:
        with contextlib.suppress(StoreError):
            async with self._flushing:  # a batch that is on its way must arrive
                await self._flush()
        if self._pending:
            log.error("%d client keys have used tokens that Redis could not be told of", len(self._pending))

    async def close(self) -> None:
        await self._redis.aclose()

    async def _flush(self) -> None:
        for place in list(self._pending):
            name, day, month = place
            charge = self._pending.pop(place)
            left = windows_at(time())
            arguments = [
                charge.limits.tokens_per_minute or 0,
                charge.beyond,
                charge.tokens,
                int(left.day_left_s) + _GRACE_S,
                int(left.month_left_s) + _GRACE_S,
            ]
            try:
                await self._call(self._settle, self._keys(name, day, month)[1:], arguments)
            except BaseException:
                again = self._pending.setdefault(place, _Charge(charge.limits))
                again.beyond += charge.beyond
                again.tokens += charge.tokens
                raise

    def _keys(self, name: str, day: str, month: str) -> list[str]:
        base = f"{self._prefix}:{{{name}}}"
        return [f"{base}:requests", f"{base}:tokens", f"{base}:day:{day}", f"{base}:month:{month}"]

    async def _call(self, script: Any, keys: list[str], arguments: list[int]) -> Any:
        if monotonic() < self._paused_until:
            raise StoreError("Redis failed a moment ago")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await script(keys=keys, args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            self._paused_until = monotonic() + PAUSE_S
            log.warning("Redis, which limits are counted in, cannot be asked", exc_info=error)
            raise StoreError(type(error).__name__) from error
