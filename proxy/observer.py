"""Judges exchanges that nobody acts on once they are over: the prompt where it was not scored before, and what was relayed.

One rule: it costs the client nothing. Copies wait in a bounded queue; what does not fit is shed and counted, never waited for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import perf_counter
from typing import Final

from core.attempt import Answer
from core.types import AttemptSummary, Conversation, Outcome, Plan, Reply, Scores, Span, Usage, Verdict
from core.values import frozen
from detectors.runner import Runner
from proxy.errors import GuardError
from proxy.inflow import DECODED_BYTES, Inflow
from proxy.wire.encoding import decode

log = logging.getLogger("chunkguard")
#: Seconds of judging in one turn of the loop where BACKLOG answers wait; of fewer, a part of it.
BURST_S: Final = 0.003
BACKLOG: Final = 32
#: Bytes of answers that may wait: a queue of long ones must not fill the memory.
QUEUED_BYTES: Final = 64 << 20


@frozen
class Judged:
    """What a relayed answer turned out to be. `verdict`, `usage`: None where its copy cannot be read. `triggers`: of the
    prompt. `replies`: its choices."""

    verdict: Verdict | None = None
    usage: Usage | None = None
    scanned: int = 0
    triggers: tuple[Span, ...] = ()
    replies: tuple[Reply, ...] = ()

    def settle(self, outcome: Outcome) -> Outcome:
        """The outcome of the exchange that relayed it, with what is known now."""
        one = outcome.attempts[outcome.chosen - 1]
        verdict, usage = self.verdict, self.usage or one.usage
        # Twice as fast as `replace`, for every observed answer.
        one = AttemptSummary(one.number, one.change, one.action, one.complete, verdict, usage, one.failure)
        return Outcome("relayed", outcome.chosen, verdict, verdict, outcome.action, (*outcome.attempts[: one.number - 1], one))


_UNREADABLE: Final = Judged()


def read_copy(body: bytes, inflow: Inflow) -> tuple[tuple[Reply, ...], Usage]:
    """The choices of a whole relayed body, and its usage. Raises ProtocolError for an encoding that cannot be read."""
    if inflow.encoding:
        body = decode(body, inflow.encoding, max_bytes=DECODED_BYTES)
    decoder = inflow.codec.ReplyDecoder(bool(inflow.event_stream), inflow.n)
    answer = Answer()
    for piece in decoder.feed(body) + decoder.flush():
        answer.read(piece)
    return answer.replies(), answer.total_usage()


async def judge_copy(
    runner: Runner, conversation: Conversation, plan: Plan, prompt: Scores, inflow: Inflow, body: bytes
) -> Judged:
    """What a relayed body is."""
    try:
        replies, usage = read_copy(body, inflow)
    except GuardError:
        return Judged(triggers=prompt.spans)
    scores = await runner.score_replies(conversation, prompt, replies, final=True)
    scanned = sum([score.scanned for score in scores])
    return Judged(plan.judge(replies, scores, final=True), usage, scanned, prompt.spans, replies)


@frozen
class Observation:
    """One exchange to judge. `prompt`: None where it was not scored yet. `body`: as it was relayed, None where there is nothing
    but the prompt to look at. `done(judged, seconds)` is called once all is judged."""

    conversation: Conversation
    plan: Plan
    prompt: Scores | None
    inflow: Inflow | None
    body: bytes | None
    done: Callable[[Judged, float], None]


class Observer:
    """The queue of relayed answers and the one consumer that judges them. `on_shed` is called for each that did not fit."""

    def __init__(self, size: int, on_shed: Callable[[], None]) -> None:
        self._queue: asyncio.Queue[tuple[Runner, Observation]] = asyncio.Queue(size)
        self._on_shed = on_shed
        self._bytes = 0

    @property
    def waiting(self) -> int:
        """Exchanges in the queue."""
        return self._queue.qsize()

    def offer(self, runner: Runner, observation: Observation) -> bool:
        """Queue an answer; False when the queue is full, and then `done` is never called."""
        size = len(observation.body) if observation.body is not None else 0
        if self._queue.full() or (self._bytes and self._bytes + size > QUEUED_BYTES):
            self._on_shed()
            return False
        self._bytes += size
        self._queue.put_nowait((runner, observation))
        return True

    async def run(self) -> None:
        """Judge until cancelled. Requests come first: the loop has its turn after every answer, or after BURST_S where many
        wait."""
        while True:
            await asyncio.sleep(0)
            runner, seen = await self._queue.get()
            # A turn of the loop may begin many requests: one answer a turn would let the queue grow until it sheds.
            until = perf_counter() + BURST_S * min(1.0, self._queue.qsize() / BACKLOG)
            while True:
                self._bytes -= len(seen.body) if seen.body is not None else 0
                try:
                    await self._judge(runner, seen)
                except Exception as error:
                    log.error("a relayed answer could not be judged", exc_info=error)  # one answer; the next ones still are
                finally:
                    self._queue.task_done()
                if self._queue.empty() or perf_counter() >= until:
                    break
                runner, seen = self._queue.get_nowait()

    @staticmethod
    async def _judge(runner: Runner, seen: Observation) -> None:
        began = perf_counter()
        judged = _UNREADABLE
        try:
            # Prompt and answer are read by the same code, so one after the other costs less than each at its time.
            prompt = seen.prompt if seen.prompt is not None else await runner.score_prompt(seen.conversation)
            if seen.body is None or seen.inflow is None:
                judged = Judged(triggers=prompt.spans)
            else:
                judged = await judge_copy(runner, seen.conversation, seen.plan, prompt, seen.inflow, seen.body)
        finally:
            seen.done(judged, perf_counter() - began)

    async def drain(self) -> None:
        """Wait until everything queued was judged."""
        await self._queue.join()
