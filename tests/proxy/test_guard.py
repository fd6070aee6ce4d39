"""One record a request, whatever became of it; holdout, fail_closed, and what may never be written down."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from typing import Any

import openai
import orjson
import pytest

from core.types import Scores
from detectors.combine import JUDGES
from detectors.suite import Suite
from proxy.json_log import LOGGED
from tests.proxy.fake_upstream import Answer, Hang, Reset, completion, events, failing, message, plain, streamed
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, DENIAL, PEACE, PROSE, REBUTTAL_POLICY, SUM, WEATHER, rig, texts_of, until

ALL = {"policies": [CODE_POLICY, REBUTTAL_POLICY]}
OBSERVE = {"policies": [{"extends": "code", "enforcement": "observe"}]}
CLOSED = {**REBUTTAL_POLICY, "failure_mode": "fail_closed"}
#: Too long for the event loop, so that a worker thread scores it.
LONG = "Vienna lies on the Danube, as everybody knows. " * 300


def crash(monkeypatch: pytest.MonkeyPatch, *, after: int = 0) -> None:
    """The detector of rebuttals raises from its call number `after` on."""
    judge, calls = JUDGES["rebuttal"], itertools.count()

    def broken(case: Any) -> Any:
        if next(calls) >= after:
            raise RuntimeError(SUM)
        return judge(case)

    monkeypatch.setattr("detectors.suite.JUDGES", {**JUDGES, "rebuttal": broken})


@pytest.mark.parametrize(
    ("route", "answer", "prompt", "outcome", "status"),
    [
        (ALL, plain(DANUBE), WEATHER, "answered", 200),
        (ALL, Answer([], before=[Reset()]), SUM, "failed", 502),
        (ALL, failing(429), SUM, "relayed", 429),
        (OBSERVE, plain(DANUBE), WEATHER, "relayed", 200),
        (OBSERVE, Answer([b"no json"]), WEATHER, "relayed", 200),
        (OBSERVE, Answer([], before=[Reset()]), WEATHER, "failed", 502),
    ],
)
async def test_every_end_is_recorded_once(
    route: dict[str, Any], answer: Answer, prompt: str, outcome: str, status: int
) -> None:
    async with rig(route, answers=[answer]) as gate:
        got = await gate.chat(prompt)
        record = await gate.recorded()
        assert (record.outcome, record.status, got.status) == (outcome, status, status)
        assert record.decision_id == got.own["decision-id"]
        assert gate.metric("chunkguard_requests_total", outcome=outcome) == 1


async def test_log_and_metrics_say_what_the_record_says() -> None:
    async with rig(ALL, answers=[plain(CODE), plain(PROSE)]) as gate:
        await gate.chat(PEACE)
        record = await gate.recorded()
        (line,) = [entry for entry in map(orjson.loads, gate.log.getvalue().splitlines()) if entry["event"] == "decision"]
        assert line.keys() == {"level", "event", *LOGGED}
        assert (line["decision_id"], line["verdict"], line["fixed"]) == (record.decision_id, "clear", ["code"])
        assert gate.metric("chunkguard_attempts_total") == len(record.attempts) == 2
        assert gate.metric("chunkguard_triggers_total", trigger="formal_vocabulary") == 1
        assert record.seconds.total >= record.seconds.upstream > 0


async def test_what_is_observed_is_judged_afterwards_and_changes_nothing() -> None:
    async with rig(OBSERVE, answers=[plain(CODE)]) as gate:
        answer = await gate.chat(PEACE)
        record = await gate.recorded()
        assert (answer.body, answer.own.keys()) == (plain(CODE).body, {"decision-id"})
        assert (record.verdict, record.modes, record.outcome, record.flagged) == ("misrouted", ("code",), "relayed", False)
        gate.upstream.set(streamed(CODE))
        await gate.chat(PEACE, stream=True)
        assert (await gate.recorded(2)).modes == ("code",)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_observed_prompt_is_scored_when_its_answer_has_left(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[int] = []
    score = Suite.score_prompt

    async with rig(OBSERVE, answers=[streamed(CODE) if stream else plain(CODE)]) as gate:

        def late(self: Suite, conversation: Any) -> Scores:
            scored.append(len(gate.upstream.seen))
            return score(self, conversation)

        monkeypatch.setattr(Suite, "score_prompt", late)
        await gate.chat(PEACE, stream=stream)
        record = await gate.recorded()
        assert scored == [1]
        assert (record.modes, [place.name for place in record.triggers]) == (("code",), ["formal_vocabulary"])
        assert gate.metric("chunkguard_triggers_total", trigger="formal_vocabulary") == 1


@pytest.mark.parametrize("answer", [failing(429), Answer([], before=[Reset()])], ids=["rejected", "lost"])
async def test_an_observed_prompt_is_scored_although_there_is_no_answer(answer: Answer) -> None:
    async with rig(OBSERVE, answers=[answer]) as gate:
        await gate.chat(PEACE)
        record = await gate.recorded()
        assert [place.name for place in record.triggers] == ["formal_vocabulary"]
        assert (record.verdict, record.scans) == ("unjudged", 0)


@pytest.mark.parametrize("report", [True, False])
@pytest.mark.parametrize("stream", [True, False])
async def test_tokens_of_a_relayed_answer_are_those_its_upstream_reported(stream: bool, report: bool) -> None:
    given = streamed(DANUBE, usage=True) if stream else plain(DANUBE)
    async with rig({**OBSERVE, "report": report}, answers=[given]) as gate:
        await gate.chat(WEATHER, stream=stream)
        record = await gate.recorded()
        assert (record.outcome, record.tokens_estimated) == ("relayed", False)
        assert (record.prompt_tokens, record.completion_tokens) == (9, 5)
        assert gate.metric("chunkguard_tokens_total", kind="prompt", sent="true") == 9
        assert gate.metric("chunkguard_tokens_total", kind="completion", sent="true") == 5


async def test_tokens_of_a_relayed_answer_that_reports_none_are_estimated_from_its_text() -> None:
    async with rig(OBSERVE, answers=[streamed(DANUBE)]) as gate:
        await gate.chat(WEATHER, stream=True)
        record = await gate.recorded()
        assert (record.prompt_tokens, record.completion_tokens) == (0, -(-len(DANUBE) // 4))
        assert record.tokens_estimated


async def test_the_holdout_is_judged_and_not_acted_on() -> None:
    async with rig(ALL, answers=[plain(CODE), plain(PROSE)], limits={"holdout": 0.3}) as gate:
        chances = iter([0.29, 0.31])
        gate.app.gateway.guard.chance = lambda: next(chances)
        answer = await gate.chat(PEACE)
        record = await gate.recorded()
        assert (answer.body, len(gate.upstream.seen)) == (plain(CODE).body, 1)
        assert (record.holdout, record.verdict) == (True, "misrouted")
        gate.upstream.set(plain(CODE), plain(PROSE))
        assert (await gate.chat(PEACE)).body == plain(PROSE).body
        assert not (await gate.recorded(2)).holdout
        assert gate.metric("chunkguard_holdout_total", verdict="misrouted") == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_a_crashed_detector_of_a_policy_that_fails_closed_withholds_the_answer(
    stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(monkeypatch)
    async with rig({"policies": [CLOSED]}, answers=[streamed(DANUBE) if stream else plain(DANUBE)]) as gate:
        answer = await gate.chat(SUM, stream=stream)
        record = await gate.recorded()
        assert (answer.status, answer.doc["error"]["code"]) == (503, "guard_unavailable")
        assert (record.outcome, record.status) == ("unavailable", 503)
        assert b"Danube" not in answer.body


@pytest.mark.parametrize("stream", [True, False])
async def test_a_crashed_detector_of_a_policy_that_fails_open_passes_it_flagged_as_unchecked(
    stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(monkeypatch)
    given = streamed(DENIAL) if stream else plain(DENIAL)
    async with rig({"policies": [REBUTTAL_POLICY]}, answers=[given]) as gate:
        answer = await gate.chat(SUM, stream=stream)
        record = await gate.recorded()
        assert (answer.status, answer.body) == (200, given.body)
        assert (record.unchecked, len(record.attempts)) == (("rebuttal",), 1)
        assert stream or answer.own["verdict"] == "unchecked"
        assert gate.metric("chunkguard_unchecked_total", policy="rebuttal") == 1


async def test_a_detector_that_is_late_counts_as_one_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(case: Any) -> Any:
        time.sleep(0.2)
        return JUDGES["rebuttal"](case)

    async with rig({"policies": [CLOSED]}, answers=[plain(LONG)], limits={"deadline_ms": 10}) as gate:
        monkeypatch.setattr("detectors.suite.JUDGES", {**JUDGES, "rebuttal": slow})
        answer = await gate.chat(SUM)
        assert (answer.status, answer.doc["error"]["code"]) == (503, "guard_unavailable")
        assert (await gate.recorded()).outcome == "unavailable"


async def test_what_fails_closed_after_the_head_is_an_error_event(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = {**CLOSED, "hold": {"default": {"kind": "window", "chars": 40}}}
    async with rig({"policies": [closed]}, answers=[streamed(f"{DANUBE} " * 5)]) as gate, gate.client() as client:
        crash(monkeypatch, after=1)
        asked: Any = [{"role": "user", "content": WEATHER}]
        stream = await client.chat.completions.create(model="m", messages=asked, stream=True)
        with pytest.raises(openai.APIError) as caught:
            await texts_of(stream)
        assert caught.value.code == "guard_unavailable"
        assert (await gate.recorded()).outcome == "unavailable"
        gate.upstream.set(streamed(f"{DANUBE} " * 5))
        crash(monkeypatch, after=1)
        body = (await gate.chat(WEATHER, stream=True)).body
        assert b"The Danube" in body
        assert body.count(b'"content"') < 8


SECRETS = [
    "sk-secret-client",
    "sk-secret-upstream",
    "secret-cookie",
    "secret-org",
    "secret-prompt",
    "secret-answer",
    "secret-model",
]


@pytest.mark.parametrize("own_key", [True, False])
async def test_no_credential_and_no_text_is_written_anywhere(own_key: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    main = {"api_key": "sk-secret-upstream"} if own_key else {}
    prompt = f"{PEACE} secret-prompt"
    headers = [
        ("Authorization", "Bearer sk-secret-client"),
        ("Cookie", "a=secret-cookie"),
        ("OpenAI-Organization", "secret-org"),
    ]
    async with rig({**ALL, "report": True}, OBSERVED, answers=[plain(f"{CODE} secret-answer")], main=main) as gate:
        shown = ""
        for prefix in ("", "/observe"):
            for stream in (False, True):
                gate.upstream.set(*[(streamed if stream else plain)(f"{CODE} secret-answer")] * 2)
                answer = await gate.chat(prompt, prefix=prefix, headers=headers, model="secret-model", stream=stream)
                shown += str(answer.own)
                shown += json.dumps(answer.doc.get("chunkguard")) if not stream else ""
        crash(monkeypatch)
        await gate.chat(f"{SUM} secret-prompt", headers=headers)
        gate.upstream.set(Answer([b"secret-answer"], before=[Reset()]))
        shown += (await gate.chat(prompt, headers=headers)).body.decode()
        shown += str((await gate.fetch("GET", "/v1/secret-prompt?key=secret-prompt", headers)).message)
        await gate.recorded(6)
        shown += gate.log.getvalue().decode() + str(gate.records) + gate.app.metrics.exposition().decode()
        shown += str((await gate.ask_admin("GET", "/-/ready")).body)
        assert [secret for secret in SECRETS if secret in shown] == []


OBSERVED = {**OBSERVE, "name": "o", "match": {"path_prefix": "/observe"}}


async def test_junk_models_and_paths_make_no_series() -> None:
    async with rig(ALL, answers=[plain(DANUBE)]) as gate:
        await gate.chat(WEATHER)
        await gate.fetch("GET", "/v1/junk")
        before = len(gate.app.metrics.exposition().splitlines())
        for number in range(20):
            await gate.chat(WEATHER, model=f"junk-{number}")
            await gate.fetch("GET", f"/v1/junk-{number}")
        assert len(gate.app.metrics.exposition().splitlines()) == before


async def test_an_answer_beyond_what_is_kept_is_relayed_and_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.outflow.COPY_BYTES", 1000)
    chunked = Answer([completion(message(DANUBE * 100))[at : at + 500] for at in range(0, 4000, 500)])
    async with rig(OBSERVE, answers=[chunked]) as gate:
        assert (await gate.chat(WEATHER)).body == chunked.body
        assert (await gate.recorded()).verdict == "unjudged"


async def test_a_client_that_leaves_while_its_prompt_is_scored_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    scoring = threading.Event()

    def slow(self: Suite, conversation: Any) -> Scores:
        scoring.set()
        time.sleep(0.1)
        return Scores()

    async with rig(ALL, answers=[plain(DANUBE)]) as gate:
        monkeypatch.setattr(Suite, "score_prompt", slow)
        asking = asyncio.create_task(gate.chat(LONG))
        await until(scoring.is_set)
        asking.cancel()
        record = await gate.recorded()
        assert (record.client_gone, gate.upstream.seen) == (True, [])


async def test_a_client_that_leaves_an_observed_stream_is_recorded() -> None:
    async with rig(
        OBSERVE, answers=[Answer([*events(DANUBE)[:2], Hang()], headers=[("Content-Type", "text/event-stream")])]
    ) as gate:
        asking = asyncio.create_task(gate.chat(WEATHER, stream=True))
        await gate.upstream.began.wait()
        await asyncio.sleep(0.02)
        asking.cancel()
        assert (await gate.recorded()).client_gone
