"""The runner: what runs where, and that late, crashed and shed work is missing and counted while the loop goes on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from core.types import Conversation, Reply, Scores, Turn
from detectors.runner import PROMPT_NAMES, REPLY_NAMES, Runner

LONG = "x" * 13_000


def ask(text: str) -> Conversation:
    return Conversation((Turn("user", text, 0),))


@dataclass
class ScriptedSuite:
    """A suite whose scoring does what the test says, and remembers in which thread it ran.

    A reply that says "doubt" takes the second tier; `slow_prompts`: all prompts do. `quick`: replies looked at quickly."""

    act: Callable[[str], None] = lambda text: None
    slow_prompts: bool = False
    quick: list[str] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    warmed: int = 0

    def warm(self) -> None:
        self.warmed += 1

    def score_prompt(self, conversation: Conversation) -> Scores:
        return self._score(conversation.turns[-1].text, "harm")

    def score_reply(self, conversation: Conversation, prompt: Scores, reply: Reply, *, final: bool = True) -> Scores:
        return self._score(reply.text, "refusal" if final else "refusal.present")

    def score_quickly(self, conversation: Conversation, prompt: Scores, reply: Reply, *, final: bool = True) -> Scores | None:
        self.quick.append(threading.current_thread().name)
        if "doubt" in reply.text:
            return None
        return self.score_reply(conversation, prompt, reply, final=final)

    def _score(self, text: str, name: str) -> Scores:
        self.threads.append(threading.current_thread().name)
        self.texts.append(text)
        self.act(text)
        return Scores({name: 0.25}, scanned=len(text))


@asynccontextmanager
async def running(suite: ScriptedSuite, **options: float) -> AsyncIterator[Runner]:
    runner = Runner(suite, **options)  # type: ignore[arg-type]
    await runner.start()
    try:
        yield runner
    finally:
        await runner.close()


async def test_detectors_are_warm_before_the_runner_is_ready() -> None:
    suite = ScriptedSuite()
    runner = Runner(suite)
    assert not runner.ready
    await runner.start()
    assert runner.ready
    assert suite.warmed == 1
    await runner.close()
    assert not runner.ready


async def test_a_suite_that_cannot_warm_is_never_ready() -> None:
    class Broken(ScriptedSuite):
        def warm(self) -> None:
            raise OSError("no model")

    runner = Runner(Broken())
    with pytest.raises(OSError, match="no model"):
        await runner.start()
    assert not runner.ready


async def test_short_texts_run_on_the_loop_and_long_ones_in_a_worker() -> None:
    suite = ScriptedSuite()
    async with running(suite) as runner:
        assert (await runner.score_prompt(ask("short"))).values == {"harm": 0.25}
        assert (await runner.score_prompt(ask(LONG))).scanned == len(LONG)
    assert suite.threads == [threading.current_thread().name, "detectors-0"]
    assert (runner.counts.inline, runner.counts.threaded) == (1, 1)


async def test_the_length_of_all_replies_together_decides() -> None:
    suite = ScriptedSuite()
    async with running(suite) as runner:
        replies = [Reply(choice=i, text="y" * 4500) for i in range(3)]
        scores = await runner.score_replies(ask("q"), Scores(), replies, final=True)
    assert [one.values for one in scores] == [{"refusal": 0.25}] * 3
    assert set(suite.threads) == {"detectors-0"}


async def test_a_prefix_is_scored_as_one() -> None:
    async with running(ScriptedSuite()) as runner:
        (scores,) = await runner.score_replies(ask("q"), Scores(), [Reply(text="so far")], final=False)
    assert scores.values == {"refusal.present": 0.25}


@pytest.mark.parametrize("slow_prompts", [False, True])
@pytest.mark.parametrize("text", ["short", "doubt", LONG])
async def test_no_threads_means_everything_inline(text: str, slow_prompts: bool) -> None:
    suite = ScriptedSuite(slow_prompts=slow_prompts)
    async with running(suite, threads=0, deadline_ms=50) as runner:
        assert (await runner.score_prompt(ask(text))).scanned == len(text)
        (scores,) = await runner.score_replies(ask("q"), Scores(), [Reply(text=text)], final=True)
        assert scores.values == {"refusal": 0.25}
        assert (runner.counts.inline, runner.counts.threaded) == (2, 0)
    assert suite.threads == [threading.current_thread().name] * 2
    assert suite.quick == []


async def test_a_reply_that_the_first_tier_cannot_settle_goes_to_a_worker() -> None:
    suite = ScriptedSuite()
    here = threading.current_thread().name
    async with running(suite) as runner:
        (clear,) = await runner.score_replies(ask("q"), Scores(), [Reply(text="clear")], final=True)
        assert (suite.quick, suite.threads) == ([here], [here])
        assert (runner.counts.inline, runner.counts.threaded) == (1, 0)
        (doubted,) = await runner.score_replies(ask("q"), Scores(), [Reply(text="doubt")], final=True)
        assert (suite.quick, suite.threads) == ([here, here], [here, "detectors-0"])
        assert (runner.counts.inline, runner.counts.threaded) == (1, 1)
    assert clear.values == doubted.values == {"refusal": 0.25}


async def test_one_reply_in_doubt_takes_all_of_its_call_along() -> None:
    suite = ScriptedSuite()
    replies = [Reply(i, text) for i, text in enumerate(["clear", "doubt", "never looked at quickly"])]
    async with running(suite) as runner:
        scores = await runner.score_replies(ask("q"), Scores(), replies, final=True)
    assert [one.scanned for one in scores] == [len(reply.text) for reply in replies]
    assert len(suite.quick) == 2
    assert suite.threads[-3:] == ["detectors-0"] * 3


async def test_a_long_reply_is_not_tried_on_the_loop() -> None:
    suite = ScriptedSuite()
    async with running(suite) as runner:
        await runner.score_replies(ask("q"), Scores(), [Reply(text=LONG)], final=True)
        await runner.score_replies(ask(LONG), Scores(), [Reply(text="short")], final=True)
        await runner.score_replies(ask("q"), Scores(), [Reply(text="short", reasoning=LONG)], final=True)
    assert suite.quick == []
    assert suite.threads == ["detectors-0"] * 3


async def test_slow_prompts_have_no_place_on_the_loop() -> None:
    suite = ScriptedSuite(slow_prompts=True)
    async with running(suite) as runner:
        assert (await runner.score_prompt(ask("short"))).values == {"harm": 0.25}
        assert (runner.counts.inline, runner.counts.threaded) == (0, 1)
    assert suite.threads == ["detectors-0"]


@pytest.mark.parametrize("text", ["clear boom", "doubt boom", LONG + "boom"])
async def test_a_crash_on_a_reply_is_counted_once_wherever_it_happens(text: str) -> None:
    def crash(said: str) -> None:
        if "boom" in said:
            raise RuntimeError

    async with running(ScriptedSuite(crash)) as runner:
        scores = await runner.score_replies(ask("q"), Scores(), [Reply(text=text), Reply(1, "clear")], final=True)
        assert [one.missing == REPLY_NAMES for one in scores] == [True, False]
        assert runner.counts.crashed == 1


async def test_what_is_in_doubt_when_nothing_runs_is_shed() -> None:
    runner = Runner(ScriptedSuite())
    (scores,) = await runner.score_replies(ask("q"), Scores(), [Reply(text="doubt")], final=True)
    assert scores.missing == REPLY_NAMES
    assert runner.counts.shed == 1


@pytest.mark.parametrize("text", ["short", LONG])
async def test_a_crash_is_missing_and_counted_and_says_nothing_of_the_text(text: str, caplog: pytest.LogCaptureFixture) -> None:
    def crash(said: str) -> None:
        raise ValueError(f"secret {said[:5]}")

    async with running(ScriptedSuite(crash)) as runner:
        scores = await runner.score_prompt(ask(text))
        assert (scores.values, scores.missing) == ({}, PROMPT_NAMES)
        assert runner.counts.crashed == 1
    assert "secret" not in caplog.text
    assert "ValueError" in caplog.text


async def test_a_crash_on_one_reply_leaves_the_others() -> None:
    def crash(said: str) -> None:
        if "boom" in said:
            raise RuntimeError

    async with running(ScriptedSuite(crash)) as runner:
        scores = await runner.score_replies(
            ask("q"), Scores(), [Reply(text="fine"), Reply(1, "boom"), Reply(2, "ok")], final=True
        )
    assert [one.missing == REPLY_NAMES for one in scores] == [False, True, False]


async def test_the_loop_goes_on_while_a_long_text_is_scored() -> None:
    """No clock decides: the worker ends only after the loop has turned a thousand times."""
    enough = threading.Event()
    turned = 0

    async def turn() -> None:
        nonlocal turned
        while turned < 1000:
            await asyncio.sleep(0)
            turned += 1
        enough.set()

    async with running(ScriptedSuite(lambda _: assert_set(enough)), deadline_ms=30_000) as runner:
        ticking = asyncio.create_task(turn())
        scores = await runner.score_prompt(ask(LONG))
        await ticking
    assert scores.values == {"harm": 0.25}
    assert turned == 1000


def assert_set(event: threading.Event) -> None:
    assert event.wait(20)


async def test_late_work_is_missing_and_counted_and_the_next_is_served() -> None:
    release = threading.Event()
    suite = ScriptedSuite(lambda text: assert_set(release) if text.startswith("slow") else None)
    async with running(suite, deadline_ms=30) as runner:
        scores = await runner.score_prompt(ask("slow" + LONG))
        assert scores.missing == PROMPT_NAMES
        assert runner.counts.late == 1
        release.set()
        runner._deadline_s = 20
        assert (await runner.score_prompt(ask(LONG))).values == {"harm": 0.25}


async def test_work_nobody_waits_for_is_skipped() -> None:
    release, started = threading.Event(), threading.Event()

    def act(text: str) -> None:
        if text.startswith("first"):
            started.set()
            assert_set(release)

    suite = ScriptedSuite(act)
    async with running(suite, deadline_ms=20_000) as runner:
        first = asyncio.create_task(runner.score_prompt(ask("first" + LONG)))
        assert await asyncio.to_thread(started.wait, 20)
        gone = asyncio.create_task(runner.score_prompt(ask("gone" + LONG)))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        release.set()
        await first
        await runner.score_prompt(ask("last" + LONG))
    assert [text[:4] for text in suite.texts] == ["firs", "last"]


async def test_a_full_queue_sheds_and_counts() -> None:
    release, started = threading.Event(), threading.Event()

    def act(_: str) -> None:
        started.set()
        assert_set(release)

    async with running(ScriptedSuite(act), queue_size=1, deadline_ms=20_000) as runner:
        first = asyncio.create_task(runner.score_prompt(ask(LONG)))
        assert await asyncio.to_thread(started.wait, 20)
        second = asyncio.create_task(runner.score_prompt(ask(LONG)))
        await asyncio.sleep(0)
        assert runner.waiting == 1
        assert (await runner.score_prompt(ask(LONG))).missing == PROMPT_NAMES
        assert runner.counts.shed == 1
        release.set()
        assert (await first).values == (await second).values == {"harm": 0.25}


async def test_what_waits_together_comes_back_together_and_in_place() -> None:
    async with running(ScriptedSuite(), threads=2, deadline_ms=20_000) as runner:
        texts = ["x" * (6001 + i) for i in range(100)]
        scores = await asyncio.gather(*(runner.score_prompt(ask(text)) for text in texts))
    assert [one.scanned for one in scores] == [len(text) for text in texts]


async def test_closing_drops_what_waits_and_waits_for_what_runs() -> None:
    started = threading.Event()

    def act(_: str) -> None:
        started.set()
        time.sleep(0.05)

    runner = Runner(ScriptedSuite(act), deadline_ms=20_000)
    await runner.start()
    first = asyncio.create_task(runner.score_prompt(ask(LONG)))
    assert await asyncio.to_thread(started.wait, 20)
    second = asyncio.create_task(runner.score_prompt(ask(LONG)))
    await asyncio.sleep(0)
    await runner.close()
    assert (await first).values == {"harm": 0.25}
    assert (await second).missing == PROMPT_NAMES
    assert (await runner.score_prompt(ask(LONG))).missing == PROMPT_NAMES
    assert (await runner.score_prompt(ask("short"))).values == {"harm": 0.25}
    await runner.close()


async def test_very_many_empty_turns_are_long_too() -> None:
    suite = ScriptedSuite()
    async with running(suite) as runner:
        await runner.score_prompt(Conversation(tuple(Turn("user", "", place) for place in range(1000))))
        assert (runner.counts.inline, runner.counts.threaded) == (0, 1)
