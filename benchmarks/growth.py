"""Whether the cost of a request grows no faster than its bytes: longer answers, longer histories, every policy enforced.

    python benchmarks/growth.py [--rounds 5] [--requests 200]

CPU microseconds of one worker for exchanges of one kind, each size twice the one before it. One rule: what counts is the cost a
byte of a size against that of the size before; where it rises, something reads the same text again. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import uvloop

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from bars import Bar, figures_of  # noqa: E402  (a script beside this one)
from corpus import text_of  # noqa: E402
from cpu import Pairs, cost_of, framed, load, running  # noqa: E402

#: Characters of an answer, and turns of a history.
ANSWERS, TURNS = (4_000, 8_000, 16_000, 32_000), (25, 50, 100)
LANGUAGES = ("en", "de", "fr", "es", "ru", "zh")
#: Exchanges of one size.
EACH = 24
#: A cost a byte that is so much higher than that of half the size is the noise of the measurement.
NOISE = 1.05


def exchange(number: int, *, answer: int, turns: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """One exchange: an answer of so many characters, after so many turns of 200 characters. `number` decides the language."""
    chance, language = random.Random(number), LANGUAGES[number % len(LANGUAGES)]
    roles = ("user", "assistant")
    history = [{"role": roles[i % 2], "content": text_of(chance, language, 200)} for i in range(turns - turns % 2)]
    asked = {"role": "user", "content": text_of(chance, language, 200)}
    message = {"role": "assistant", "content": text_of(chance, language, answer)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"model": "m", "messages": [*history, asked]}, {"id": "x", "object": "chat.completion", "choices": [choice]}


def sizes() -> dict[str, Pairs]:
    """Exchanges by what is long in them, and how long."""
    made = {f"answers {size}": [exchange(i, answer=size, turns=0) for i in range(EACH)] for size in ANSWERS}
    return made | {f"turns {turns}": [exchange(i, answer=400, turns=turns) for i in range(EACH)] for turns in TURNS}


async def measure(rounds: int, count: int) -> dict[str, dict[str, float]]:
    """Of each size the bytes and the median microseconds of a request."""
    groups = sizes()
    requests, replies = framed([pair for pairs in groups.values() for pair in pairs])
    own = {name: requests[i * EACH : (i + 1) * EACH] for i, name in enumerate(groups)}
    costs: dict[str, list[float]] = {name: [] for name in groups}
    async with running(["enforce"], replies, []) as (server,):
        await load(server.port, requests, 3 * len(requests))
        for _ in range(rounds):
            for name in random.sample(list(groups), len(groups)):
                costs[name].append(await cost_of(server, own[name], count))
    size = {name: sum(map(len, (*own[name], *replies[i * EACH : (i + 1) * EACH]))) / EACH for i, name in enumerate(groups)}
    return {name: {"bytes": round(size[name]), "cpu_us": round(statistics.median(found), 1)} for name, found in costs.items()}


def measure_growth(rounds: int, count: int) -> tuple[dict[str, dict[str, float]], list[Bar]]:
    """The figures, and a bar for each kind."""
    found = figures_of("growth.py", "--rounds", str(rounds), "--requests", str(count))
    return found, [
        _bar(f"answers of up to {ANSWERS[-1] // 1000} kB: cost grows no faster than the bytes", "answers", found),
        _bar(f"histories of up to {TURNS[-1]} turns: cost grows no faster than the bytes", "turns", found),
    ]


def _bar(name: str, kind: str, found: dict[str, dict[str, float]]) -> Bar:
    steps = [(label.split()[1], one["cpu_us"] / one["bytes"]) for label, one in found.items() if label.startswith(kind)]
    shown = ", ".join(f"{size}: {1000 * cost:.0f} ns" for size, cost in steps)
    holds = all(after <= before * NOISE for (_, before), (_, after) in pairwise(steps))
    return name, holds, f"a byte of {shown}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=200)
    arguments = parser.parse_args()
    print(json.dumps(uvloop.run(measure(arguments.rounds, arguments.requests))))
