"""Admits requests of keys that have limits, and charges them for what they used.

One rule: what a request will cost is not known when it is admitted. A quarter of its body's bytes is reserved, the rest is
charged at its end, and what a key owes is paid before its next request: it overdraws by the answers under way at most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from core.attempt import CHARACTERS_PER_TOKEN
from proxy.config_keys import KeyLimits, LimitStore
from proxy.errors import Headers, LimitsUnavailable, QuotaExceeded, RateLimited
from proxy.keys import Client
from proxy.limiting.bucket import Admission
from proxy.limiting.store import MemoryStore, Store, StoreError
from proxy.limiting.told import Tell, tell_openai

#: What became of a request of a limited key, for metrics. `uncounted`: the store was gone, and `failure_mode` is `fail_open`.
RESULTS: Final = ("admitted", "requests", "tokens", "day", "month", "uncounted", "unavailable")
_WORDS: Final = {
    "requests": "Rate limit reached: requests per minute of this key.",
    "tokens": "Rate limit reached: tokens per minute of this key.",
    "day": "This key has used its tokens of today (UTC).",
    "month": "This key has used its tokens of this month (UTC).",
}


@dataclass(slots=True)
class Grant:
    """An admitted request. `headers`: what the client is told of its limits. `charge` it once, whatever it came to."""

    client: str
    headers: Headers
    reserved: int
    _limits: KeyLimits
    _settle: Callable[[str, KeyLimits, int, int], None] | None
    _on_tokens: Callable[[str, int], None]

    def charge(self, tokens: int) -> None:
        """The request has used `tokens`, in all attempts. Further calls do nothing."""
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(self.client, self._limits, self.reserved, tokens)
            self._on_tokens(self.client, tokens)


class Limiter:
    """What all requests of a process are admitted by. `on_request(client, result)`, `on_tokens(client, tokens)` count."""

    def __init__(
        self, store: Store, *, fail_open: bool, on_request: Callable[[str, str], None], on_tokens: Callable[[str, int], None]
    ) -> None:
        self.store = store
        self._fail_open = fail_open
        self._on_request = on_request
        self._on_tokens = on_tokens

    async def admit(self, client: Client, body_bytes: int, tell: Tell = tell_openai) -> Grant:
        """Admit a request of a client that has limits. `tell`: makes the headers of its API.

        Raises RateLimited, QuotaExceeded, LimitsUnavailable."""
        limits = client.limits
        assert limits is not None
        tokens = max(1, body_bytes // CHARACTERS_PER_TOKEN)
        try:
            admission = await self.store.take(client.name, limits, tokens)
        except StoreError:
            if not self._fail_open:
                self._on_request(client.name, "unavailable")
                raise LimitsUnavailable() from None
            self._on_request(client.name, "uncounted")
            # Nothing was reserved; what it uses is counted once the store is back.
            return Grant(client.name, [], 0, limits, self.store.settle, self._on_tokens)
        self._on_request(client.name, admission.refused or "admitted")
        if admission.refused:
            raise _refusal(admission, tell)
        return Grant(client.name, tell(admission), tokens, limits, self.store.settle, self._on_tokens)


def _refusal(admission: Admission, tell: Tell) -> RateLimited:
    kind = QuotaExceeded if admission.refused in ("day", "month") else RateLimited
    error = kind(_WORDS[admission.refused], retry_after_s=admission.wait_s)
    error.headers = tell(admission)
    return error


def make_store(settings: LimitStore) -> Store:
    """The store of a configuration. Must be called inside a running event loop."""
    if settings.kind == "memory":
        return MemoryStore()
    # An extra: whoever counts in memory needs no Redis library.
    from proxy.limiting.redis_store import RedisStore

    assert settings.url is not None
    return RedisStore(settings.url.get_secret_value(), settings.prefix, settings.timeout_ms / 1000)


def make_limiter(
    settings: LimitStore, on_request: Callable[[str, str], None], on_tokens: Callable[[str, int], None]
) -> Limiter:
    """The limiter of a configuration. Must be called inside a running event loop."""
    store = make_store(settings)
    return Limiter(store, fail_open=settings.failure_mode == "fail_open", on_request=on_request, on_tokens=on_tokens)
