"""The public listener: finds the route of each request and hands it to the guard, the pass-through or the verdict API.

One rule: nothing reaches an upstream that the router has not placed; what it refuses is answered 404 here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

import orjson
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from proxy import errors
from proxy import upgrade as upgrading
from proxy.admission import Room
from proxy.arrival import ArrivingRequest
from proxy.errors import Forbidden, GuardError, InvalidRequest, NotFound, RequestTooLarge, Unauthorized, UnknownModel
from proxy.guard import Guard, Guarded, decoded
from proxy.keys import Client, offered_key
from proxy.limiting.limiter import Grant, Limiter
from proxy.limiting.told import tell_as
from proxy.metering import Metered
from proxy.passthrough import WHOLE_BYTES, pass_through
from proxy.reply import ClientReply
from proxy.routing import GUARDED, Location
from proxy.snapshot import Route, Snapshot
from proxy.upstream.base import Headers
from proxy.wire.codec import Request
from proxy.wire.codecs import CODECS, speaking

log = logging.getLogger("chunkguard")
#: Requests that may wait in the kernel for the worker to accept them.
BACKLOG: Final = 1024
#: Seconds that a connection may take for the head of a request, and be kept without one.
IDLE_S: Final = 75.0
#: Verdicts that `/v1/guard/check` works on at once: it is CPU, so more would only wait for each other.
CHECKS: Final = 2
#: Endpoints whose request bodies are read as a whole; others are streamed through where they are long.
READ: Final = GUARDED | {"guard_check"}


class Gateway:
    """Serves a snapshot. `swap` gives it another one; requests under way keep theirs."""

    def __init__(
        self, snapshot: Snapshot, guard: Guard, on_pass: Callable[[str, str, int, float], None], limiter: Limiter
    ) -> None:
        self.snapshot = snapshot
        self.guard = guard
        self._on_pass = on_pass
        self._limiter = limiter
        self.room = Room(snapshot.settings.config.limits.held_bytes)
        #: Requests are still served, but who asks for its health is told to send them elsewhere.
        self.stopping = False
        self._active = 0
        self._under_way: dict[int, int] = {}
        self._drained: dict[int, asyncio.Event] = {}
        self._checks = asyncio.Semaphore(CHECKS)

    @property
    def active(self) -> int:
        """Requests under way."""
        return self._active

    def swap(self, snapshot: Snapshot) -> Snapshot:
        """Serve `snapshot` from now on; returns the one before."""
        before, self.snapshot = self.snapshot, snapshot
        self.room.limit = snapshot.settings.config.limits.held_bytes
        return before

    async def drained(self, snapshot: Snapshot) -> None:
        """Wait until no request uses a snapshot that is served no more."""
        if self._under_way.get(id(snapshot)):
            await self._drained.setdefault(id(snapshot), asyncio.Event()).wait()

    def _enter(self, snapshot: Snapshot) -> None:
        self._active += 1
        self._under_way[id(snapshot)] = self._under_way.get(id(snapshot), 0) + 1

    def _leave(self, snapshot: Snapshot) -> None:
        self._active -= 1
        self._under_way[id(snapshot)] -= 1
        if not self._under_way[id(snapshot)] and snapshot is not self.snapshot:
            del self._under_way[id(snapshot)]
            self._drained.pop(id(snapshot), asyncio.Event()).set()

    def make_server(self) -> web.Server:
        """The aiohttp server: bodies stay compressed as sent, and a client that goes away cancels its request."""

        def make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
            loop = asyncio.get_running_loop()
            limits = self.snapshot.settings.config.limits
            return ArrivingRequest(
                message, payload, protocol, writer, task, loop, client_max_size=limits.body_bytes, patience_s=limits.body_s
            )

        return web.Server(
            self.handle,
            request_factory=make_request,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            keepalive_timeout=IDLE_S,
            max_field_size=65_536,
            max_line_size=65_536,
        )

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; every error takes the shape of its API."""
        snapshot = self.snapshot
        reply = ClientReply(request, self.room)
        if request.raw_path == "/-/healthy":
            status, said = (503, b"stopping\n") if self.stopping else (200, b"ok\n")
            reply.whole(status, [("Content-Type", "text/plain; charset=utf-8")], said)
            assert reply.response is not None
            return reply.response
        limit = snapshot.settings.config.limits.connections
        self._enter(snapshot)
        began = perf_counter()
        try:
            if limit and self._active > limit:
                raise errors.Overloaded()
            await self._serve(snapshot, request, reply)
        except GuardError as error:
            self._fail(snapshot, request, reply, error)
        except (web.HTTPRequestEntityTooLarge, HttpProcessingError):
            size = snapshot.settings.config.limits.body_bytes
            self._fail(snapshot, request, reply, RequestTooLarge(f"the body is over {size} bytes"))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("unhandled error")
            self._fail(snapshot, request, reply, GuardError("internal error"))
        finally:
            reply.let_go()
            self._leave(snapshot)
        assert reply.response is not None
        if not reply.served:
            # Refused or answered here: neither the guard nor the pass-through has counted it.
            self._on_pass("", "other", reply.response.status, perf_counter() - began)
        return reply.response

    async def _serve(self, snapshot: Snapshot, request: web.BaseRequest, reply: ClientReply) -> None:
        path, mark, query = request.raw_path.partition("?")
        location = snapshot.router.locate(request.method, path)
        if location.endpoint == "refused":
            raise NotFound("no such endpoint")
        client = self._client(snapshot, request)
        length = request.content_length or 0
        if length > snapshot.settings.config.limits.body_bytes:
            raise RequestTooLarge(f"the body is over {snapshot.settings.config.limits.body_bytes} bytes")
        if location.endpoint in READ or length <= WHOLE_BYTES:
            self.room.check(length)
            reply.hold(length)
        target = location.path + mark + query
        if client is None or client.limits is None:
            await self._answer(snapshot, request, reply, location, target, client, None)
            return
        grant = await self._limiter.admit(client, length, tell_as(location.path))
        reply.limits = grant.headers
        try:
            await self._answer(snapshot, request, reply, location, target, client, grant)
        finally:
            if not reply.served:
                grant.charge(0)  # no upstream was asked

    async def _answer(
        self,
        snapshot: Snapshot,
        request: web.BaseRequest,
        reply: ClientReply,
        location: Location,
        target: str,
        client: Client | None,
        grant: Grant | None,
    ) -> None:
        headers = list(request.headers.items())
        if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if location.endpoint == "guard_check":
            await self._check(request, reply)
            return
        if not location.guarded:
            route = self._route(snapshot, location, "", request, client)
            await self._pass(snapshot, route, request, reply, location, target, headers, grant)
            return
        route, sent, parsed = await self._read(snapshot, request, location, target, headers, client, reply)
        if route.compiled is None or parsed is None or parsed.unread:
            body = sent.raw if sent is not None else None
            await self._pass(snapshot, route, request, reply, location, target, headers, grant, body)
            return
        assert sent is not None
        reply.served = True
        await self.guard.handle(snapshot, route, parsed, sent, reply, grant)

    async def _read(
        self,
        snapshot: Snapshot,
        request: web.BaseRequest,
        location: Location,
        target: str,
        headers: Headers,
        client: Client | None,
        reply: ClientReply,
    ) -> tuple[Route, Guarded | None, Request | None]:
        """The route of a request to a guarded endpoint, and the request read as far as the route needs it."""
        if not snapshot.router.reads_model:
            route = self._route(snapshot, location, "", request, client)
            if route.compiled is None:
                return route, None, None
        raw = await request.read()
        if request.content_length is None:
            reply.hold(len(raw))
        body = decoded(raw, headers, snapshot.settings.config.limits.body_bytes)
        codec = CODECS[location.endpoint]
        parsed = codec.parse_request(body)
        route = self._route(snapshot, location, parsed.conversation.model, request, client)
        return route, Guarded(raw, body, target, headers, location.endpoint, codec), parsed

    def _client(self, snapshot: Snapshot, request: web.BaseRequest) -> Client | None:
        if not snapshot.keys:
            return None
        client = snapshot.keys.find(offered_key(request.headers))
        if client is None:
            raise Unauthorized("Incorrect API key provided.")
        return client

    def _route(
        self, snapshot: Snapshot, location: Location, model: str, request: web.BaseRequest, client: Client | None
    ) -> Route:
        key = client.name if client is not None else None
        chosen = snapshot.router.choose(location.prefix, model, request.headers, key)
        if chosen is None:
            raise UnknownModel(f"no route takes model {model!r}" if model else "no route takes this request")
        if client is not None and client.routes is not None and chosen.name not in client.routes:
            raise Forbidden("this key may not use the route that takes this request")
        return snapshot.routes[chosen.name]

    async def _pass(
        self,
        snapshot: Snapshot,
        route: Route,
        request: web.BaseRequest,
        reply: ClientReply,
        location: Location,
        target: str,
        headers: Headers,
        grant: Grant | None,
        body: bytes | None = None,
    ) -> None:
        if route.injects_key and not location.guarded and not snapshot.pass_rules.allow(request.method, location.path):
            raise NotFound("this endpoint may not be used with the configured key")
        reply.served = True
        began = perf_counter()
        status = 0
        upstream = route.upstream if grant is None else Metered(route.upstream, location.endpoint, grant)
        try:
            if upgrading.wanted(request):
                status = await upgrading.pass_upgrade(snapshot, route, location, request, reply, target, headers, grant)
                return
            status = await pass_through(
                request,
                reply,
                upstream,
                target,
                headers,
                max_bytes=snapshot.settings.config.limits.body_bytes,
                credentials=not snapshot.keys,
                body=body,
            )
        except GuardError as error:
            status = error.status
            raise
        finally:
            self._on_pass(route.name, location.endpoint, status, perf_counter() - began)
            if grant is not None:
                grant.charge(0)  # where no answer came that could be charged

    async def _check(self, request: web.BaseRequest, reply: ClientReply) -> None:
        try:
            doc = orjson.loads(await request.read())
        except orjson.JSONDecodeError as error:
            raise InvalidRequest("The body is not valid JSON.", code="invalid_json") from error
        async with self._checks:
            verdict = await asyncio.to_thread(self.snapshot.checker.check, doc)
        reply.whole(200, [("Content-Type", "application/json")], orjson.dumps(verdict))

    @staticmethod
    def _fail(snapshot: Snapshot, request: web.BaseRequest, reply: ClientReply, error: GuardError) -> None:
        if reply.started:
            reply.abort()
            return
        location = snapshot.router.locate(request.method, request.raw_path.partition("?")[0])
        codec = speaking(location.endpoint, location.path)
        reply.whole(error.status, errors.render_headers(error), codec.render(error))
