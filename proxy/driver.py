"""Performs the exchange's commands and feeds back what happened: upstream calls, timers, scoring, writing, cancellation.

Owns every task, timer and queue of a guarded request. One rule: it decides nothing - what is sent, when and of which attempt
is the exchange's; bytes are written as commanded, in that order.

Two ways of running, one of performing. *Inline*: nothing can interleave (a plain reply, or one that is relayed at once), so
the upstream is read by the request's own task. *Queued*: a held stream; each attempt is read by a task of its own, because
the first answer goes on being collected beside a retry.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Final

from core.exchange import Exchange
from core.messages import (
    CallUpstream,
    CancelUpstream,
    ClientGone,
    Command,
    Event,
    Finish,
    HoldExpired,
    PromptScored,
    Relay,
    ResponseScored,
    ScoreResponse,
    Send,
    SendBlocked,
    SendRewritten,
    StartHoldTimer,
    UpstreamChunk,
    UpstreamEnded,
    UpstreamFailed,
    UpstreamStarted,
)
from core.types import RESPONSE, Failure, HoldKind, Outcome, Plan, Reply, Scores
from detectors.runner import Runner
from proxy.admission import RetryShare
from proxy.attempts import AttemptCalls
from proxy.errors import GuardError, UpstreamError
from proxy.inflow import ANSWER_BYTES, Inflow
from proxy.moderation import Settling
from proxy.observer import judge_copy
from proxy.outflow import Outflow

log = logging.getLogger("chunkguard")
#: Events that may wait for a slow client before the upstream is no longer read.
QUEUE_EVENTS: Final = 256


_NEVER: Final = contextlib.nullcontext()


class _KeepAlive:
    """Wakes the loop of a held stream; not an event of the exchange."""


@dataclass(slots=True)
class Timings:
    """Seconds. `upstream`: in all attempts; `first`: in the first; `detector`: scoring; `hold`: until the first byte left.
    `scanned`: characters read by detectors, in `scans` calls. `checks`: (attempt, began, ended) of each, where asked for."""

    upstream: float = 0.0
    first: float = 0.0
    detector: float = 0.0
    hold: float = 0.0
    scanned: int = 0
    scans: int = 0
    checks: list[tuple[int, float, float]] | None = None


@dataclass(slots=True)
class _Live:
    """An attempt in the driver's hands."""

    inflow: Inflow
    task: asyncio.Task[None] | None = None
    began: float = 0.0
    seconds: float = 0.0
    deadline: float | None = None  # loop time


