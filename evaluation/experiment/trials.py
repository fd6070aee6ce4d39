"""Trials: one item, one arm, one sample, asked through a real gateway, judged, and kept line by line.

One rule: whatever stops a run (a budget, Ctrl-C, a failing upstream), what was answered is kept, and the next asks the rest.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO, Any

from openai import AsyncOpenAI

from core.values import frozen
from evaluation.experiment.arms import JUDGE
from evaluation.experiment.asking import NoAnswer, ask
from evaluation.experiment.items import Item
from evaluation.experiment.judging import UNJUDGED, Detecting, by_oracle
from evaluation.experiment.reader import Reader, ReaderSpec, Reading
from evaluation.experiment.state import Failure, State, Trial, begin, read_state, write_line
from proxy.app import App
from proxy.config import Settings
from proxy.records import DecisionRecord

_DECISION = "x-chunkguard-decision-id"
#: Turns of 10 ms in which a record may come after its answer.
_PATIENCE = 200
_Wanted = tuple[Item, str, int]


@frozen
class Plan:
    """What is asked, and how. `body`: further fields of every request. `seeds`: each sample's seed goes with its requests.
    `stream`: every answer is streamed.

    `detectors`: judge where the oracle cannot, and are compared with who judges; None = the oracle alone. `reader`: a judge
    that reads, in their place. `calls`, `tokens`: no request begins once so many were ever spent, the judge's among them;
    `most`: new requests at most; 0 = all. `parallel`: requests under way at once."""

    arms: Sequence[str]
    model: str
    samples: int = 1
    body: Mapping[str, Any] | None = None
    seeds: bool = False
    stream: bool = False
    detectors: Detecting | None = None
    reader: ReaderSpec | None = None
    calls: int = 0
    tokens: int = 0
    most: int = 0
    parallel: int = 1


async def run_trials(
    settings: Settings,
    items: Sequence[Item],
    plan: Plan,
    file: Path,
    header: dict[str, Any],
    *,
    done: Callable[[int], None] = lambda count: None,
) -> State:
    """All trials, those of the state file among them. `done`: told of every trial that has its judgement.

    Raises ConfigError, OSError, ValueError (see `read_state`)."""
    state = read_state(file, header)
    done(sum(bool(trial.outcome) for trial in state.trials.values()))
    begin(file, header)
    wanted = list(_wanted(items, plan, state))
    with file.open("ab") as out:
        async with AsyncExitStack() as stack:
            run = await _Run.start(settings, plan, state, out, done, stack)
            queue = iter(wanted[: plan.most or None])
            async with asyncio.TaskGroup() as group:
                for _ in range(max(1, plan.parallel)):
                    group.create_task(run.work(queue))
    return state


def _wanted(items: Sequence[Item], plan: Plan, state: State) -> Iterator[_Wanted]:
    for item in items:
        for sample in range(plan.samples):
            for arm in plan.arms:
                trial = state.trials.get((item.name, arm, sample))
                if trial is None or not trial.outcome:
                    yield item, arm, sample


class _Run:
    """One gateway, a client an arm, and the file that answers go to."""

    def __init__(self, plan: Plan, state: State, out: IO[bytes], done: Callable[[int], None]) -> None:
        self._plan = plan
        self._state = state
        self._out = out
        self._done = done
        self._records: dict[str, DecisionRecord] = {}
        self._clients: dict[str, AsyncOpenAI] = {}
        self._reader: Reader | None = None

    @classmethod
    async def start(
        cls, settings: Settings, plan: Plan, state: State, out: IO[bytes], done: Callable[[int], None], stack: AsyncExitStack
    ) -> _Run:
        run = cls(plan, state, out, done)
        app = App(settings, on_record=run._keep, log_to=io.BytesIO())
        await app.start()
        stack.push_async_callback(app.stop)
        base = f"http://{app.address[0]}:{app.address[1]}"
        routes = [*plan.arms, *([JUDGE] if plan.reader is not None else ())]
        for route in routes:
            client = AsyncOpenAI(base_url=f"{base}/{route}/v1", api_key="none", max_retries=0)
            run._clients[route] = await stack.enter_async_context(client)
        if plan.reader is not None:
            run._reader = Reader(run._clients[JUDGE], plan.reader)
        return run

    def _keep(self, record: DecisionRecord) -> None:
        if record.route != JUDGE:
            self._records[record.decision_id] = record

    @property
    def _spent(self) -> bool:
        plan, state = self._plan, self._state
        return bool((plan.calls and state.calls >= plan.calls) or (plan.tokens and state.tokens >= plan.tokens))

    async def work(self, queue: Iterator[_Wanted]) -> None:
        """Take from the queue until it is empty or the budget is spent."""
        while not self._spent and (wanted := next(queue, None)) is not None:
            item, arm, sample = wanted
            line = self._state.trials.get((item.name, arm, sample)) or await self._ask(item, arm, sample)
            if isinstance(line, Trial) and self._reader is not None and not line.outcome:
                self._write(line)  # before the judge is asked: an answer that was paid for is never lost
                line = await self._read(self._reader, item, line)
            self._write(line)
            if isinstance(line, Trial) and line.outcome:
                self._done(1)

    def _write(self, line: Trial | Failure) -> None:
        write_line(self._out, line)
        self._state.add(line)

    async def _ask(self, item: Item, arm: str, sample: int) -> Trial | Failure:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            arrived = await ask(self._clients[arm], self._request(item, sample), stream=self._plan.stream)
        except NoAnswer as failed:
            calls, tokens, _ = await self._cost(failed.headers, 0)
            return Failure(item.name, arm, sample, failed.why, calls, tokens)
        waited = (loop.time() - started) * 1000
        message = arrived.message
        calls, tokens, found = await self._cost(arrived.headers, arrived.tokens)
        detected = await asyncio.to_thread(self._plan.detectors, item, message) if self._plan.detectors else UNJUDGED
        judged = by_oracle(item, message) if item.prompt is not None else detected.judged
        kept = message if self._reader is not None and item.prompt is None else None
        if kept is None and judged.outcome is None:
            return Failure(item.name, arm, sample, "the detectors could not judge", calls, tokens)
        return Trial(
            item.name, arm, sample,
            outcome=judged.outcome or "" if kept is None else "",
            mode=judged.mode if kept is None else None,
            calls=calls,
            tokens=tokens,
            ms=round(waited, 2),
            found=found,
            verdict=detected.verdict,
            answer=kept,
        )  # fmt: skip

    async def _cost(self, headers: Mapping[str, str], counted: int) -> tuple[int, int, str]:
        """Calls and tokens of a request, and the guard's verdict on the first answer. `counted`: tokens of the answer."""
        record = await self._record(headers.get(_DECISION, ""))
        if record is None:
            return 1, counted, "unjudged"
        tokens = sum(one.prompt_tokens + one.completion_tokens for one in record.attempts)
        return len(record.attempts) or 1, tokens or counted, record.first_verdict

    async def _record(self, decision: str) -> DecisionRecord | None:
        """The record of a decision, which may come after the last byte; None where there is none."""
        for _ in range(_PATIENCE if decision else 0):
            if decision in self._records:
                return self._records.pop(decision)
            await asyncio.sleep(0.01)
        return None

    def _request(self, item: Item, sample: int) -> dict[str, Any]:
        plan = self._plan
        own: dict[str, Any] = {"model": plan.model, **item.request, **(plan.body or {})}
        if item.prompt is not None:
            # Tells samples apart where the answer follows from the body, so that a sample has the same body in every arm.
            own["user"] = f"{item.name}/{sample}"
        return {**own, "seed": sample} if plan.seeds else own

    async def _read(self, reader: Reader, item: Item, trial: Trial) -> Trial | Failure:
        """The trial as the judge that reads has it; a failure where that did not judge: then the next run asks it again."""
        reading = await reader.judge(item, trial.answer or {})
        again = _read_trial(trial, reading)
        if again.outcome:
            return again
        self._write(again)
        return Failure(*trial.key, why=reading.why, calls=0)


def _read_trial(trial: Trial, reading: Reading) -> Trial:
    judged = reading.judged
    return Trial(
        *trial.key, judged.outcome or "", judged.mode, trial.calls, trial.tokens, trial.ms, trial.found, trial.verdict,
        trial.judge_calls + 1, trial.judge_tokens + reading.tokens, None if judged.outcome else trial.answer,
    )  # fmt: skip
