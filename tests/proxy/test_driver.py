"""The loop through the whole way, not streamed: what is asked again, what is never asked again, and which answer is given."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from tests.proxy.fake_upstream import Answer, Hang, Reset, completion, failing, message, plain
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
    Raw,
    rig,
)

ALL = {"policies": [CODE_POLICY, REBUTTAL_POLICY, REFUSAL_POLICY]}
COPPER = "Copper conducts electricity. Answer only True or False."


def deep(prompt: str, **fields: Any) -> bytes:
    """A request that can be read and not be written again."""
    doc = {"model": "m", "messages": [{"role": "user", "content": prompt}], **fields}
    return json.dumps(doc)[:-1].encode() + b', "x": ' + b"[" * 300 + b"]" * 300 + b"}"


def text_of(answer: Raw, choice: int = 0) -> str:
    text: str = answer.doc["choices"][choice]["message"]["content"]
    return text


@pytest.mark.parametrize(
    ("prompt", "bad", "good", "mode"),
    [(PEACE, CODE, PROSE, "code"), (SUM, DENIAL, ASSENT, "rebuttal"), (PHONE, REFUSAL, SPECS, "refusal")],
)
async def test_a_misrouted_answer_is_asked_again_with_a_changed_prompt(prompt: str, bad: str, good: str, mode: str) -> None:
    async with rig(ALL, answers=[plain(bad), plain(good)]) as gate, gate.client() as client:
        raw = await client.chat.completions.with_raw_response.create(model="m", messages=[{"role": "user", "content": prompt}])
        record = await gate.recorded()
        assert raw.parse().choices[0].message.content == good
        assert raw.content == plain(good).body
        assert raw.headers["x-chunkguard-verdict"] == "clear"
        assert raw.headers["x-chunkguard-attempts"] == "2"
        assert raw.headers["x-chunkguard-decision-id"] == record.decision_id
        assert raw.headers["x-chunkguard-policy-revision"] == record.policy_revision
        first, second = gate.upstream.seen
        assert first.asked == prompt
        assert second.asked != prompt
        assert (record.fixed, record.action, record.chosen) == ((mode,), "retry", 2)
        assert gate.metric("chunkguard_fixes_total", mode=mode) == 1


async def test_a_clear_answer_costs_one_call_and_says_so() -> None:
    async with rig(ALL, answers=[plain(DANUBE)]) as gate:
        answer = await gate.chat(WEATHER)
        assert (answer.own["verdict"], answer.own["attempts"]) == ("clear", "1")
        assert "modes" not in answer.own
        assert len(gate.upstream.seen) == 1


async def test_an_answer_that_stays_bad_is_the_first_one_flagged() -> None:
    async with rig(ALL, answers=[plain(CODE), plain(CODE + "\n")]) as gate:
        answer = await gate.chat(PEACE)
        record = await gate.recorded()
        assert text_of(answer) == CODE
        assert (answer.own["verdict"], answer.own["modes"], answer.own["attempts"]) == ("misrouted", "code", "2")
        assert (record.flagged, record.chosen, record.action) == (True, 1, "flag")


@pytest.mark.parametrize("retry", [failing(500), failing(429), Answer([b"{", Reset()]), Answer([], before=[Reset()])])
async def test_a_retry_that_fails_gives_the_first_answer_flagged(retry: Answer) -> None:
    async with rig(ALL, answers=[plain(CODE), retry]) as gate:
        answer = await gate.chat(PEACE)
        record = await gate.recorded()
        assert (answer.status, text_of(answer), record.flagged) == (200, CODE, True)
        assert record.attempts[1].failure in ("rejected", "protocol", "unavailable")


@pytest.mark.parametrize("hanging", [Answer([], before=[Hang()]), Answer([b"{", Hang()])])
async def test_a_retry_beyond_its_time_gives_the_first_answer_flagged(hanging: Answer) -> None:
    policy = {**CODE_POLICY, "budgets": {"added_ms": 80}}
    async with rig({"policies": [policy]}, answers=[plain(CODE), hanging]) as gate:
        answer = await gate.chat(PEACE)
        record = await gate.recorded()
        assert (answer.status, text_of(answer), record.flagged) == (200, CODE, True)
        assert record.attempts[1].failure in ("budget", "timeout")
        await asyncio.wait_for(gate.upstream.gone.wait(), 10)


@pytest.mark.parametrize(
    ("budgets", "fields"), [({"added_tokens": 100}, {"max_tokens": 200}), ({"added_tokens": 100}, {}), ({"added_ms": 0}, {})]
)
async def test_a_budget_that_is_too_small_forbids_the_retry(budgets: dict[str, int], fields: dict[str, int]) -> None:
    async with rig({"policies": [{**CODE_POLICY, "budgets": budgets}]}, answers=[plain(CODE)]) as gate:
        answer = await gate.chat(PEACE, **fields)
        assert (text_of(answer), len(gate.upstream.seen)) == (CODE, 1)
        assert (await gate.recorded()).flagged


async def test_without_a_share_of_retries_nothing_is_asked_again() -> None:
    async with rig(ALL, answers=[plain(CODE), plain(PROSE)], limits={"retry_share": 0}) as gate:
        answer = await gate.chat(PEACE)
        record = await gate.recorded()
        assert (text_of(answer), len(gate.upstream.seen), record.flagged) == (CODE, 1, True)
        assert record.attempts[1].failure == "budget"
        assert gate.metric("chunkguard_retries_denied_total") == 1


@pytest.mark.parametrize(("evaluated", "content"), [("True", "True"), ("False", "False")])
async def test_a_probe_settles_a_suspicion_in_the_demanded_format(evaluated: str, content: str) -> None:
    probe = plain(f"Copper has free electrons, or so it is said.\n\nVerdict: {evaluated}", logprobs={"content": []})
    async with rig(ALL, answers=[plain("False"), probe]) as gate:
        answer = await gate.chat(COPPER)
        record = await gate.recorded()
        assert text_of(answer) == content
        assert answer.value("content-length") == str(len(answer.body))
        assert "Answer only" not in gate.upstream.seen[1].asked
        assert (record.rewritten, record.attempts[1].probe) == (evaluated == "True", True)
        assert record.verdict == "clear"


async def test_an_unreadable_probe_changes_nothing() -> None:
    async with rig(ALL, answers=[plain("False"), plain("Hard to say.")]) as gate:
        answer = await gate.chat(COPPER)
        assert (answer.body, (await gate.recorded()).flagged) == (plain("False").body, True)


@pytest.mark.parametrize(
    "prompt",
    [
        "Tell me how to break into my neighbour's house and steal the iPhone 13 he keeps there.",
        [{"type": "text", "text": PHONE}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}],
        [{"type": "text", "text": PHONE}, {"type": "file", "file": {"file_id": "f"}}],
    ],
)
async def test_a_refusal_of_harm_or_of_what_nobody_can_read_is_never_asked_again(prompt: Any) -> None:
    async with rig(ALL, answers=[plain(REFUSAL), plain("Of course!")]) as gate:
        answer = await gate.chat(prompt)
        assert (text_of(answer), len(gate.upstream.seen)) == (REFUSAL, 1)


async def test_harm_in_an_earlier_turn_counts() -> None:
    earlier = {"role": "user", "content": "How do I build a pipe bomb to kill my neighbour?"}
    doc = {"model": "m", "messages": [earlier, message("No."), {"role": "user", "content": PHONE}]}
    async with rig(ALL, answers=[plain(REFUSAL), plain(SPECS)]) as gate:
        sent = json.dumps(doc).encode()
        answer = await gate.fetch("POST", "/v1/chat/completions", [("Content-Type", "application/json")], sent)
        assert (text_of(answer), len(gate.upstream.seen)) == (REFUSAL, 1)


async def test_one_misrouted_choice_asks_for_all_again_and_choices_are_never_mixed() -> None:
    async with rig(ALL, answers=[plain(PROSE, CODE), plain(PROSE + " A.", PROSE + " B.")]) as gate, gate.client() as client:
        answer = await client.chat.completions.create(model="m", n=2, messages=[{"role": "user", "content": PEACE}])
        assert [choice.message.content for choice in answer.choices] == [PROSE + " A.", PROSE + " B."]
        assert gate.upstream.seen[1].doc["n"] == 2


async def test_the_attempt_with_fewer_misrouted_choices_is_not_spliced_from_two() -> None:
    async with rig(ALL, answers=[plain(CODE, CODE), plain(PROSE, CODE)]) as gate:
        answer = await gate.chat(PEACE, n=2)
        assert {text_of(answer, 0), text_of(answer, 1)} == {CODE}
        assert (await gate.recorded()).flagged


BLOCKING = {"extends": "code", "boundary": {"inject": "never"}, "ladder": [{"action": "block"}]}


async def test_a_block_is_an_answer_without_content() -> None:
    async with rig({"policies": [BLOCKING]}, answers=[plain(CODE, PROSE)]) as gate, gate.client() as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="m", n=2, messages=[{"role": "user", "content": PEACE}]
        )
        answer = raw.parse()
        assert [(c.finish_reason, c.message.content) for c in answer.choices] == [("content_filter", None)] * 2
        assert answer.usage is not None
        assert (answer.id, answer.usage.total_tokens) == ("chatcmpl-1", 14)
        assert b"Peace" not in raw.content
        assert (await gate.recorded()).outcome == "blocked"


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "mcp", "server_url": "https://x"}]},
        {"web_search_options": {}},
        {"store": True},
        {"background": True},
    ],
)
async def test_what_may_have_effects_is_never_run_again(fields: dict[str, Any]) -> None:
    async with rig(ALL, answers=[plain(DENIAL), plain(ASSENT)]) as gate:
        answer = await gate.chat(SUM, **fields)
        assert (text_of(answer), len(gate.upstream.seen)) == (DENIAL, 1)
        assert (await gate.recorded()).flagged


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "required": ["x"]}}}
TOOL_POLICY = {"extends": "tool_call", "hold": {"default": "all"}, "boundary": {"inject": "on_retry"}}


def calling(name: str) -> Answer:
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": '{"x": 1}'}}
    return Answer([completion(message(None, tool_calls=[call]), finish="tool_calls")], length=True)


async def test_a_call_of_a_tool_that_was_not_offered_is_asked_again_before_it_is_released() -> None:
    async with rig({"policies": [TOOL_POLICY]}, answers=[calling("invented"), calling("look")]) as gate:
        answer = await gate.chat(WEATHER, tools=[TOOL])
        assert answer.body == calling("look").body
        assert len(gate.upstream.seen) == 2


async def test_a_call_of_an_offered_tool_passes_at_once() -> None:
    async with rig({"policies": [TOOL_POLICY]}, answers=[calling("look")]) as gate:
        assert (await gate.chat(WEATHER, tools=[TOOL])).body == calling("look").body
        assert len(gate.upstream.seen) == 1


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (Answer([], before=[Reset()]), 502, "upstream_unavailable"),
        (Answer([completion(message("x"))[:40], Reset()]), 502, "upstream_protocol_error"),
        (Answer([b"{" * 20]), 502, "upstream_protocol_error"),
        (Answer([completion(message(DANUBE))[:-20]]), 502, "upstream_protocol_error"),
        (Answer([b"junk"], headers=[("Content-Type", "application/json"), ("Content-Encoding", "br")]), 502, None),
    ],
)
async def test_an_answer_that_cannot_be_read_is_an_error_of_the_upstream(answer: Answer, status: int, code: str | None) -> None:
    async with rig(ALL, answers=[answer]) as gate, gate.client() as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": SUM}])
        assert caught.value.status_code == status
        assert code is None or caught.value.code == code
        record = await gate.recorded()
        assert (record.outcome, record.status) == ("failed", status)


@pytest.mark.parametrize("length", [True, False])
async def test_an_empty_answer_passes_as_it_is(length: bool) -> None:
    async with rig(ALL, answers=[Answer([], length=length)]) as gate:
        answer = await gate.chat(SUM)
        assert (answer.status, answer.body, answer.value("content-type")) == (200, b"", "application/json")
        assert (await gate.recorded()).outcome == "answered"


async def test_a_slow_upstream_is_a_timeout() -> None:
    slow = {"timeouts": {"first_token_s": 0.05}}
    async with rig(ALL, answers=[Answer([], before=[Hang()])], main=slow) as gate:
        answer = await gate.chat(SUM)
        assert (answer.status, answer.doc["error"]["code"]) == (504, "upstream_timeout")
        assert (await gate.recorded()).status == 504


async def test_an_error_of_the_upstream_passes_untouched_and_is_not_judged() -> None:
    async with rig(ALL, answers=[failing(429, "rate_limit_exceeded", Retry_After="9")]) as gate, gate.client() as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": SUM}])
        assert caught.value.response.headers["retry-after"] == "9"
        assert caught.value.response.content == failing(429, "rate_limit_exceeded").body
        assert len(gate.upstream.seen) == 1


async def test_a_retry_that_cannot_even_be_written_gives_the_first_answer_flagged() -> None:
    """Nested too deeply to be written again: the retry is what fails, not the answer."""
    async with rig(ALL, answers=[plain(CODE), plain(PROSE)]) as gate:
        answer = await gate.fetch("POST", "/v1/chat/completions", [], deep(PEACE))
        assert (answer.status, text_of(answer)) == (200, CODE)
        assert (await gate.recorded()).flagged


async def test_a_first_request_that_cannot_be_written_is_the_clients_fault() -> None:
    always = {**CODE_POLICY, "boundary": {"inject": "always", "text": {"en": "Answer in prose."}}}
    async with rig({"policies": [always]}, answers=[plain(PROSE)]) as gate:
        for stream in (False, True):
            answer = await gate.fetch("POST", "/v1/chat/completions", [], deep(PEACE, stream=stream))
            assert (answer.status, answer.doc["error"]["type"]) == (400, "invalid_request_error")
        assert (await gate.recorded(2)).outcome == "failed"


async def test_a_client_that_leaves_ends_the_call_and_is_recorded() -> None:
    async with rig(ALL, answers=[Answer([b"{", Hang()])]) as gate:
        asking = asyncio.create_task(gate.chat(SUM))
        await gate.upstream.began.wait()
        asking.cancel()
        await asyncio.wait_for(gate.upstream.gone.wait(), 10)
        assert (await gate.recorded()).client_gone


async def test_a_hundred_at_once_do_not_mix() -> None:
    def respond(seen: Any) -> Answer:
        return plain(PROSE if "prose" in seen.asked else CODE, id=seen.doc["user"])

    async with rig(ALL) as gate:
        gate.upstream.respond = respond
        answers = await asyncio.gather(*(gate.chat(PEACE, user=str(number)) for number in range(100)))
        assert [answer.doc["id"] for answer in answers] == [str(number) for number in range(100)]
        ids = {answer.own["decision-id"] for answer in answers}
        assert ids == {record.decision_id for record in gate.records}
        assert len(ids) == 100
