"""Conversations of many turns through the guard: what reaches the model, turn for turn, and what an application gets to keep.

One rule: requests are compared with what the client sent, message for message; only what a policy may change differs.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from tests.proxy.apis import MESSAGES, RESPONSES, Api
from tests.proxy.fake_upstream import Answer, completion, event, message, plain
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, DENIAL, PEACE, PROSE, SUM, WEATHER, Raw, Rig, rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALWAYS: dict[str, Any] = {"extends": "code", "boundary": {"inject": "always", "placement": "system_append"}}
TRIGGERED: dict[str, Any] = {"extends": "code", "boundary": {"inject": "on_trigger"}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"x": {}}}}}
SENT = [("Content-Type", "application/json")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Rig]:
    def under(name: str, *policies: Any, **fields: Any) -> dict[str, Any]:
        return {"name": name, "match": {"path_prefix": f"/{name}"}, "policies": list(policies), **fields}

    shipped = ["code", "rebuttal", "tool_call", "math"]
    async with rig(
        under("retry", CODE_POLICY),
        under("always", ALWAYS),
        under("trigger", TRIGGERED),
        under("shipped", *shipped),
        under("never", ALWAYS, "rebuttal", injection="never"),
        under("user", ALWAYS, injection="user_turn"),
        limits={"retry_share": 1},
    ) as running:
        yield running


async def chat(gate: Rig, prefix: str, messages: list[Any], **fields: Any) -> Raw:
    body = json.dumps({"model": "m", "messages": messages, **fields}).encode()
    return await gate.fetch("POST", f"/{prefix}/v1/chat/completions", SENT, body)


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def history(turns: int) -> list[dict[str, Any]]:
    """So many turns of both, each with its own number."""
    asked = [[user(f"Question {n}: which river runs through town {n}?"), assistant(f"River {n}.")] for n in range(turns // 2)]
    return [message for pair in asked for message in pair]


def differing(sent: list[Any], got: list[Any]) -> list[int]:
    assert len(sent) == len(got)
    return [place for place, (one, two) in enumerate(zip(sent, got, strict=True)) if one != two]


# ---- long histories and agents


async def test_two_hundred_turns_arrive_as_they_were_sent(gate: Rig) -> None:
    gate.upstream.set(plain(DANUBE))
    messages = [*history(200), user(WEATHER)]
    await chat(gate, "shipped", messages)
    assert gate.upstream.seen[0].doc["messages"] == messages


async def test_of_two_hundred_turns_a_retry_changes_the_last_only(gate: Rig) -> None:
    gate.upstream.set(plain(CODE), plain(PROSE))
    messages = [*history(200), user(PEACE)]
    answer = await chat(gate, "retry", messages)
    assert answer.doc["choices"][0]["message"]["content"] == PROSE
    first, second = gate.upstream.seen
    assert first.doc["messages"] == messages
    assert differing(messages, second.doc["messages"]) == [200]


async def test_an_agent_loop_keeps_its_calls_and_results(gate: Rig) -> None:
    """Four rounds of calls; every request up is what the client sent, whatever the tools returned."""
    results = ["def f(): ...", "I cannot help with that.", DENIAL, "Traceback (most recent call last): x"]
    messages: list[Any] = [
        {"role": "system", "content": "Use tools."},
        user("Look it up four times, then say which river it is."),
    ]
    for number, result in enumerate(results):
        call = {"id": f"c{number}", "type": "function", "function": {"name": "look", "arguments": json.dumps({"x": number})}}
        gate.upstream.set(Answer([completion(message(None, tool_calls=[call]), finish="tool_calls")], length=True))
        answer = await chat(gate, "shipped", messages, tools=[TOOL])
        (seen,) = gate.upstream.seen
        assert seen.doc["messages"] == messages
        got = answer.doc["choices"][0]["message"]
        assert got["tool_calls"] == [call]
        messages += [got, {"role": "tool", "tool_call_id": f"c{number}", "content": result}]
    gate.upstream.set(plain(DANUBE))
    answer = await chat(gate, "shipped", messages, tools=[TOOL])
    assert (len(gate.upstream.seen), gate.upstream.seen[0].doc["messages"]) == (1, messages)
    assert answer.doc["choices"][0]["message"]["content"] == DANUBE


async def test_after_a_released_tool_call_nothing_is_asked_again(gate: Rig) -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"x":1}'}}
    events = [event({"role": "assistant", "tool_calls": [call]}), event({"content": CODE}), event({}, finish="tool_calls")]
    gate.upstream.set(Answer([*events, b"data: [DONE]\n\n"], headers=[("Content-Type", "text/event-stream")]))
    answer = await chat(gate, "shipped", [user(WEATHER)], tools=[TOOL], stream=True)
    assert (len(gate.upstream.seen), b'"c1"' in answer.body) == (1, True)


# ---- roles


async def test_a_prefill_stays_last(gate: Rig) -> None:
    gate.upstream.set(plain(CODE), plain(PROSE))
    messages = [user(PEACE), assistant("Peace is")]
    await chat(gate, "retry", messages)
    first, second = gate.upstream.seen
    assert first.doc["messages"] == messages
    assert differing(messages, second.doc["messages"]) == [0]
    gate.upstream.set(plain(DANUBE))
    await chat(gate, "always", messages)
    system, *rest = gate.upstream.seen[0].doc["messages"]
    assert (system["role"], rest) == ("system", messages)


@pytest.mark.parametrize("role", ["system", "developer"])
async def test_the_operators_role_is_kept_and_its_text_comes_first(gate: Rig, role: str) -> None:
    gate.upstream.set(plain(DANUBE))
    messages = [{"role": role, "content": "Be kind."}, user(WEATHER)]
    await chat(gate, "always", messages)
    got = gate.upstream.seen[0].doc["messages"]
    assert differing(messages, got) == [0]
    assert got[0]["role"] == role
    assert got[0]["content"].startswith("Be kind.")


async def test_system_messages_in_the_middle_stay_as_they_are(gate: Rig) -> None:
    middle = {"role": "system", "content": "From now on speak of rivers."}
    messages = [{"role": "system", "content": "Be kind."}, *history(4), middle, user(PEACE)]
    gate.upstream.set(plain(CODE), plain(PROSE))
    await chat(gate, "retry", messages)
    assert differing(messages, gate.upstream.seen[1].doc["messages"]) == [6]
    gate.upstream.set(plain(DANUBE))
    await chat(gate, "always", messages)
    assert differing(messages, gate.upstream.seen[0].doc["messages"]) == [0]


async def test_pictures_and_sound_stay_beside_the_changed_text(gate: Rig) -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "text", "text": PEACE},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f1"}},
    ]
    gate.upstream.set(plain(CODE), plain(PROSE))
    await chat(gate, "retry", [user(parts)])
    first, second = gate.upstream.seen
    assert first.doc["messages"] == [user(parts)]
    got = second.doc["messages"][0]["content"]
    assert [part for part in got if part["type"] != "text"] == [part for part in parts if part["type"] != "text"]
    assert [part["type"] for part in got] == [part["type"] for part in parts]
    assert "Elucidate" not in json.dumps(got)


# ---- fields

FIELDS: dict[str, Any] = {
    "n": 2, "logprobs": True, "top_logprobs": 2, "seed": 12345678901234567890, "temperature": 0.30000000000000004,
    "top_p": 0.5, "stop": ["x"], "max_completion_tokens": 700, "reasoning_effort": "high", "presence_penalty": 0.1, "user": "u",
    "tool_choice": "auto", "tools": [TOOL], "parallel_tool_calls": False, "verbosity": "low", "prompt_cache_key": "k",
    "service_tier": "flex", "x_new": {"a": [1.50, None]},
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": {"type": "object"}}},
}  # fmt: skip


async def test_a_retry_keeps_every_field(gate: Rig) -> None:
    denial, assent = plain(DENIAL, DENIAL), plain("Yes, 5 + 8 = 13.", "Yes, 5 + 8 = 13.")
    fields = {name: value for name, value in FIELDS.items() if name != "response_format"}
    gate.upstream.set(denial, assent)
    answer = await chat(gate, "shipped", [user(SUM)], **fields)
    assert len(answer.doc["choices"]) == 2
    first, second = gate.upstream.seen
    kept = [(key, value) for key, value in json.loads(second.body, parse_float=str).items() if key != "messages"]
    assert kept == [(key, value) for key, value in json.loads(first.body, parse_float=str).items() if key != "messages"]
    assert first.doc["messages"] != second.doc["messages"]


async def test_a_retry_keeps_the_demanded_form_and_takes_no_broken_one(gate: Rig) -> None:
    """The first retry is no JSON: an answer that breaks the form is worse than any that keeps it."""
    denied, affirmed = json.dumps({"answer": DENIAL}), json.dumps({"answer": "Yes, 5 + 8 = 13."})
    for answers, wanted in (((denied, affirmed), affirmed), ((denied, "Yes, 5 + 8 = 13."), denied)):
        gate.upstream.set(*map(plain, answers))
        answer = await chat(gate, "shipped", [user(SUM)], response_format=FIELDS["response_format"])
        assert {json.dumps(seen.doc["response_format"]) for seen in gate.upstream.seen} == {
            json.dumps(FIELDS["response_format"])
        }
        assert answer.doc["choices"][0]["message"]["content"] == wanted


async def test_reasoning_text_is_held_with_the_answer_and_kept(gate: Rig) -> None:
    thought = message(PROSE, reasoning_content="Elucidating... class Peace: pass")
    gate.upstream.set(
        Answer([completion(message(CODE, reasoning_content="hm"))], length=True), Answer([completion(thought)], length=True)
    )
    answer = await chat(gate, "retry", [user(PEACE)], max_completion_tokens=50)
    assert answer.doc["choices"][0]["message"] == thought
    assert {seen.doc["max_completion_tokens"] for seen in gate.upstream.seen} == {50}


# ---- prompt caches: the prefix of a conversation stays what it was


async def talk(gate: Rig, prefix: str, prompts: list[str], system: bool = True) -> list[list[Any]]:
    """A conversation whose client keeps what it got; the messages of each first request that reached the model."""
    messages: list[Any] = [{"role": "system", "content": "Be kind."}] if system else []
    told = []
    for prompt in prompts:
        messages.append(user(prompt))
        gate.upstream.set(plain(DANUBE))
        answer = await chat(gate, prefix, messages)
        told.append(gate.upstream.seen[0].doc["messages"])
        messages.append(answer.doc["choices"][0]["message"])
    return told


async def test_a_boundary_that_is_always_there_keeps_the_cached_prefix(gate: Rig) -> None:
    told = await talk(gate, "always", [f"{WEATHER} {n}" for n in range(6)])
    for earlier, later in pairwise(told):
        assert later[: len(earlier)] == earlier
    assert {request[0]["content"] for request in told} == {told[0][0]["content"]}


async def test_a_boundary_that_comes_and_goes_touches_nothing_before_the_last_turn(gate: Rig) -> None:
    prompts = [WEATHER, PEACE, WEATHER, PEACE]
    told = await talk(gate, "trigger", prompts)
    for number, request in enumerate(told):
        clients: list[Any] = [{"role": "system", "content": "Be kind."}]
        for prompt in prompts[:number]:
            clients += [user(prompt), message(DANUBE)]
        assert request[:-1] == clients
        assert (request[-1]["content"] != prompts[number]) == (prompts[number] == PEACE)


@pytest.mark.parametrize("api", [MESSAGES, RESPONSES], ids=lambda api: api.name)
async def test_other_apis_keep_their_prefix_too(gate: Rig, api: Api) -> None:
    name = "messages" if api is MESSAGES else "input"
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in history(10)]
    for prefix, prompt in (("always", WEATHER), ("trigger", PEACE)):
        gate.upstream.set(api.answer(DANUBE, False))
        doc = {**api.ask(prompt), name: [*turns, user(prompt)]}
        await gate.fetch("POST", f"/{prefix}{api.path}", SENT, json.dumps(doc).encode())
        got = gate.upstream.seen[0].doc
        # What is added stands in the system part or beside the last user turn; `always` may put a system item first.
        extra = len(got[name]) - len(doc[name])
        assert got[name][extra:][:-1] == turns
        assert extra == 0 or got[name][0]["role"] == "system"
        if "system" in doc:
            assert got["system"][: len(doc["system"])] == doc["system"]
            assert got["system"][0]["cache_control"] == {"type": "ephemeral"}


def turns_of(api: Api, name: str, turns: list[Any], **fields: Any) -> bytes:
    return json.dumps({**api.ask(WEATHER), name: turns, **fields}).encode()


OTHERS = pytest.mark.parametrize(("api", "name"), [(MESSAGES, "messages"), (RESPONSES, "input")], ids=["messages", "responses"])


@OTHERS
async def test_of_two_hundred_turns_of_other_apis_the_last_alone_is_changed(gate: Rig, api: Api, name: str) -> None:
    turns = [*history(200), user(PEACE)]
    gate.upstream.set(api.answer(CODE, False), api.answer(PROSE, False))
    answer = await gate.fetch("POST", f"/retry{api.path}", SENT, turns_of(api, name, turns))
    assert api.read(answer.doc) == PROSE
    first, second = gate.upstream.seen
    assert first.doc[name] == turns
    assert differing(turns, second.doc[name]) == [200]


async def test_a_prefill_of_messages_stays_last(gate: Rig) -> None:
    turns = [user(PEACE), assistant("Peace is")]
    gate.upstream.set(MESSAGES.answer(CODE, False), MESSAGES.answer(PROSE, False))
    await gate.fetch("POST", f"/retry{MESSAGES.path}", SENT, turns_of(MESSAGES, "messages", turns))
    assert differing(turns, gate.upstream.seen[1].doc["messages"]) == [0]


async def test_what_names_earlier_turns_is_kept_when_asked_again(gate: Rig) -> None:
    known = {"previous_response_id": "resp_0", "store": False, "include": ["reasoning.encrypted_content"], "truncation": "auto"}
    gate.upstream.set(RESPONSES.answer(CODE, False), RESPONSES.answer(PROSE, False))
    answer = await gate.fetch("POST", f"/retry{RESPONSES.path}", SENT, turns_of(RESPONSES, "input", [user(PEACE)], **known))
    assert RESPONSES.read(answer.doc) == PROSE
    assert len(gate.upstream.seen) == 2
    for seen in gate.upstream.seen:
        assert {name: seen.doc[name] for name in known} == known
    gate.upstream.set(RESPONSES.answer(CODE, False))
    kept = turns_of(RESPONSES, "input", [user(PEACE)], previous_response_id="resp_0", store=True)
    await gate.fetch("POST", f"/retry{RESPONSES.path}", SENT, kept)
    assert [seen.body for seen in gate.upstream.seen] == [kept]


# ---- injected text


async def test_injected_text_is_never_stacked_nor_echoed(gate: Rig) -> None:
    for prefix in ("always", "trigger"):
        told = await talk(gate, prefix, [PEACE] * 6)
        added = [text for text in json.dumps(told[0]).split('"') if "code" in text and len(text) > 60]
        assert added
        probe = max(added, key=len)[:60]
        assert {json.dumps(request).count(probe) for request in told} == {1}
    gate.upstream.set(plain(DANUBE))
    answer = await chat(gate, "always", [user(PEACE)], chunkguard={"report": True})
    assert probe not in json.dumps(answer.doc)


async def test_what_was_injected_is_reported_with_its_place(gate: Rig) -> None:
    gate.upstream.set(plain(CODE), plain(PROSE))
    answer = await chat(gate, "retry", [user(PEACE)], chunkguard={"report": True})
    first, second = answer.doc["chunkguard"]["attempts"]
    assert first["injected"] == []
    (added,) = second["injected"]
    assert added["placement"] == "last_user_prefix"
    assert added["characters"] >= 60


async def test_a_route_may_forbid_injection(gate: Rig) -> None:
    gate.upstream.set(plain(CODE), plain(PROSE))
    messages = [{"role": "system", "content": "Be kind."}, user(PEACE)]
    answer = await chat(gate, "never", messages, chunkguard={"report": True})
    assert answer.doc["choices"][0]["message"]["content"] == PROSE
    assert [attempt["injected"] for attempt in answer.doc["chunkguard"]["attempts"]] == [[], []]
    first, second = (seen.doc["messages"] for seen in gate.upstream.seen)
    assert first == messages
    assert second[0] == messages[0]
    assert len(second[1]["content"]) < len(PEACE) + 20  # its words are swapped, nothing stands before them
    gate.upstream.set(plain("False"))
    await chat(gate, "never", [user("Copper conducts electricity. Answer only True or False.")])
    assert len(gate.upstream.seen) == 1  # a probe would ask in words of ours


async def test_a_model_without_a_system_role_gets_it_in_the_users_turn(gate: Rig) -> None:
    for messages in ([user(WEATHER)], [*history(4), user(WEATHER)]):
        gate.upstream.set(plain(DANUBE))
        await chat(gate, "user", messages)
        got = gate.upstream.seen[0].doc["messages"]
        assert [turn["role"] for turn in got] == [turn["role"] for turn in messages]
        assert differing(messages, got) == [len(messages) - 1]
        assert got[-1]["content"].endswith(WEATHER)
