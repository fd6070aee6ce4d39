"""What streams cost: bare, or chunkguard relaying and scoring them, or holding a prefix of each.

    python benchmarks/streams.py bare|observe|prefix [--burst] [--seconds 8] [--concurrency 16]

Timed (the default): the first chunk after 50 ms, then one every 10 ms. `--burst`: 60 chunks as fast as they come. Upstream and
clients share a process, so that their clock readings compare: how long after the upstream's chunk the client had its first
byte. With a held prefix that is the chunk that completes it, without one the first. Prints one JSON line: streams a second,
milliseconds of the first byte (p50, p99) and of the whole stream (p50).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import aiohttp
import orjson
import uvloop
from aiohttp import web

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from bars import Bar, figures_of  # noqa: E402  (a script beside this one)
from beside import loaded, open_upstream  # noqa: E402
from corpus import SENTENCES  # noqa: E402

CHUNKS = 60
FIRST_S, EACH_S = 0.05, 0.01
#: Characters of the held prefix: what the shipped policy of the mode holds.
PREFIX_CHARS = 300
#: The bars: milliseconds, and shares of the bare pass-through's.
FIRST_BYTE_MS, WHOLE_SHARE, BURST_SHARE = 1.0, 1.1, 0.5
#: A prompt that makes `fiction` hold its answer.
PROMPT = "Why do gardens need shade?"


@dataclass
class Sent:
    """When each chunk of one stream left the upstream, and how many characters had left by then."""

    chars: list[int] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    def completed(self, chars: int) -> float:
        """When the chunk left that brought the text to `chars`."""
        return next(at for at, so_far in zip(self.at, self.chars, strict=True) if so_far >= chars)


def make_chunks() -> list[tuple[bytes, int]]:
    """The events of one stream with the characters of text in each."""
    text = " ".join(random.Random(5).choice(SENTENCES["en"]) for _ in range(40))
    size = 12
    made = []
    for i in range(CHUNKS):
        piece = text[i * size : (i + 1) * size]
        delta = {"content": piece} if i else {"role": "assistant", "content": piece}
        event = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
                 "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}  # fmt: skip
        made.append((b"data: " + orjson.dumps(event) + b"\n\n", len(piece)))
    end = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
           "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}  # fmt: skip
    return [*made, (b"data: " + orjson.dumps(end) + b"\n\ndata: [DONE]\n\n", 0)]


class Load:
    """Upstream and clients in one loop."""

    def __init__(self, *, burst: bool, held: int) -> None:
        self._burst, self._held = burst, held
        self._chunks = make_chunks()
        self._sent: dict[str, Sent] = {}
        self.first: list[float] = []
        self.whole: list[float] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        sent = self._sent[request.headers["Authorization"]]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        so_far, due = 0, perf_counter() + FIRST_S
        for data, chars in self._chunks:
            if not self._burst:
                await asyncio.sleep(max(0.0, due - perf_counter()))
                due += EACH_S
            so_far += chars
            sent.chars.append(so_far)
            sent.at.append(perf_counter())
            await response.write(data)
        await response.write_eof()
        return response

    async def client(self, session: aiohttp.ClientSession, url: str, name: str, end: float) -> None:
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": PROMPT}]}
        number = 0
        while perf_counter() < end:
            number += 1
            key = f"Bearer {name}-{number}"
            sent = self._sent[key] = Sent()
            began = perf_counter()
            first = 0.0
            async with session.post(url, json=body, headers={"Authorization": key}) as reply:
                assert reply.status == 200, await reply.text()
                seen = b""
                async for data in reply.content.iter_any():
                    first = first or perf_counter()
                    seen = seen[-64:] + data
                assert seen.endswith(b"data: [DONE]\n\n")
            self.whole.append((perf_counter() - began) * 1000)
            self.first.append((first - sent.completed(self._held)) * 1000)
            del self._sent[key]


async def upstream_and_load(options: argparse.Namespace) -> None:
    """The child."""
    made = Load(burst=options.burst, held=PREFIX_CHARS if options.kind == "prefix" else 1)
    url = await open_upstream(made.answer)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await made.client(session, url, "warm", perf_counter() + 0.1)
        made.first.clear()
        made.whole.clear()
        began = perf_counter()
        end = began + options.seconds
        await asyncio.gather(*(made.client(session, url, str(i), end) for i in range(options.concurrency)))
        took = perf_counter() - began
    first, whole = sorted(made.first), sorted(made.whole)
    found = {
        "streams_per_second": round(len(whole) / took, 1),
        "first_byte_p50": round(first[len(first) // 2], 3),
        "first_byte_p99": round(first[int(0.99 * (len(first) - 1))], 3),
        "whole_p50": round(whole[len(whole) // 2], 2),
        "streams": len(whole),
    }
    print(json.dumps(found), flush=True)


def measure_streams(seconds: float) -> tuple[dict[str, dict[str, float]], list[Bar]]:
    """Timed and burst streams of every kind, each in a process of its own; the figures, and the bars on them."""
    found = {
        f"{kind}{flag}": _measure(kind, flag, seconds)
        for kind, flag in (("bare", ""), ("prefix", ""), ("bare", "--burst"), ("observe", "--burst"))
    }
    timed, held = found["bare"], found["prefix"]
    burst = found["observe--burst"]["streams_per_second"] / found["bare--burst"]["streams_per_second"]
    first = held["first_byte_p50"]
    return found, [
        (
            f"timed streams, prefix held: first byte <= {FIRST_BYTE_MS:g} ms after the chunk that completes it",
            first <= FIRST_BYTE_MS,
            f"{first:.2f} ms, bare {timed['first_byte_p50']:.2f} ms after its first chunk",
        ),
        (
            f"timed streams, prefix held: the whole within {WHOLE_SHARE - 1:.0%} of bare",
            held["whole_p50"] <= timed["whole_p50"] * WHOLE_SHARE,
            f"{held['whole_p50'] / timed['whole_p50']:.1%}",
        ),
        (
            f"burst streams, relayed and scored >= {BURST_SHARE:.0%} of bare's streams a second",
            burst >= BURST_SHARE,
            f"{burst:.1%}",
        ),
    ]


def _measure(kind: str, flag: str, seconds: float) -> dict[str, float]:
    # Timed streams are counted one by one; few at a time, so that the child is not what is late.
    concurrency = "16" if flag else "4"
    flags = [flag] if flag else []
    return figures_of("streams.py", kind, "--seconds", f"{seconds:g}", "--concurrency", concurrency, *flags)


async def serve(options: argparse.Namespace) -> str:
    """Run the server until the child is done; the child's figures."""
    given = ["--seconds", str(options.seconds), "--concurrency", str(options.concurrency)]
    flags = ["--burst"] if options.burst else []
    async with loaded(__file__, options.kind, *given, *flags) as last_line:
        return await last_line()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("bare", "observe", "prefix"))
    parser.add_argument("--burst", action="store_true")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--child", action="store_true")
    arguments = parser.parse_args()
    if arguments.child:
        uvloop.run(upstream_and_load(arguments))
    else:
        print(uvloop.run(serve(arguments)), end="")
