"""What a request costs in memory, as counts that do not depend on how busy the machine is: a gate against creeping growth.

Counted are the blocks of Python memory that an open request holds (its upstream has not answered yet), and those that stay
behind after it, against the bounds of benchmarks/allocations.json. `python tests/test_allocations.py` writes them anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import statistics
import sys
from pathlib import Path

import pytest

from core.types import MODES
from tests.proxy.fake_upstream import Answer, Wait, completion, message
from tests.proxy.rig import CODE_POLICY, DANUBE, Rig, rig, until
from tests.threats.raw import CHAT, request

BOUNDS = Path(__file__).resolve().parents[1] / "benchmarks" / "allocations.json"
#: What the bounds allow beyond what was measured.
HEADROOM = 1.15
OPEN = 40
KINDS = {
    "untouched": [],
    "observed": [{"extends": mode, "enforcement": "observe"} for mode in MODES],
    "enforced": [CODE_POLICY, *(mode for mode in MODES if mode != "code")],
}
ASKED = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Which river runs through Vienna?"}]}).encode()


def blocks() -> int:
    gc.collect()
    return sys.getallocatedblocks()


async def held(gate: Rig, port: int) -> tuple[float, float]:
    """Blocks that an open request on this port holds, and that stay behind when all is answered."""
    gate.upstream.seen.clear()
    go = asyncio.Event()
    gate.upstream.answers = [Answer([completion(message(DANUBE))], before=[Wait(go)], length=True)]
    before = blocks()
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(OPEN)]
    for _, writer in connections:
        writer.write(request(CHAT, "Connection: close", body=ASKED))
    await until(lambda: len(gate.upstream.seen) == OPEN)
    opened = blocks()
    go.set()
    for reader, writer in connections:
        assert b"Danube" in await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    del connections, reader, writer
    await gate.app.observer.drain()
    gate.upstream.seen.clear()
    gate.records.clear()
    await asyncio.sleep(0.05)
    return (opened - before) / OPEN, (blocks() - before) / OPEN


async def measure(kind: str) -> dict[str, float]:
    """The median of some rounds, less what a request without a gateway holds."""
    async with rig({"policies": KINDS[kind]}, limits={"retry_share": 1.0}) as gate:
        for port in (gate.app.address[1], gate.upstream.port):  # what the first requests make once
            await held(gate, port)
        gc.collect()
        gc.freeze()  # models and modules are not looked at again and again
        try:
            bare = statistics.median([(await held(gate, gate.upstream.port))[0] for _ in range(3)])
            rounds = [await held(gate, gate.app.address[1]) for _ in range(5)]
        finally:
            gc.unfreeze()
    return {
        "open": statistics.median([opened for opened, _ in rounds]) - bare,
        "left": statistics.median([left for _, left in rounds]),
    }


@pytest.mark.parametrize("kind", KINDS)
async def test_an_open_request_holds_no_more_than_before(kind: str) -> None:
    bounds = json.loads(BOUNDS.read_text(encoding="utf-8"))[kind]
    measured = await measure(kind)
    assert measured["open"] <= bounds["open"] * HEADROOM
    assert measured["open"] >= bounds["open"] / 2, "far better than the bound: write the new one down"
    assert measured["left"] <= 4, "a request leaves something behind"


async def _write() -> None:
    found = {kind: {"open": round((await measure(kind))["open"])} for kind in KINDS}
    BOUNDS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(found)


if __name__ == "__main__":
    asyncio.run(_write())
