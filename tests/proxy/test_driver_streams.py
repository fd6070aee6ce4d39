"""The loop through the whole way, streamed: what is held, when it leaves, and how a stream ends whatever happens."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from tests.proxy.fake_upstream import DONE, SSE, Answer, Hang, Reset, Step, Wait, event, events, failing, streamed
from tests.proxy.rig import (
    ASSENT,
    CODE,
    CODE_POLICY,
    DANUBE,
    DENIAL,
    PEACE,
    PHONE,
    PROSE,
    REBUTTAL_POLICY,
    REFUSAL,
    REFUSAL_POLICY,
    SPECS,
    SUM,
    WEATHER,
    rig,
    texts_of,
    until,
)
from tests.proxy.test_driver import COPPER, deep

ALL = {"policies": [CODE_POLICY, REBUTTAL_POLICY, REFUSAL_POLICY]}
LONG = " ".join(["Vienna lies on the Danube and has many bridges over it."] * 12)
COMMENT = b": keep-alive\n\n"


def ask(prompt: str, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": True, **fields}


@pytest.mark.parametrize(
    ("prompt", "bad", "good", "hold"),
    [(PEACE, CODE, PROSE, "all"), (SUM, DENIAL, ASSENT, "prefix"), (PHONE, REFUSAL, SPECS, "prefix")],
)
async def test_a_misrouted_stream_is_asked_again_and_nothing_of_it_is_seen(prompt: str, bad: str, good: str, hold: str) -> None:
    async with rig(ALL, answers=[streamed(bad), streamed(good, usage=True)]) as gate:
        answer = await gate.chat(prompt, stream=True, stream_options={"include_usage": True})
        assert (answer.status, answer.broken) == (200, False)
        assert answer.body == streamed(good, usage=True).body
        record = await gate.recorded()
        assert (record.hold, record.chosen, record.verdict, record.streamed) == (hold, 2, "clear", True)


async def test_the_official_client_reads_it_like_any_other_stream() -> None:
    async with rig(ALL, answers=[streamed(CODE), streamed(PROSE, usage=True)]) as gate, gate.client() as client:
        stream = await client.chat.completions.create(**ask(PEACE), stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == PROSE
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.total_tokens == 14
        assert stream.response.headers["x-chunkguard-verdict"] == "clear"
        assert stream.response.headers["x-chunkguard-attempts"] == "2"


async def test_a_prefix_leaves_once_it_is_clear_and_the_rest_as_it_comes() -> None:
    rest = asyncio.Event()
    first, *others = events(LONG)
    answer = Answer([first, *others[:30], Wait(rest), *others[30:]], headers=SSE)
    async with rig(ALL, answers=[answer]) as gate:
        async with gate.session.post(f"{gate.origin}/v1/chat/completions", json=ask(WEATHER)) as response:
            assert response.headers["x-chunkguard-verdict"] == "pending"
            got = await response.content.readany()
            assert got.startswith(first)
            rest.set()
            assert got + await response.content.read() == answer.body
        assert (await gate.recorded()).hold == "prefix"


async def test_under_all_nothing_leaves_before_the_end() -> None:
    rest = asyncio.Event()
    *most, last, done = events(PROSE)
    async with rig(ALL, answers=[Answer([*most, last, Wait(rest), done], headers=SSE)]) as gate:
        asking = asyncio.create_task(gate.chat(PEACE, stream=True))
        await gate.upstream.began.wait()
        await asyncio.sleep(0.03)
        assert not asking.done()
        rest.set()
        assert (await asking).body == b"".join([*most, last, done])


async def test_a_prefix_is_judged_as_it_is_when_its_time_is_over() -> None:
    more = asyncio.Event()
    quick = {"extends": "rebuttal", "hold": {"default": {"kind": "prefix", "chars": 300, "timeout_ms": 30}}}
    slow = Answer([event({"content": "The Danube"}), Wait(more), event({}, finish="stop"), DONE], headers=SSE)
    async with rig({"policies": [quick]}, answers=[slow]) as gate:
        async with gate.session.post(f"{gate.origin}/v1/chat/completions", json=ask(WEATHER)) as response:
            assert b"The Danube" in await response.content.readany()
            more.set()
            await response.content.read()
        assert (await gate.recorded()).hold_expired
        assert gate.metric("chunkguard_holds_total", hold="prefix", expired="true") == 1


async def test_what_turns_bad_after_its_prefix_is_flagged_and_not_cut() -> None:
    late = {"extends": "refusal", "enforcement": "enforce", "hold": {"default": {"kind": "prefix", "chars": 5}}}
    answer = streamed("Well now, listen to me, my friend. I'm sorry, but I can't help with that. I cannot answer that.")
    async with rig({"policies": [late]}, answers=[answer]) as gate:
        assert (await gate.chat(PHONE, stream=True)).body == answer.body
        record = await gate.recorded()
        assert (len(record.attempts), record.flagged) == (1, record.verdict != "clear")


async def test_one_misrouted_choice_of_a_stream_asks_for_all_again() -> None:
    async with rig(ALL, answers=[streamed(ASSENT, DENIAL), streamed(ASSENT, ASSENT)]) as gate:
        answer = await gate.chat(SUM, stream=True, n=2)
        assert answer.body == streamed(ASSENT, ASSENT).body


async def test_a_probe_of_a_stream_answers_in_the_demanded_format() -> None:
    async with rig(ALL, answers=[streamed("False"), streamed("It has free electrons.\n\nVerdict: True")]) as gate:
        async with gate.client() as client:
            assert await texts_of(await client.chat.completions.create(**ask(COPPER))) == "True"
        assert (await gate.recorded()).rewritten


async def test_a_block_of_a_stream_ends_it_properly() -> None:
    policy = {"extends": "code", "boundary": {"inject": "never"}, "ladder": [{"action": "block"}]}
    async with rig({"policies": [policy]}, answers=[streamed(CODE, usage=True)]) as gate, gate.client() as client:
        chunks = [chunk async for chunk in await client.chat.completions.create(**ask(PEACE))]
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "content_filter"
        assert not any(c.choices[0].delta.content for c in chunks if c.choices)
        assert (await gate.recorded()).outcome == "blocked"


async def test_a_block_in_a_later_window_of_a_stream_of_known_length_still_ends_it() -> None:
    hold = {"kind": "window", "chars": 40, "context": 20}
    policy = {"extends": "refusal", "enforcement": "enforce", "hold": {"default": hold}}
    policy |= {"boundary": {"inject": "never"}, "ladder": [{"action": "block"}]}
    text = "It has many parts, and I could go on and on about it all day. " + "I'm sorry, but I can't help with that. " * 3
    async with rig({"policies": [policy]}, answers=[Answer(events(text), headers=SSE, length=True)]) as gate:
        answer = await gate.chat(PHONE, stream=True)
        record = await gate.recorded()
        assert (record.outcome, answer.broken) == ("blocked", False)
        assert answer.body.endswith(DONE)
        assert b"It has many" in answer.body
        assert b"content_filter" in answer.body
        assert b"sorry" not in answer.body


@pytest.mark.parametrize(
    "retry", [failing(503), Answer([*events(PROSE)[:3], Reset()], headers=SSE), Answer([], before=[Reset()])]
)
async def test_a_streamed_retry_that_fails_gives_the_first_answer(retry: Answer) -> None:
    async with rig(ALL, answers=[streamed(CODE), retry]) as gate:
        answer = await gate.chat(PEACE, stream=True)
        assert (answer.body, answer.broken) == (streamed(CODE).body, False)
        assert (await gate.recorded()).flagged


async def test_a_streamed_retry_that_cannot_even_be_written_gives_the_first_answer() -> None:
    async with rig(ALL, answers=[streamed(CODE), streamed(PROSE)]) as gate:
        answer = await gate.fetch("POST", "/v1/chat/completions", [], deep(PEACE, stream=True))
        assert answer.body == streamed(CODE).body


async def test_the_first_answer_goes_on_being_collected_beside_a_retry() -> None:
    """A retry that fails while the first answer is still on its way: the first one still reaches the client whole."""
    more = asyncio.Event()
    *most, done = events("No, 5 + 8 = 13 is incorrect. " * 15)
    async with rig(ALL) as gate:

        def respond(seen: Any) -> Answer:
            if seen.asked == SUM:
                return Answer([*most, Wait(more), done], headers=SSE)
            more.set()
            return failing(500)

        gate.upstream.respond = respond
        answer = await gate.chat(SUM, stream=True)
        assert (answer.body, answer.broken) == (b"".join([*most, done]), False)
        assert (await gate.recorded()).flagged


async def test_a_slow_retry_keeps_the_client_alive() -> None:
    more = asyncio.Event()
    answers = [streamed(CODE), streamed(PROSE, before=[Wait(more)])]
    async with rig(ALL, answers=answers, limits={"keepalive_s": 0.02}) as gate:
        async with gate.session.post(f"{gate.origin}/v1/chat/completions", json=ask(PEACE)) as response:
            got = await response.content.readany()
            while got.count(COMMENT) < 2:
                got += await response.content.readany()
            more.set()
            got += await response.content.read()
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        assert got.replace(COMMENT, b"") == streamed(PROSE).body
        assert (await gate.recorded()).chosen == 2


async def test_the_official_client_reads_past_keep_alives() -> None:
    more = asyncio.Event()
    answers = [streamed(CODE), streamed(PROSE, before=[Wait(more)])]
    async with rig(ALL, answers=answers, limits={"keepalive_s": 0.01}) as gate, gate.client() as client:
        stream = await client.chat.completions.create(**ask(PEACE))
        more.set()
        assert await texts_of(stream) == PROSE


async def test_a_retry_that_fails_after_a_keep_alive_gives_the_first_answer() -> None:
    more = asyncio.Event()
    answers = [streamed(CODE), Answer([], before=[Wait(more), Reset()])]
    async with rig(ALL, answers=answers, limits={"keepalive_s": 0.01}) as gate, gate.client() as client:
        stream = await client.chat.completions.create(**ask(PEACE))
        more.set()
        assert await texts_of(stream) == CODE


LATE_ERRORS: dict[str, tuple[list[Step], Answer | None]] = {
    "reset": ([Reset()], None),
    "status": ([], failing(429, "rate_limit_exceeded")),
}


@pytest.mark.parametrize("failure", LATE_ERRORS)
async def test_an_upstream_that_fails_after_a_keep_alive_is_an_error_event(failure: str) -> None:
    more = asyncio.Event()
    steps, answer = LATE_ERRORS[failure]
    late = Answer(
        answer.steps if answer else (),
        status=answer.status if answer else 200,
        headers=answer.headers if answer else SSE,
        before=[Wait(more), *steps],
    )
    async with rig(ALL, answers=[late], limits={"keepalive_s": 0.01}) as gate, gate.client() as client:
        stream = await client.chat.completions.create(**ask(PEACE))
        more.set()
        with pytest.raises(openai.APIError) as caught:
            await texts_of(stream)
        assert caught.value.code == ("upstream_unavailable" if failure == "reset" else "rate_limit_exceeded")


async def test_a_compressed_stream_after_a_keep_alive_is_sent_plain() -> None:
    """The head that went out with the comment names no content encoding."""
    import gzip

    more = asyncio.Event()
    packed = Answer([gzip.compress(b"".join(events(PROSE)))], headers=[*SSE, ("Content-Encoding", "gzip")], before=[Wait(more)])
    async with rig(ALL, answers=[packed], limits={"keepalive_s": 0.01}) as gate, gate.client() as client:
        stream = await client.chat.completions.create(**ask(PEACE))
        more.set()
        assert await texts_of(stream) == PROSE


async def test_a_reset_after_the_commit_breaks_the_stream_for_the_client() -> None:
    chunks = events(LONG)
    async with rig(ALL, answers=[Answer([*chunks[:40], Reset()], headers=SSE)]) as gate:
        answer = await gate.chat(WEATHER, stream=True)
        assert answer.broken
        assert b"".join(chunks[:40]).startswith(answer.body)
        record = await gate.recorded()
        assert (record.outcome, record.failure) == ("failed", "protocol")


@pytest.mark.parametrize("steps", [[Reset()], [event({"content": "The "}), Reset()]])
async def test_a_reset_before_the_commit_is_a_plain_error(steps: list[Step]) -> None:
    async with rig(ALL, answers=[Answer(steps, headers=SSE)]) as gate:
        answer = await gate.chat(WEATHER, stream=True)
        assert (answer.status, answer.doc["error"]["code"]) == (502, "upstream_protocol_error")


@pytest.mark.parametrize("steps", [[Reset()], [event({"content": "The "}), Reset()]])
async def test_a_relayed_stream_breaks_off_like_the_upstreams(steps: list[Step]) -> None:
    observed = {"extends": "code", "enforcement": "observe"}
    async with rig({"policies": [observed]}, answers=[Answer(steps, headers=SSE)]) as gate:
        answer = await gate.chat(WEATHER, stream=True)
        assert answer.broken
        assert answer.body == b"".join(step for step in steps if isinstance(step, bytes))


@pytest.mark.parametrize("prompt", [PEACE, WEATHER])
async def test_a_client_that_leaves_a_stream_ends_every_call(prompt: str) -> None:
    async with rig(ALL, answers=[Answer([*events(LONG)[:40], Hang()], headers=SSE)]) as gate:
        asking = asyncio.create_task(gate.chat(prompt, stream=True))
        await gate.upstream.began.wait()
        await asyncio.sleep(0.02)
        asking.cancel()
        await asyncio.wait_for(gate.upstream.gone.wait(), 10)
        record = await gate.recorded()
        assert (record.client_gone, record.outcome) == (True, "client_gone")


async def test_a_client_that_leaves_during_a_retry_ends_the_retry() -> None:
    hanging = Answer([], before=[Hang()])
    async with rig(ALL, answers=[streamed(CODE), hanging]) as gate:
        asking = asyncio.create_task(gate.chat(PEACE, stream=True))
        await until(lambda: len(gate.upstream.seen) == 2)
        asking.cancel()
        await asyncio.wait_for(gate.upstream.gone.wait(), 10)
        assert (await gate.recorded()).client_gone


TOOL_POLICY = {"extends": "tool_call", "hold": {"default": {"kind": "prefix", "chars": 20}}}
CALLING = [
    event({"role": "assistant", "content": None, "tool_calls": [{"index": 0, "id": "c", "function": {"name": "look"}}]}),
    event({"tool_calls": [{"index": 0, "function": {"arguments": '{"x": 1}'}}]}),
    event({}, finish="tool_calls"),
    DONE,
]


async def test_a_streamed_tool_call_is_held_until_it_is_complete() -> None:
    more = asyncio.Event()
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    answer = Answer([*CALLING[:2], Wait(more), *CALLING[2:]], headers=SSE)
    async with rig(ALL, answers=[answer]) as gate:
        asking = asyncio.create_task(gate.chat(WEATHER, stream=True, tools=[tool]))
        await gate.upstream.began.wait()
        await asyncio.sleep(0.02)
        assert not asking.done()
        more.set()
        assert (await asking).body == answer.body
        assert len(gate.upstream.seen) == 1


async def test_nothing_is_run_again_after_a_tool_call_was_released() -> None:
    bad = [event({"content": LONG}), *CALLING[:2], event({"content": DENIAL}), *CALLING[2:]]
    async with rig(ALL, answers=[Answer(bad, headers=SSE)]) as gate:
        assert (await gate.chat(SUM, stream=True)).body == b"".join(bad)
        assert len(gate.upstream.seen) == 1


async def test_a_plain_answer_to_a_request_for_a_stream_passes_as_it_is() -> None:
    answer = Answer([json.dumps({"choices": [{"index": 0, "message": {"content": DANUBE}, "finish_reason": "stop"}]}).encode()])
    async with rig(ALL, answers=[answer]) as gate:
        got = await gate.chat(WEATHER, stream=True)
        assert (got.body, got.value("content-type")) == (answer.body, "application/json")


async def test_a_slow_reader_of_a_long_stream_gets_all_of_it() -> None:
    long = Answer([event({"content": "word " * 400}) for _ in range(600)] + [event({}, finish="stop"), DONE], headers=SSE)
    async with rig(ALL, answers=[long]) as gate:
        got = b""
        async with gate.session.post(f"{gate.origin}/v1/chat/completions", json=ask(WEATHER)) as response:
            while chunk := await response.content.read(20_000):
                got += chunk
                await asyncio.sleep(0)
        assert got == long.body


async def test_a_hundred_streams_at_once_do_not_mix() -> None:
    """Some clear, some asked again, some given up by their client."""

    def respond(seen: Any) -> Answer:
        number = int(seen.doc["user"])
        if number % 3 == 1 and seen.asked == PEACE:
            return streamed(CODE)
        return Answer([*events(f"{PROSE} {number}.")[:-1], *([Hang()] if number % 3 == 2 else [DONE])], headers=SSE)

    async with rig(ALL) as gate:
        gate.upstream.respond = respond
        asking = [asyncio.create_task(gate.chat(PEACE, stream=True, user=str(number))) for number in range(100)]
        await until(lambda: sum(task.done() for task in asking) == 67)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        for number in range(100):
            if number % 3 != 2:
                kept = [streamed(CODE).body] * (number % 3)  # the share of retries is used up by then
                assert asking[number].result().body in [streamed(f"{PROSE} {number}.").body, *kept]
        await gate.recorded(100)
        assert sum(record.client_gone for record in gate.records) == 33
        assert sum(record.fixed == ("code",) for record in gate.records) in range(20, 34)


async def test_nothing_is_left_running_when_all_is_answered() -> None:
    async with rig(ALL, answers=[streamed(CODE), streamed(PROSE)], limits={"keepalive_s": 0.01}) as gate:
        before = len(asyncio.all_tasks())
        await gate.chat(PEACE, stream=True)
        gate.upstream.set(streamed(CODE), failing(500))
        await gate.chat(PEACE, stream=True)
        await gate.recorded(2)
        await until(lambda: len(asyncio.all_tasks()) <= before + 4)  # open connections have theirs
