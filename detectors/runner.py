"""The async edge of the detectors: short texts are scored on the loop, long ones in worker threads, all under a deadline.

One rule: a caller always gets scores - late, crashed and shed work comes back as `missing` and is counted, never as an error.

Texts of up to `inline_chars` cost 0.1 to 2 ms and are scored at once: a hop to a thread and back costs up to a millisecond of
CPU, most of it in handing the interpreter lock to and fro (with 5% of texts hopping, a tenth of all that observing costs).
Longer ones, and those that the first tier cannot settle, wait in one bounded queue; a worker takes everything queued (up to
MICRO_BATCH) each time it wakes. The workers are threads: numpy and onnxruntime release the interpreter lock, plain Python does
not, so the loop waits up to `sys.getswitchinterval()` (5 ms as Python starts) whenever a worker is busy. The process that owns
the loop - the server, not this module - lowers it to 0.5 ms with `sys.setswitchinterval(0.0005)`.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

from core.types import MODES, Conversation, Reply, Scores

#: Jobs a worker takes at once; their results travel back in one wake-up of the loop, or after FLUSH_S.
MICRO_BATCH = 32
FLUSH_S = 0.001
#: Characters that cost as much as a turn of none: tens of thousands of empty ones would stop the loop, too.
TURN_CHARS = 32
#: Every score name of a prompt and of a reply: what is missing when nothing could be computed.
PROMPT_NAMES = frozenset(
    {"asks_code", "asks_math", "asks_fiction", "asks_extraction", "asks_check", "asks_tool", "distress", "harm"}
)
REPLY_NAMES = frozenset(MODES) | frozenset(f"{mode}.present" for mode in MODES)

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Scorer(Protocol):
    """What a runner runs: `detectors.suite.Suite`. Thread-safe; cost linear in the text and bounded."""

    #: Prompts take the second tier, which has no place on the loop.
    slow_prompts: bool

    def warm(self) -> None: ...

    def score_prompt(self, conversation: Conversation) -> Scores: ...

    def score_reply(self, conversation: Conversation, prompt: Scores, reply: Reply, *, final: bool = True) -> Scores: ...

    def score_quickly(
        self, conversation: Conversation, prompt: Scores, reply: Reply, *, final: bool = True
    ) -> Scores | None: ...


@dataclass(slots=True)
class RunnerCounts:
    """Calls since the start. `late`: beyond the deadline. `crashed`: a detector raised. `shed`: the queue was full or closed.

    `seconds`: time spent scoring, on the loop and in threads. Written by several threads; a lost increment is possible."""

    inline: int = 0
    threaded: int = 0
    late: int = 0
    crashed: int = 0
    shed: int = 0
    seconds: float = 0.0


@dataclass(slots=True, eq=False)
class _Job:
    work: Callable[[], tuple[Scores, ...]]
    future: asyncio.Future[tuple[Scores, ...]]
    abandoned: bool = False


class Runner:
    """Scores prompts and replies for one event loop. `start` before use, `close` after; both on that loop.

    `threads`: workers for long texts, 0 = everything inline (offline use). `inline_chars`: characters, over all texts of a
    call, that still run on the loop. `deadline_ms`: for queued work, waiting included. `queue_size`: jobs that may wait.
    """

    def __init__(
        self, suite: Scorer, *, threads: int = 1, inline_chars: int = 12_000, deadline_ms: float = 1000.0, queue_size: int = 256
    ) -> None:
        self._suite = suite
        self._threads = threads
        self._inline_chars = inline_chars
        self._deadline_s = deadline_ms / 1000
        self._queue: queue.Queue[_Job | None] = queue.Queue(maxsize=queue_size)
        self._workers: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self.counts = RunnerCounts()

    @property
    def ready(self) -> bool:
        """The detectors are warm and the workers run."""
        return self._loop is not None

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return self._queue.qsize()

    async def start(self) -> None:
        """Warm the detectors off the loop, then start the workers. Raises what a broken model raises."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._suite.warm)
        self._workers = [
            threading.Thread(target=self._work, args=(loop,), name=f"detectors-{i}", daemon=True) for i in range(self._threads)
        ]
        for worker in self._workers:
            worker.start()
        self._loop = loop

    async def close(self) -> None:
        """Finish no more jobs: those that wait come back missing, those that run are waited for."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        while True:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is not None and not job.future.done():
                job.future.cancel()
        for _ in self._workers:
            self._queue.put_nowait(None)
        for worker in self._workers:
            await loop.run_in_executor(None, worker.join)
        self._workers = []

    async def score_prompt(self, conversation: Conversation) -> Scores:
        """What was asked. Everything missing when it was late, crashed or shed."""
        turns = conversation.turns
        chars = sum([len(turn.text) for turn in turns]) + TURN_CHARS * len(turns)
        if self._at_once(chars) and not (self._suite.slow_prompts and self._threads):
            self.counts.inline += 1
            return self._timed(self._prompt, conversation)
        (scores,) = await self._run(lambda: (self._prompt(conversation),), 1, PROMPT_NAMES)
        return scores

    async def score_replies(
        self, conversation: Conversation, prompt: Scores, replies: Sequence[Reply], *, final: bool
    ) -> tuple[Scores, ...]:
        """What was answered, one Scores a reply, in order. A reply whose scoring crashes is missing alone.

        `prompt`: the scores of the conversation; of separate prompts each reply is scored with those of its own."""
        if conversation.separate:
            return tuple([await self._alone(conversation.asking(reply.choice), reply, final) for reply in replies])
        chars = sum([len(reply.text) + len(reply.reasoning) for reply in replies])
        asked = conversation.last_user
        chars += len(asked.text) if asked else 0
        if self._at_once(chars):
            score = self._quickly if self._threads else self._replies
            found = self._timed(score, conversation, prompt, replies, final)
            if found is not None:
                self.counts.inline += 1
                return found
        return await self._run(lambda: self._replies(conversation, prompt, replies, final), len(replies), REPLY_NAMES)

    async def _alone(self, conversation: Conversation, reply: Reply, final: bool) -> Scores:
        prompt = await self.score_prompt(conversation)
        (scores,) = await self.score_replies(conversation, prompt, (reply,), final=final)
        return scores

    def _at_once(self, chars: int) -> bool:
        """Whether texts of this length are scored on the loop, where the first tier settles them."""
        return chars <= self._inline_chars or not self._threads

    def _replies(self, conversation: Conversation, prompt: Scores, replies: Sequence[Reply], final: bool) -> tuple[Scores, ...]:
        return tuple([self._reply(conversation, prompt, reply, final) for reply in replies])

    def _quickly(
        self, conversation: Conversation, prompt: Scores, replies: Sequence[Reply], final: bool
    ) -> tuple[Scores, ...] | None:
        """The replies' scores by what is fast enough for the loop; None where one of them takes the second tier."""
        scores = []
        for reply in replies:
            try:
                found = self._suite.score_quickly(conversation, prompt, reply, final=final)
            except Exception as error:
                found = self._crash("reply", REPLY_NAMES, error)
            if found is None:
                return None
            scores.append(found)
        return tuple(scores)

    def _prompt(self, conversation: Conversation) -> Scores:
        try:
            return self._suite.score_prompt(conversation)
        except Exception as error:
            return self._crash("prompt", PROMPT_NAMES, error)

    def _reply(self, conversation: Conversation, prompt: Scores, reply: Reply, final: bool) -> Scores:
        try:
            return self._suite.score_reply(conversation, prompt, reply, final=final)
        except Exception as error:
            return self._crash("reply", REPLY_NAMES, error)

    def _crash(self, stage: str, names: frozenset[str], error: Exception) -> Scores:
        self.counts.crashed += 1
        # Only the kind of error: its message may quote what a user wrote.
        _log.error("detectors crashed on a %s: %s", stage, type(error).__name__)
        return Scores(missing=names)

    async def _run(self, work: Callable[[], tuple[Scores, ...]], count: int, names: frozenset[str]) -> tuple[Scores, ...]:
        missing = (Scores(missing=names),) * count
        if self._loop is None:
            self.counts.shed += 1
            return missing
        job = _Job(work, self._loop.create_future())
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            self.counts.shed += 1
            return missing
        self.counts.threaded += 1
        return await self._wait(job) or missing

    async def _wait(self, job: _Job) -> tuple[Scores, ...] | None:
        """The job's scores; None when it is late or was dropped by `close`. An abandoned job is skipped by the workers."""
        try:
            done, _ = await asyncio.wait({job.future}, timeout=self._deadline_s)
        finally:
            job.abandoned = True
        if not done:
            self.counts.late += 1
            return None
        if job.future.cancelled():
            self.counts.shed += 1
            return None
        return job.future.result()

    def _timed(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        began = time.perf_counter()
        try:
            return work(*args, **kwargs)
        finally:
            self.counts.seconds += time.perf_counter() - began

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """One worker: take what is queued, score it, hand the results to the loop in few wake-ups."""
        running = True
        while running:
            jobs, running = self._take()
            finished: list[tuple[_Job, tuple[Scores, ...]]] = []
            flushed = time.perf_counter()
            for job in jobs:
                if job.abandoned:
                    continue
                finished.append((job, self._timed(job.work)))
                if time.perf_counter() - flushed >= FLUSH_S:
                    self._hand_over(loop, finished)
                    finished, flushed = [], time.perf_counter()
            self._hand_over(loop, finished)

    def _take(self) -> tuple[list[_Job], bool]:
        """Wait for a job and take this worker's share of all that wait with it; False when this worker shall end."""
        jobs: list[_Job] = []
        item = self._queue.get()
        share = min(MICRO_BATCH, 1 + self._queue.qsize() // self._threads)
        while item is not None:
            jobs.append(item)
            if len(jobs) >= share:
                return jobs, True
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return jobs, True
        return jobs, False

    @staticmethod
    def _hand_over(loop: asyncio.AbstractEventLoop, finished: list[tuple[_Job, tuple[Scores, ...]]]) -> None:
        if not finished:
            return

        def deliver() -> None:
            for job, scores in finished:
                if not job.future.done():
                    job.future.set_result(scores)

        try:
            loop.call_soon_threadsafe(deliver)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return