@dataclass(slots=True)
class Driver:
    """Drives one guarded request to its end; `run` returns the outcome, `timings` and `outflow` say the rest."""

    plan: Plan
    prompt: Scores
    calls: AttemptCalls
    runner: Runner
    outflow: Outflow
    retry_share: RetryShare
    keepalive_s: float = 10.0
    answer_bytes: int = ANSWER_BYTES
    settling: Settling | None = None
    timings: Timings = field(default_factory=Timings)
    outcome: Outcome | None = None
    _exchange: Exchange = field(default_factory=Exchange)
    _live: dict[int, _Live] = field(default_factory=dict)
    _events: deque[Event] = field(default_factory=deque)
    _queue: asyncio.Queue[Event | _KeepAlive | Exception] | None = None
    _timers: list[asyncio.TimerHandle] = field(default_factory=list)
    _relayed: tuple[Reply, ...] = ()
    _began: float = 0.0
    _current: int = 0

    async def run(self) -> Outcome:
        """Perform everything until the exchange is done. A cancelled request ends the exchange with ClientGone."""
        self._began = perf_counter()
        conversation = self.calls.request.conversation
        if conversation.stream and self.plan.hold.kind is not HoldKind.NONE:
            self._queue = asyncio.Queue(QUEUE_EVENTS)
            self._arm_keepalive()
        try:
            await self._receive(PromptScored(self.plan, conversation.n))
            while self.outcome is None:
                event = await self._next()
                if isinstance(event, _KeepAlive):
                    await self._keep_alive()
                else:
                    await self._receive(event)
        except (asyncio.CancelledError, ConnectionError):
            # The client went away, while we waited or while we wrote.
            await self._receive(ClientGone())
            raise
        except Exception as error:
            # Ours, not an upstream's: the server answers it, and it is recorded like every other end.
            self.outcome = self.outcome or Outcome("failed", failure=Failure("protocol"))
            self.outflow.status = self.outflow.status or (error.status if isinstance(error, GuardError) else 500)
            raise
        finally:
            for timer in self._timers:
                timer.cancel()
            for live in self._live.values():
                self._close(live)
            self.timings.upstream = sum(live.seconds for live in self._live.values())
            self.timings.first = self._live[1].seconds if 1 in self._live else 0.0
        assert self.outcome is not None
        return self.outcome

    def response_id(self, attempt: int) -> str:
        """The id in the envelope of an attempt whose answer was read to its end, empty where it has none."""
        return self._live[attempt].inflow.id

    def replies(self, attempt: int) -> tuple[Reply, ...]:
        """What an attempt has said, where it was read before the exchange was over."""
        return self._exchange.replies(attempt) or self._relayed

    def calls_made(self) -> list[tuple[int, float, float, int]]:
        """(attempt, began, ended, status) of each upstream call, by the clock of perf_counter; 0 where no head came."""
        return [(number, live.began, live.began + live.seconds, live.inflow.status) for number, live in self._live.items()]

    # ---- events

    async def _receive(self, event: Event) -> None:
        commands = self._exchange.receive(event, perf_counter())
        if commands and isinstance(commands[-1], Finish):
            self.outflow.known = commands[-1].outcome  # a head that leaves now can already tell it
        for command in commands:
            await self._perform(command)

    async def _next(self) -> Event | _KeepAlive:
        if self._events:
            return self._events.popleft()
        if self._queue is not None:
            item = await self._queue.get()
            if isinstance(item, Exception):
                raise item
            return item
        await self._read_whole(self._current)
        return self._events.popleft()

    def _arm_keepalive(self) -> None:
        def wake() -> None:
            queue = self._queue
            if queue is not None and not queue.full():
                queue.put_nowait(_KeepAlive())
            self._arm_keepalive()

        if self.keepalive_s > 0 and not self._exchange.committed:
            self._timers = [t for t in self._timers if not t.cancelled()][-2:]
            self._timers.append(asyncio.get_running_loop().call_later(self.keepalive_s, wake))

    async def _keep_alive(self) -> None:
        """Keep a client waiting through an invisible retry; sends the head, which does not commit."""
        first = self._live.get(1)
        if not self._exchange.committed and first is not None and first.inflow.event_stream is not False:
            await self.outflow.comment()

    # ---- commands

    async def _perform(self, command: Command) -> None:
        match command:
            case CallUpstream():
                await self._call(command)
            case ScoreResponse():
                await self._score(command)
            case Send(attempt, data):
                self._released()
                await self.outflow.send(self._live[attempt].inflow, data)
            case Finish(outcome):
                await self._finish(outcome)
            case Relay(attempt):
                self._released()
                await self._relay(attempt)
            case CancelUpstream(attempt):
                self._close(self._live[attempt])
            case StartHoldTimer(attempt, after_ms):
                self._start_timer(attempt, after_ms)
            case SendRewritten(attempt, pieces, contents):
                self._released()
                await self.outflow.send_rewritten(self._live[attempt].inflow, pieces, contents)
            case SendBlocked(attempt, pieces):
                self._released()
                await self.outflow.send_blocked(self._live[attempt].inflow, pieces)

    def _released(self) -> None:
        if not self.timings.hold:
            self.timings.hold = perf_counter() - self._began

    async def _call(self, command: CallUpstream) -> None:
        inflow = Inflow(
            self.calls.codec, self.calls.request.conversation.n, max_bytes=self.answer_bytes, hold=self.outflow.hold
        )
        live = self._live[command.attempt] = _Live(inflow, began=perf_counter())
        if command.timeout_s is not None:
            live.deadline = asyncio.get_running_loop().time() + command.timeout_s
        self._current = command.attempt
        if command.retry and not self.retry_share.take():
            self._events.append(UpstreamFailed(command.attempt, Failure("budget", "the share of retries is used up")))
            return
        if self._queue is None:
            await self._open(live, command)
        else:
            live.task = asyncio.get_running_loop().create_task(self._pump(live, command))

    async def _feed(self, event: Event) -> None:
        if self._queue is None:
            self._events.append(event)
        else:
            await self._queue.put(event)

    async def _open(self, live: _Live, command: CallUpstream) -> bool:
        """Feed the head of an attempt, or its failure. Returns whether it has a body to be held."""
        number = command.attempt
        event: Event
        try:
            async with _until(live.deadline):
                live.inflow.begin(await self.calls.open(number, command.change, command.timeout_s))
            event = UpstreamStarted(number, live.inflow.status)
        except Exception as error:
            if number == 1 and not isinstance(error, UpstreamError | TimeoutError):
                raise  # the client's own request cannot be asked; a retry that cannot be is one that failed
            live.seconds = perf_counter() - live.began
            event = UpstreamFailed(number, _failure(error))
        await self._feed(event)
        return isinstance(event, UpstreamStarted) and 200 <= event.status < 300

    async def _pump(self, live: _Live, command: CallUpstream) -> None:
        """Read one attempt of a held stream, in a task of its own. What it raises, `run` raises: nobody else awaits it."""
        assert self._queue is not None
        try:
            if await self._open(live, command):
                await self._read_held(live, command.attempt)
        except Exception as error:
            await self._queue.put(error)

    async def _read_held(self, live: _Live, number: int) -> None:
        event: Event = UpstreamEnded(number)
        try:
            async with _until(live.deadline):
                async for pieces in live.inflow.pieces():
                    await self._feed(UpstreamChunk(number, pieces))
        except (UpstreamError, TimeoutError) as error:
            event = UpstreamFailed(number, _failure(error))
        live.seconds = perf_counter() - live.began
        await self._feed(event)

    async def _read_whole(self, number: int) -> None:
        """Read the rest of an attempt that nothing can interleave with."""
        live = self._live[number]
        try:
            async with _until(live.deadline):
                pieces = await live.inflow.whole()
            self._events += (UpstreamChunk(number, pieces), UpstreamEnded(number))
        except (UpstreamError, TimeoutError) as error:
            self._events.append(UpstreamFailed(number, _failure(error)))
        live.seconds = perf_counter() - live.began

    async def _relay(self, number: int) -> None:
        live = self._live[number]
        try:
            await self.outflow.relay(live.inflow)
            event: Event = UpstreamEnded(number)
        except UpstreamError as error:
            event = UpstreamFailed(number, error.failure)
        live.seconds = perf_counter() - live.began
        self._events.append(event)

    async def _score(self, command: ScoreResponse) -> None:
        began = perf_counter()
        conversation = self.calls.request.conversation
        scores = await self.runner.score_replies(conversation, self.prompt, command.replies, final=command.final)
        ended = perf_counter()
        self.timings.detector += ended - began
        if self.timings.checks is not None:
            self.timings.checks.append((self._current, began, ended))
        self.timings.scanned += sum([score.scanned for score in scores])
        self.timings.scans += 1
        if any([reply.offset for reply in command.replies]):
            scores = tuple(map(shifted, scores, command.replies))
        if self.settling is not None:
            scores = await self.settling.settle(scores, ask=not self._exchange.committed)
        self._events.append(ResponseScored(command.ticket, scores))

    async def _finish(self, outcome: Outcome) -> None:
        if outcome.chosen and self.outflow.inflow is None:
            self.outflow.inflow = self._live[outcome.chosen].inflow  # an empty body: there was nothing to send
        copy, inflow = self.outflow.copy, self.outflow.inflow
        if (
            outcome.kind == "relayed"
            and self.outflow.report
            and copy is not None
            and inflow is not None
            and inflow.status < 300
        ):
            # The client asked to see the verdict in the body, so the body's end waits for it.
            judged = await judge_copy(self.runner, self.calls.request.conversation, self.plan, self.prompt, inflow, copy)
            self.timings.scanned += judged.scanned
            self.timings.scans += 1
            self._relayed = judged.replies
            outcome = judged.settle(outcome)
        self.outcome = outcome
        await self.outflow.finish(outcome)

    def _start_timer(self, attempt: int, after_ms: int) -> None:
        queue = self._queue
        if queue is not None:

            def expire() -> None:
                with contextlib.suppress(asyncio.QueueFull):  # so much is waiting that the prefix is long complete
                    queue.put_nowait(HoldExpired(attempt))

            self._timers.append(asyncio.get_running_loop().call_later(after_ms / 1000, expire))

    def _close(self, live: _Live) -> None:
        if live.task is not None and not live.task.done():
            live.task.cancel()
        if not live.seconds and live.began:
            live.seconds = perf_counter() - live.began
        live.inflow.close()


def _until(deadline: float | None) -> AbstractAsyncContextManager[object]:
    # A first attempt has no deadline, and a timeout that never comes costs 6 us.
    return _NEVER if deadline is None else asyncio.timeout_at(deadline)


def shifted(scores: Scores, reply: Reply) -> Scores:
    """Scores of a window with its evidence in characters of the whole answer."""
    if not reply.offset:
        return scores
    spans = tuple(
        replace(s, start=s.start + reply.offset, end=s.end + reply.offset) if s.message == RESPONSE else s for s in scores.spans
    )
    return replace(scores, spans=spans)


def _failure(error: Exception) -> Failure:
    if isinstance(error, UpstreamError):
        return error.failure
    if isinstance(error, TimeoutError):
        return Failure("budget", "the time for retries ran out")
    if not isinstance(error, GuardError):
        log.error("a retry could not be asked", exc_info=error)
    return Failure("protocol", "the retry could not be asked")
