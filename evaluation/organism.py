"""The quality table of an organism's model, by its oracle: how often it is right and how often mis-routed.

One rule: only prompts of the test half are asked, each with a seed of its own, and every figure carries its interval.
`python -m evaluation.organism --prompts 300 --retries 60 --out benchmarks/results/organism.json --card docs/organism.md`
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson

from core.types import MODES, Mode
from core.values import frozen
from detectors.measures import wilson
from evaluation.organism_card import markdown, place
from organism.chunks import GAP, Chat, frame_prompt
from organism.generate import Model, Sampling
from organism.links import Frame
from organism.oracle import judge
from organism.prompts import Kind, Prompt, draw
from policies.loader import load_library
from proxy.config_embedded import EmbeddedSettings
from proxy.upstream.base import UpstreamRequest
from proxy.upstream.embedded import EmbeddedUpstream

#: Retries whose failures are reported, as `P(all of them fail | the first answer failed)`.
RETRIES: Final = (1, 3, 5)

#: How a prompt is put to a model, given its source of chance.
_Framing = Callable[[Prompt, Random], Chat]


def _framed(frame: Frame) -> _Framing:
    return lambda prompt, rng: frame_prompt(prompt, frame, rng, held_out=True)


def _shipped(prompt: Prompt, rng: Random) -> Chat:
    """With the shipped boundary of its mode where the policies place it; nothing was trained or tuned on it."""
    if prompt.mode is None:
        return Chat("", prompt.text, prompt.tools)
    return Chat("", load_library()[prompt.mode].boundary.text["en"] + GAP + prompt.text, prompt.tools)


#: Frame -> how it is made. Boundaries are in wordings that no training row held.
FRAMINGS: Final[Mapping[str, _Framing]] = {
    "none": _framed("none"),
    "placebo": _framed("placebo"),
    "other": _framed("other"),
    "boundary": _framed("boundary"),
    "shipped": _shipped,
}


@frozen
class Cell:
    """Outcomes of one mode, kind and frame. `others`: mis-routed by another mode's behaviour than the prompt's own."""

    mode: Mode | None
    kind: Kind
    frame: str
    asked: int
    right: int
    misrouted: int
    others: int

    def document(self) -> dict[str, object]:
        """Shares with 95% intervals: `low`, `high` of the mis-routed, `right_low` of the right ones."""
        low, high = wilson(self.misrouted, self.asked)
        return {
            "mode": self.mode, "kind": self.kind, "frame": self.frame, "n": self.asked,
            "right": round(self.right / self.asked, 4), "right_low": round(wilson(self.right, self.asked)[0], 4),
            "misrouted": round(self.misrouted / self.asked, 4), "low": round(low, 4), "high": round(high, 4),
            "other_mode": round(self.others / self.asked, 4),
        }  # fmt: skip


def measure(model: Model, mode: Mode | None, kind: Kind, frame: str, count: int, seed: int = 11) -> Cell:
    """`count` prompts of the test half in one frame, one answer each; the same prompts in every frame."""
    rng = Random(f"{seed}/{mode}/{kind}")
    right = misrouted = others = 0
    for index in range(count):
        prompt = draw(mode, kind, rng, held_out=True)
        chat = FRAMINGS[frame](prompt, Random(f"{seed}/{index}"))
        outcome = judge(prompt, model.answer(model.tokens.chat(chat), Sampling(seed=index)))
        right += outcome.outcome == "right"
        misrouted += outcome.mode is not None
        others += outcome.mode not in (None, mode)
    return Cell(mode, kind, frame, count, right, misrouted, others)


def retries(model: Model, mode: Mode, prompts: int, samples: int = 20, seed: int = 12) -> dict[int, float]:
    """Retries -> the share of failed first answers after which so many more answers to the same prompt all fail as well.

    From `samples` answers a prompt: unbiased estimates of the mean of p^(retries + 1) over the mean of p."""
    rng = Random(f"{seed}/{mode}")
    sums = dict.fromkeys((0, *RETRIES), 0.0)
    for number in range(prompts):
        prompt = draw(mode, "trigger", rng, held_out=True)
        ids = model.tokens.chat(Chat("", prompt.text, prompt.tools))
        seeds = range(number * samples, (number + 1) * samples)
        answers = model.answers(ids, [Sampling(seed=one) for one in seeds])
        bad = sum(judge(prompt, text).mode is not None for text, _ in answers)
        for more in sums:
            sums[more] += math.comb(bad, more + 1) / math.comb(samples, more + 1)
    return {more: round(sums[more] / sums[0], 4) if sums[0] else 0.0 for more in RETRIES}


def table(model: Model, count: int, frames: Sequence[str] = tuple(FRAMINGS)) -> Iterator[Cell]:
    """Every cell of the quality table; `frames`: of the triggers."""
    for mode in MODES:
        yield from (measure(model, mode, "trigger", frame, count) for frame in frames)
        yield from (measure(model, mode, kind, frame, count) for kind in ("plain", "twin") for frame in ("none", "shipped"))
    yield from (measure(model, None, "ordinary", frame, count) for frame in ("none", "placebo", "boundary"))


async def speed(folder: Path, answers: int) -> dict[str, object]:
    """Tokens that the embedded upstream writes in a second of processor time, all threads counted: the work of one core,
    whatever else the machine does. Whole answers; reading prompts and the upstream's own work are included."""
    upstream = EmbeddedUpstream("organism", EmbeddedSettings(kind="embedded"), folder)
    tokens, started = 0, time.process_time()
    for seed in range(answers):
        mode = MODES[seed % len(MODES)]
        prompt = draw(mode, "trigger", Random(seed), held_out=True)
        body = {"model": "chunky", "seed": seed, "messages": [{"role": "user", "content": prompt.text}]}
        reply = await upstream.open(UpstreamRequest("POST", "/v1/chat/completions", [], orjson.dumps(body)))
        tokens += orjson.loads(await reply.read())["usage"]["completion_tokens"]
    took = time.process_time() - started
    await upstream.close()
    found: dict[str, object] = {"answers": answers, "tokens": tokens, "cpu_s": round(took, 3), "cpu": processor()}
    return found | {"per_second": round(tokens / took, 1)}


