"""The admin listener: metrics, health, readiness, reload. Loopback or a Unix socket by default, a key if public.

One rule: it is trusted by its address and key alone, never by who a peer says it is.
With several workers the supervisor has the configured listener, and each worker one of its own in a private folder.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from aiohttp import web

from proxy import errors
from proxy.errors import ConfigError, GuardError, NotFound, Unauthorized

#: What `/metrics` is, whatever was asked for: every scraper reads it.
EXPOSITION: Final = "text/plain; version=0.0.4; charset=utf-8"

_STANDING_IN: Final = re.compile(r"/-/(adopt|release)/(\d{1,2})")


class Admin:
    """Answers `/metrics`, `/-/healthy`, `/-/ready` and `POST /-/reload`.

    `ready` returns (whether ready, what to show); `reload` swaps the configuration or raises ConfigError; `metrics` renders
    the text format. Of a worker among several, `totals`: what the supervisor adds up, under `/-/totals`; `stand_in`: take the
    connections of another place, or no longer, under `/-/adopt/N` and `/-/release/N`.
    """

    def __init__(
        self,
        *,
        key: str | None,
        ready: Callable[[], Awaitable[tuple[bool, dict[str, Any]]]],
        reload: Callable[[], Awaitable[dict[str, Any]]],
        metrics: Callable[[], Awaitable[bytes]],
        totals: Callable[[], Awaitable[bytes]] | None = None,
        stand_in: Callable[[int, bool], Awaitable[None]] | None = None,
    ) -> None:
        self._key = key
        self._ready = ready
        self._reload = reload
        self._metrics = metrics
        self._totals = totals
        self._stand_in = stand_in

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; errors are OpenAI-shaped, like everywhere."""
        try:
            return await self._answer(request)
        except ConfigError as error:
            problems = [problem._asdict() for problem in error.problems]
            return _json({"reloaded": False, "problems": problems}, status=422)
        except GuardError as error:
            return web.Response(status=error.status, headers=dict(errors.render_headers(error)), body=errors.render(error))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/-/healthy":
            return web.Response(text="ok\n")
        offered = request.headers.get("Authorization", "").removeprefix("Bearer ").encode(errors="surrogateescape")
        if self._key is not None and not hmac.compare_digest(self._key.encode(), offered):
            raise Unauthorized("the admin listener needs its key")
        match request.method, request.path:
            case "GET", "/metrics":
                return web.Response(body=await self._metrics(), headers={"Content-Type": EXPOSITION})
            case "GET", "/-/totals" if self._totals is not None:
                return web.Response(body=await self._totals(), headers={"Content-Type": "application/json"})
            case "POST", path if self._stand_in is not None and (asked := _STANDING_IN.fullmatch(path)):
                await self._stand_in(int(asked[2]), asked[1] == "adopt")
                return _json({})
            case "GET", "/-/ready":
                ready, document = await self._ready()
                return _json(document, status=200 if ready else 503)
            case "POST", "/-/reload":
                return _json(await self._reload())
        raise NotFound("no such admin endpoint")


def _json(document: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), headers={"Content-Type": "application/json"})
