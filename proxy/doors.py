"""The listeners of one worker: opened one by one, closed together, its place among several taken over by others.

One rule: the public one closes first; the admin one tells until the end that the worker is not ready any more.
"""

from __future__ import annotations

from ssl import SSLContext
from typing import Final

from aiohttp import web

from proxy.seat import Seat
from proxy.server import BACKLOG

#: Seconds that requests under way have to end after a stop signal, and that an old snapshot stays open after a reload.
DRAIN_S: Final = 30.0


class Doors:
    """`seat`: None where the worker is the only one."""

    def __init__(self, seat: Seat | None = None) -> None:
        self._seat = seat
        self._runners: list[web.BaseRunner] = []
        self._standing_in: dict[int, web.SockSite] = {}
        self._secured: SSLContext | None = None
        self._closing = False

    async def open_public(self, server: web.Server, address: str, secured: SSLContext | None) -> tuple[str, int]:
        """Serve clients: at the seat's listener, or at `address`. Returns what was bound. Raises OSError."""
        self._secured = secured
        if self._seat is None:
            return await self._open_tcp(server, address, secured)
        runner = await self._runner(server)
        await web.SockSite(runner, self._seat.listeners[self._seat.worker], backlog=BACKLOG, ssl_context=secured).start()
        return _bound(runner)

    async def open_admin(self, server: web.Server, address: str) -> tuple[str, int] | str:
        """Serve the admin listener at host:port or unix:path; of a seat its own. Raises OSError."""
        address = f"unix:{self._seat.admin}" if self._seat is not None else address
        if not address.startswith("unix:"):
            return await self._open_tcp(server, address, None)
        path = address.removeprefix("unix:")
        await web.UnixSite(await self._runner(server), path).start()
        return path

    async def stand_in(self, place: int, begin: bool) -> None:
        """Take the connections of a place whose worker is gone, or leave them to the next one."""
        before = self._standing_in.pop(place, None)
        if before is not None:
            await before.stop()
        if begin and not self._closing and self._seat is not None and place < len(self._seat.listeners):
            listener = self._seat.listeners[place].dup()
            site = web.SockSite(self._runners[0], listener, backlog=BACKLOG, ssl_context=self._secured)
            await site.start()
            self._standing_in[place] = site

    async def close(self) -> None:
        """Stop accepting, and wait up to DRAIN_S for the requests under way."""
        self._closing = True
        for runner in self._runners:
            await runner.cleanup()

    async def _open_tcp(self, server: web.Server, address: str, secured: SSLContext | None) -> tuple[str, int]:
        runner = await self._runner(server)
        host, _, port = address.rpartition(":")
        await web.TCPSite(runner, host.strip("[]"), int(port), backlog=BACKLOG, ssl_context=secured).start()
        return _bound(runner)

    async def _runner(self, server: web.Server) -> web.BaseRunner:
        runner = web.ServerRunner(server, shutdown_timeout=DRAIN_S)
        await runner.setup()
        self._runners.append(runner)
        return runner


def _bound(runner: web.BaseRunner) -> tuple[str, int]:
    host, port, *_ = runner.addresses[0]
    return str(host), int(port)
