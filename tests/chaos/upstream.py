"""The misbehaving upstream as a process of its own: bare sockets, so that it can break HTTP where it likes.

One rule: what it does with a request stands in that request's `x-chaos` header (`NONCE fault[,fault of the next attempt...]`),
and a request whose body carries another nonce than its header is answered 555 MIXED.

    python -m tests.chaos.upstream      # prints its port
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections import OrderedDict

import uvloop

from tests.chaos.faults import EVERY, FAULTS, FIN, HANG, NONCE, RST, Pause, Script, head

#: Nonces whose attempts are remembered.
REMEMBERED = 20_000
MIXED = head("555 Mixed", {"Content-Length": "0"})
_PATHS = {api.path: api for api in EVERY.values()}


class Upstream:
    """All connections; counts the attempts of each nonce."""

    def __init__(self) -> None:
        self._attempts: OrderedDict[str, int] = OrderedDict()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection goes on."""
        raw = await reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        nonce, _, faults = headers["x-chaos"].partition(" ")
        if set(NONCE.findall(body)) != {nonce.encode()}:
            writer.write(MIXED)
            return True
        self._attempts[nonce] = number = self._attempts.pop(nonce, 0) + 1
        if len(self._attempts) > REMEMBERED:
            self._attempts.popitem(last=False)
        names = faults.split(",")
        path = first.split(" ")[1].partition("?")[0]
        stream = b'"stream": true' in body or b'"stream":true' in body
        return await _play(FAULTS[names[min(number, len(names)) - 1]].script(_PATHS[path], stream, nonce), reader, writer)


async def _play(script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    for step in script.steps:
        if isinstance(step, Pause):
            if reader.at_eof():
                return False
            await asyncio.sleep(step.seconds)
        elif step == RST:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        elif step == FIN:
            return False
        elif step == HANG:
            await reader.read()
            return False
        else:
            assert isinstance(step, bytes)
            writer.write(step)
            await writer.drain()
            await asyncio.sleep(0)
    return True


async def main() -> None:
    server = await asyncio.start_server(Upstream().serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The end of standard input is the end of whoever started it.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
