"""Bytes on a bare socket to the gateway, past any HTTP client that would put them right.

One rule: what is sent is exactly what a test wrote, and everything that comes back is returned.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re

from tests.proxy.rig import CODE_POLICY, PEACE, REBUTTAL_POLICY, Rig

GUARDED = {"policies": [CODE_POLICY, REBUTTAL_POLICY]}
#: Longest wait for a first byte.
FIRST_S = 10.0
CHAT = "/v1/chat/completions"
ASKED = json.dumps({"model": "m", "messages": [{"role": "user", "content": PEACE}]}).encode()


def request(target: str = CHAT, *headers: str, body: bytes = ASKED, method: str = "POST", length: bool = True) -> bytes:
    """A request; `headers` are whole lines."""
    lines = [f"{method} {target} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


async def talk(gate: Rig, *parts: bytes, pause_s: float = 0.0, wait_s: float = 1.5) -> bytes:
    """Send parts with pauses between; all that comes back until the other side closes, or nothing more came for `wait_s`."""
    reader, writer = await asyncio.open_connection(*gate.app.address)
    got = b""
    try:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_s)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while data := await asyncio.wait_for(reader.read(65_536), wait_s if got else max(wait_s, FIRST_S)):
                got += data
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return got


def statuses(got: bytes) -> list[int]:
    """The statuses of the answers on a connection. No body of these tests holds what looks like a status line."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", got)]
