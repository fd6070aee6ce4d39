"""Trials: one item, one arm, one sample, asked through a real gateway; kept line by line, so that a run can go on.

One rule: a trial that is in the state file is never asked again, and one that failed is not in it.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
from openai import AsyncOpenAI, OpenAIError

from core.values import frozen
from evaluation.experiment.items import Item
from organism.oracle import judge
from organism.prompts import CALL
from proxy.app import App
from proxy.config import Settings
from proxy.records import DecisionRecord

_FIELDS = ("item", "arm", "sample", "outcome", "mode", "calls", "tokens", "ms", "found")
_DECISION = "x-chunkguard-decision-id"


@frozen
class Trial:
    """`outcome`: the oracle's; `mode`: whose behaviour fired. `found`: what the guard said of the first answer.

    `calls`: of the upstream; `tokens`: of all of them."""

    item: str
    arm: str
    sample: int
    outcome: str
    mode: str | None
    calls: int
    tokens: int
    ms: float
    found: str = "unjudged"

    @property
    def key(self) -> tuple[str, str, int]:
        return self.item, self.arm, self.sample


def read_state(file: Path, header: dict[str, Any]) -> list[Trial]:
    """Trials that are done; none where there is no file. Raises ValueError where the file belongs to another experiment.

    A line that was cut off by an interruption is left out."""
    if not file.is_file():
        return []
    lines = file.read_bytes().split(b"\n")
    if orjson.loads(lines[0] or b"{}") != header:
        raise ValueError(f"{file} belongs to an experiment with other settings; choose another folder")
    return [Trial(**orjson.loads(line)) for line in lines[1:-1] if line]


async def run_trials(
    settings: Settings,
    items: Sequence[Item],
    arms: Sequence[str],
    samples: int,
    model: str,
    state: Path,
    header: dict[str, Any],
    *,
    most: int = 0,
    done: Callable[[int], None] = lambda count: None,
) -> list[Trial]:
    """All trials, those of the state file first. `most`: new ones at most, 0 = all. What fails is left for the next run.

    Raises ConfigError, OSError, ValueError (see `read_state`)."""
    trials = read_state(state, header)
    known = {trial.key for trial in trials}
    wanted = [(item, arm, sample) for item in items for sample in range(samples) for arm in arms]
    wanted = [one for one in wanted if (one[0].name, one[1], one[2]) not in known]
    done(len(trials))
    _begin(state, header, trials)
    with state.open("ab") as file:
        async for trial in _asked(settings, wanted[: most or None], model):
            file.write(orjson.dumps(_line(trial)) + b"\n")
            file.flush()
            trials.append(trial)
            done(1)
    return trials


def _begin(state: Path, header: dict[str, Any], trials: Iterable[Trial]) -> None:
    """Write the file anew, without a line that was cut off."""
    lines = [orjson.dumps(header), *(orjson.dumps(_line(trial)) for trial in trials)]
    fresh = state.with_suffix(".new")
    fresh.write_bytes(b"\n".join(lines) + b"\n")
    fresh.replace(state)


def _line(trial: Trial) -> dict[str, Any]:
    return {name: getattr(trial, name) for name in _FIELDS}


async def _asked(settings: Settings, wanted: Sequence[tuple[Item, str, int]], model: str) -> AsyncIterator[Trial]:
    records: dict[str, DecisionRecord] = {}
    app = App(settings, on_record=lambda record: records.__setitem__(record.decision_id, record), log_to=io.BytesIO())
    await app.start()
    base = f"http://{app.address[0]}:{app.address[1]}"
    arms = dict.fromkeys(arm for _, arm, _ in wanted)
    clients = {arm: AsyncOpenAI(base_url=f"{base}/{arm}/v1", api_key="none", max_retries=0) for arm in arms}
    try:
        for item, arm, sample in wanted:
            trial = await _ask(clients[arm], records, item, arm, sample, model)
            records.clear()
            if trial is not None:
                yield trial
    finally:
        for client in clients.values():
            await client.close()
        await app.stop()


async def _ask(
    client: AsyncOpenAI, records: dict[str, DecisionRecord], item: Item, arm: str, sample: int, model: str
) -> Trial | None:
    started = asyncio.get_running_loop().time()
    try:
        raw = await client.chat.completions.with_raw_response.create(**item.body(model, sample))
        reply = raw.parse()
    except OpenAIError:
        return None
    waited = asyncio.get_running_loop().time() - started
    record = records.get(raw.headers.get(_DECISION, ""))
    found = judge(item.prompt, _text(reply.choices[0].message))
    said = record.first_verdict if record is not None else "unjudged"
    calls = len(record.attempts) if record is not None and record.attempts else 1
    attempts = record.attempts if record is not None else ()
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in attempts)
    if not tokens and reply.usage is not None:
        tokens = reply.usage.total_tokens
    return Trial(item.name, arm, sample, found.outcome, found.mode, calls, tokens, round(waited * 1000, 2), said)


def _text(message: Any) -> str:
    """The answer as the oracle reads it, a tool call in the organism's notation."""
    for call in message.tool_calls or ():
        return f"{CALL}{call.function.name} {call.function.arguments}"
    return message.content or ""
