"""The gateway as a process, served as `chunkguard serve` serves it, with a side door to look inside and to break its world.

One rule: through the side door only the world around the gateway changes - the wall clock, the detectors' behaviour - never
its own state.

    python -m tests.chaos.worker CONFIG SOCKET      # one JSON command a line on the Unix socket, one JSON answer
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

_real_time = time.time
_jump = 0.0


def _jumping() -> float:
    return _real_time() + _jump


# Before anything of the gateway binds it.
time.time = _jumping

import uvloop  # noqa: E402

from detectors.suite import Suite  # noqa: E402
from proxy import config  # noqa: E402
from proxy.app import App, serve  # noqa: E402

#: What the detectors do: `ok`, `crash`, or seconds that each call takes longer, of texts over `_long` characters.
_detectors: dict[str, Any] = {"crash": False, "sleep_s": 0.0, "over": 0}


def _break(name: str) -> None:
    real = getattr(Suite, name)

    def broken(self: Suite, conversation: Any, *args: Any, **kwargs: Any) -> Any:
        long = sum(len(turn.text) for turn in conversation.turns) >= _detectors["over"]
        if long and _detectors["crash"]:
            raise RuntimeError("a detector crashed")
        if long and _detectors["sleep_s"]:
            time.sleep(_detectors["sleep_s"])
        return real(self, conversation, *args, **kwargs)

    setattr(Suite, name, broken)


for _name in ("score_prompt", "score_reply", "score_quickly"):
    _break(_name)


def lost_lines(metrics: str) -> int:
    """Lines of the log that its sink did not take."""
    return int(sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("chunkguard_log_lost_total{")))


def probe(app: App) -> dict[str, Any]:
    """What may leak: open files, tasks, memory."""
    gc.collect()
    rss = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return {
        "files": len(os.listdir("/proc/self/fd")),
        "tasks": len(asyncio.all_tasks()),
        "rss_kb": rss,
        "blocks": sys.getallocatedblocks(),
        "lost": lost_lines(app.metrics.exposition().decode()),
        "revision": app.gateway.snapshot.revision,
        "under_way": app.gateway._active,
    }


async def main() -> None:
    global _jump
    file, door = Path(sys.argv[1]), sys.argv[2]
    app = App(config.load(file), file=file)

    async def command(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        global _jump
        asked = json.loads(await reader.readline())
        _jump += asked.get("jump_s", 0)
        _detectors.update(asked.get("detectors", {}))
        writer.write(json.dumps(probe(app)).encode() + b"\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(command, door)

    def announce(app: App) -> None:
        print(json.dumps({"address": app.address, "admin": app.admin_address}), file=sys.stderr, flush=True)

    await serve(app, announce)
    server.close()


if __name__ == "__main__":
    uvloop.run(main())
