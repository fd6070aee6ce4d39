"""What `chunkguard doctor` finds out about what a shared proxy needs: its certificate, Redis, and who can read its keys.

One rule: Redis is pinged and nothing is written to it.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from proxy import tls
from proxy.config import Settings
from proxy.config_keys import HASHED, LimitStore, client_key
from proxy.doctor_finding import BAD, GOOD, POOR, Finding, Level
from proxy.errors import ConfigError


async def look(settings: Settings) -> list[Finding]:
    """Nothing of what the configuration does not use."""
    return [*await _certificate(settings), *await _redis(settings.config.limit_store), *_keys(settings)]


async def _certificate(settings: Settings) -> list[Finding]:
    if settings.config.tls is None:
        return []
    try:
        await tls.read(settings)
    except ConfigError as error:
        advice = "certificate and key must be a pair, in PEM, the key without a password and readable by this user"
        return [Finding("tls", BAD, problem.reason, advice) for problem in error.problems]
    return [Finding("tls", GOOD, f"{settings.config.tls.cert_file} and its key fit")]


async def _redis(store: LimitStore) -> list[Finding]:
    if store.kind != "redis" or store.url is None or find_spec("redis") is None:
        return []
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    wait_s = store.timeout_ms / 1000
    client: Any = Redis.from_url(
        store.url.get_secret_value(), protocol=2, driver_info=None, socket_timeout=wait_s, socket_connect_timeout=wait_s
    )
    try:
        await client.ping()
    except (RedisError, OSError, TimeoutError) as error:
        level: Level = POOR if store.failure_mode == "fail_open" else BAD
        # The class alone: a text of Redis may hold what it was shown.
        text = f"Redis does not answer within {store.timeout_ms} ms ({type(error).__name__})"
        without = "limits do not hold" if level == POOR else "keys with limits are answered 503"
        return [Finding("limit_store", level, f"{text}: {without}", "is it running, and are address, password and TLS right?")]
    finally:
        await client.aclose()
    return [Finding("limit_store", GOOD, "Redis answers")]


def _keys(settings: Settings) -> Iterator[Finding]:
    """Keys as they are, in a file that every user of the host can read."""
    name = settings.config.keys_file
    if name is None:
        return
    bare = [own for own, entry in settings.config.keys.items() if not HASHED.fullmatch(_text(entry))]
    if bare and stat.S_IMODE(settings.path(name).stat().st_mode) & stat.S_IROTH:
        text = f"{name} can be read by every user, and holds keys as they are: {', '.join(sorted(bare)[:5])}"
        yield Finding("keys", POOR, text, "chmod o-r, or hashes in place of keys: `chunkguard key --hash`")


def _text(entry: object) -> str:
    return client_key(entry).key.get_secret_value()  # type: ignore[arg-type]