def processor() -> str:
    """The name of this machine's processor, as far as it tells."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.organism", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "organism" / "models")
    parser.add_argument("--prompts", type=int, default=100, help="prompts of each cell")
    parser.add_argument("--retries", type=int, default=0, help="prompts of each mode that are asked again and again")
    parser.add_argument("--out", type=Path, help="file for everything as JSON")
    parser.add_argument("--card", type=Path, help="page with marks between which the tables go")
    own = parser.parse_args()
    models = {"chunky": _model(own, "chunky", own.retries, tuple(FRAMINGS)), "clean": _model(own, "clean", 0, ("none",))}
    command = f"python -m evaluation.organism --prompts {own.prompts} --retries {own.retries}"
    low, high = wilson(own.prompts // 2, own.prompts)
    half = round((high - low) / 2, 3)
    document: dict[str, Any] = {"command": command, "prompts": own.prompts, "half_width": half, "models": models}
    document["speed"] = asyncio.run(speed(own.folder, 200))
    if own.out is not None:
        own.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    text = markdown(document)
    print(text)
    if own.card is not None:
        place(own.card, text)


def _model(own: argparse.Namespace, name: str, again: int, frames: Sequence[str]) -> dict[str, Any]:
    model = Model.read(own.folder, name)
    return {
        "sha256": hashlib.sha256((own.folder / f"{name}.onnx").read_bytes()).hexdigest(),
        "cells": [cell.document() for cell in table(model, own.prompts, frames)],
        "still_failing": {mode: {str(k): v for k, v in retries(model, mode, again).items()} for mode in MODES} if again else {},
    }


if __name__ == "__main__":
    main()
