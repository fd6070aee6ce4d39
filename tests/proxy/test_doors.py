"""The listeners of a worker: standing in for another, and what closing leaves behind."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from proxy.doors import Doors
from proxy.listeners import bind
from proxy.seat import Seat


async def answer(request: web.BaseRequest) -> web.Response:
    return web.Response(text="here")


def pair(tmp_path: Path) -> tuple[Doors, tuple[socket.socket, ...]]:
    listeners = tuple(bind("127.0.0.1:0", 2))
    return Doors(Seat(0, listeners, tmp_path / "admin.sock")), listeners


async def answered(port: int, times: int) -> int:
    """Connections out of `times` that somebody took within a moment."""
    took = 0
    for _ in range(times):
        timeout = aiohttp.ClientTimeout(total=0.3)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            try:
                async with session.get(f"http://127.0.0.1:{port}/") as got:
                    took += await got.text() == "here"
            except TimeoutError:
                pass
    return took


async def test_a_place_without_a_worker_is_served_while_somebody_stands_in(tmp_path: Path) -> None:
    doors, listeners = pair(tmp_path)
    _, port = await doors.open_public(web.Server(answer), "unused:1", None)
    try:
        assert 0 < await answered(port, 16) < 16  # the kernel gives the other place its share
        await doors.stand_in(1, True)
        await doors.stand_in(1, True)  # told twice is told once
        assert await answered(port, 16) == 16
        await doors.stand_in(1, False)
        await doors.stand_in(1, False)
        assert 0 < await answered(port, 16) < 16
        await doors.stand_in(7, True)  # there is no such place
    finally:
        await doors.close()
        for listener in listeners:
            listener.close()


async def test_nobody_stands_in_who_is_leaving(tmp_path: Path) -> None:
    doors, listeners = pair(tmp_path)
    _, port = await doors.open_public(web.Server(answer), "unused:1", None)
    await doors.close()
    await doors.stand_in(1, True)
    assert await answered(port, 4) == 0
    for listener in listeners:
        listener.close()


async def test_what_is_closed_refuses(tmp_path: Path) -> None:
    doors = Doors()
    host, port = await doors.open_public(web.Server(answer), "127.0.0.1:0", None)
    path = await doors.open_admin(web.Server(answer), f"unix:{tmp_path}/a.sock")
    assert (path, await answered(port, 2)) == (f"{tmp_path}/a.sock", 2)
    await doors.close()
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection(host, port)
