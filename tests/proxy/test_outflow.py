"""What a guarded request sends beside bytes: the opt-in report, plain and streamed, under every hold."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.proxy.fake_upstream import DONE, JSON, SSE, Answer, completion, event, events, failing, message, plain, streamed
from tests.proxy.rig import (
    CODE,
    CODE_POLICY,
    DANUBE,
    PEACE,
    PROSE,
    REBUTTAL_POLICY,
    WEATHER,
    Raw,
    rig,
    texts_of,
)

OBSERVE = [{"extends": "code", "enforcement": "observe"}]
ENFORCE = [CODE_POLICY, REBUTTAL_POLICY]
WISH = {"chunkguard": {"report": True}}


def report_of(answer: Raw) -> dict[str, Any]:
    """The report of a stream: the one chunk that has it, the last before [DONE]."""
    assert answer.body.endswith(DONE)
    *_, last, done, rest = answer.body.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    doc = json.loads(last.removeprefix(b"data: "))
    assert doc["choices"] == []
    assert doc["object"] == "chat.completion.chunk"
    report: dict[str, Any] = doc["chunkguard"]
    return {**report, "chunk id": doc["id"]}


@pytest.mark.parametrize("policies", [OBSERVE, ENFORCE])
@pytest.mark.parametrize("wish", [True, False])
async def test_the_report_of_a_plain_answer(policies: list[Any], wish: bool) -> None:
    route = {"policies": policies, "report": not wish}
    async with rig(route, answers=[plain(DANUBE)]) as gate:
        answer = await gate.chat(WEATHER, **(WISH if wish else {}))
        report = answer.doc.pop("chunkguard")
        assert answer.body.startswith(plain(DANUBE).body[:-1])
        assert answer.value("content-length") == str(len(answer.body))
        assert (report["verdict"], report["modes"], report["decision_id"]) == ("clear", [], answer.own["decision-id"])
        assert "chunkguard" not in gate.upstream.seen[0].doc


@pytest.mark.parametrize("policies", [OBSERVE, ENFORCE])
@pytest.mark.parametrize("end", [1, 2, 5])
async def test_the_report_of_a_stream_is_its_last_chunk(policies: list[Any], end: int) -> None:
    """However the network cuts it: [DONE] with the chunk before, alone, in two."""
    body = b"".join(events(DANUBE))
    async with rig({"policies": policies}, answers=[Answer([body[:-end], body[-end:]], headers=SSE)]) as gate:
        answer = await gate.chat(WEATHER, stream=True, **WISH)
        report = report_of(answer)
        assert answer.body.startswith(body.removesuffix(DONE))
        assert (report["verdict"], report["chunk id"]) == ("clear", "chatcmpl-1")


async def test_the_report_of_a_retry_names_findings_attempts_and_all_tokens() -> None:
    async with rig({"policies": ENFORCE}, answers=[streamed(CODE, usage=True), streamed(PROSE, usage=True)]) as gate:
        report = report_of(await gate.chat(PEACE, stream=True, **WISH))
        assert [(a["number"], a["verdict"], a["change"]) for a in report["attempts"]] == [
            (1, "misrouted", []),
            (2, "clear", ["boundary", "neutralise"]),
        ]
        assert report["usage_total"] == {"prompt_tokens": 18, "completion_tokens": 10, "estimated": False}
        assert report["triggers"] == [{"name": "formal_vocabulary", "message": 0, "start": 0, "end": 9}]
        assert (report["chosen"], report["action"], report["chunk id"]) == (2, "retry", "chatcmpl-1")
        assert "Peace" not in json.dumps(report)


async def test_the_report_of_an_observed_answer_names_what_was_found() -> None:
    async with rig({"policies": OBSERVE}, answers=[plain(CODE)]) as gate:
        report = (await gate.chat(PEACE, **WISH)).doc["chunkguard"]
        assert (report["verdict"], report["findings"][0]["evidence"][0]["name"]) == ("misrouted", "code.block")


@pytest.mark.parametrize("policies", [OBSERVE, ENFORCE])
async def test_the_official_client_reads_answers_with_a_report(policies: list[Any]) -> None:
    route = {"policies": policies, "report": True}
    async with rig(route, answers=[streamed(DANUBE, usage=True)]) as gate, gate.client() as client:
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": WEATHER}], stream=True, extra_body=WISH
        )
        assert await texts_of(stream) == DANUBE
        gate.upstream.set(plain(DANUBE))
        whole = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": WEATHER}])
        assert whole.choices[0].message.content == DANUBE


@pytest.mark.parametrize("policies", [OBSERVE, ENFORCE])
async def test_an_answer_that_speaks_of_the_end_of_streams_is_not_cut_there(policies: list[Any]) -> None:
    said = "A stream ends with the line data: [DONE] and nothing follows."
    chunks = [event({"content": said}), event({"content": " Mind data: [DONE]\n\n too."}), event({}, finish="stop")]
    async with rig({"policies": policies}, answers=[Answer([*chunks, b"data:[DONE]\n\n"], headers=SSE)]) as gate:
        answer = await gate.chat(WEATHER, stream=True, **WISH)
        assert answer.body.startswith(b"".join(chunks))
        rest = answer.body.removeprefix(b"".join(chunks))
        assert rest.startswith(b"data: {")
        assert rest.endswith(b"data:[DONE]\n\n")
        assert rest.count(b"DONE") == 1


@pytest.mark.parametrize("policies", [OBSERVE, ENFORCE])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_with_a_report_is_asked_for_uncompressed(gate_headers: Any, policies: list[Any], stream: bool) -> None:
    async with rig({"policies": policies}, answers=[streamed(DANUBE) if stream else plain(DANUBE)]) as gate:
        answer = await gate.chat(WEATHER, stream=stream, headers=gate_headers, **WISH)
        assert b'"chunkguard"' in answer.body
        assert gate.upstream.seen[0].values("accept-encoding") == ["identity"]
        await gate.chat(WEATHER, stream=stream, headers=gate_headers)
        assert gate.upstream.seen[1].values("accept-encoding") == ["gzip, br"]


@pytest.fixture
def gate_headers() -> list[tuple[str, str]]:
    return [("Accept-Encoding", "gzip, br")]


@pytest.mark.parametrize("policies", [OBSERVE, ENFORCE])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_is_compressed_all_the_same_passes_without(policies: list[Any], stream: bool) -> None:
    body = gzip.compress(b"".join(events(DANUBE)) if stream else completion(message(DANUBE)))
    given = Answer([body], headers=[*(SSE if stream else JSON), ("Content-Encoding", "gzip")], length=True)
    async with rig({"policies": policies}, answers=[given]) as gate:
        answer = await gate.chat(WEATHER, stream=stream, **WISH)
        assert (answer.body, answer.value("content-encoding")) == (body, "gzip")


async def test_a_compressed_stream_is_held_judged_and_passed_as_it_came() -> None:
    def packed(text: str) -> Answer:
        return Answer([gzip.compress(b"".join(events(text)))], headers=[*SSE, ("Content-Encoding", "gzip")])

    async with rig({"policies": ENFORCE}, answers=[packed(CODE), packed(PROSE)]) as gate, gate.client() as client:
        stream = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": PEACE}], stream=True)
        assert await texts_of(stream) == PROSE
        assert (await gate.recorded()).fixed == ("code",)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_block_of_a_compressed_answer_is_plain(stream: bool) -> None:
    policy = {"extends": "code", "boundary": {"inject": "never"}, "ladder": [{"action": "block"}]}
    body = gzip.compress(b"".join(events(CODE)) if stream else completion(message(CODE)))
    given = Answer([body], headers=[*(SSE if stream else JSON), ("Content-Encoding", "gzip"), ("ETag", "x")], length=True)
    async with rig({"policies": [policy]}, answers=[given]) as gate:
        answer = await gate.chat(PEACE, stream=stream)
        assert b"content_filter" in answer.body
        assert [answer.value(name) for name in ("content-encoding", "etag")] == [None, None]


@pytest.mark.parametrize("policies", [OBSERVE, ENFORCE])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_gets_no_report(policies: list[Any], stream: bool) -> None:
    async with rig({"policies": policies}, answers=[failing(400)]) as gate:
        answer = await gate.chat(WEATHER, stream=stream, **WISH)
        assert (answer.status, answer.body) == (400, failing(400).body)


async def test_a_stream_without_its_end_gets_the_report_at_its_end() -> None:
    chunks = events(DANUBE)[:-1]
    async with rig({"policies": OBSERVE}, answers=[Answer(chunks, headers=SSE)]) as gate:
        answer = await gate.chat(WEATHER, stream=True, **WISH)
        assert answer.body.startswith(b"".join(chunks))
        assert b'"chunkguard"' in answer.body.removeprefix(b"".join(chunks))


async def test_an_unfinished_stream_that_is_only_observed_passes_with_its_report() -> None:
    """Nobody but the scored copy needs to understand it."""
    chunks = [event({"content": "The "}), b"data: {junk\n\n"]
    async with rig({"policies": OBSERVE}, answers=[Answer(chunks, headers=SSE)]) as gate:
        answer = await gate.chat(WEATHER, stream=True, **WISH)
        assert not answer.broken
        assert answer.body.startswith(b"".join(chunks))


async def test_a_long_answer_is_relayed_as_it_comes(gate_headers: Any) -> None:
    text = "word " * 400_000
    async with rig({"policies": OBSERVE}, answers=[plain(text)]) as gate:
        answer = await gate.chat(WEATHER, headers=gate_headers)
        assert answer.body == plain(text).body
        assert (await gate.recorded()).scanned_characters > 0


async def test_untouched_routes_know_no_report() -> None:
    async with rig({}, answers=[plain(DANUBE)]) as gate:
        assert (await gate.chat(WEATHER, **WISH)).body == plain(DANUBE).body
        assert gate.upstream.seen[0].doc["chunkguard"] == {"report": True}
