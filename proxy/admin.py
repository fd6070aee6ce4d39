"""The admin listener: metrics, health, readiness, reload. Loopback or a Unix socket by default, a key if public.

One rule: it is trusted by its address and key alone, never by who a peer says it is.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from proxy import errors
from proxy.errors import ConfigError, GuardError, NotFound, Unauthorized


class Admin:
    """Answers `/metrics`, `/-/healthy`, `/-/ready` and `POST /-/reload`.

    `ready` returns (whether ready, what to show); `reload` swaps the configuration or raises ConfigError; `metrics` renders
    (content type, body).
    """

    def __init__(
        self,
        *,
        key: str | None,
        ready: Callable[[], tuple[bool, dict[str, Any]]],
        reload: Callable[[], Awaitable[dict[str, Any]]],
        metrics: Callable[[str], tuple[str, bytes]],
    ) -> None:
        self._key = key
        self._ready = ready
        self._reload = reload
        self._metrics = metrics

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
                content_type, body = self._metrics(request.headers.get("Accept", ""))
                return web.Response(body=body, headers={"Content-Type": content_type})
            case "GET", "/-/ready":
                ready, document = self._ready()
                return _json(document, status=200 if ready else 503)
            case "POST", "/-/reload":
                return _json(await self._reload())
        raise NotFound("no such admin endpoint")


def _json(document: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), headers={"Content-Type": "application/json"})
