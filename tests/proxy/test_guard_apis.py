"""Every guarded API beside chat completions: identical where nothing fires, only the documented differences where it does."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from core.types import MODES
from tests.proxy.apis import APIS, Api, docs_of
from tests.proxy.fake_upstream import JSON, SSE, Answer, Hang, Reset
from tests.proxy.rig import CODE, CODE_POLICY, DANUBE, DENIAL, PEACE, PROSE, REBUTTAL_POLICY, SUM, WEATHER, Raw, Rig, rig

SENT = [("Content-Type", "application/json"), ("Authorization", "Bearer sk"), ("anthropic-version", "2023-06-01")]
HOLDS: dict[str, Any] = {"all": "all", "prefix": {"kind": "prefix", "chars": 20}, "window": {"kind": "window", "chars": 20}}
PREFIXES = ["", "/observe", "/all", "/prefix", "/window", "/acts"]
BLOCK: dict[str, Any] = {"extends": "code", "boundary": {"inject": "never"}, "ladder": [{"action": "block"}]}

each_api = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
both = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Rig]:
    def under(name: str, policies: list[Any], **fields: Any) -> dict[str, Any]:
        return {"name": name, "match": {"path_prefix": f"/{name}"}, "policies": policies, **fields}

    held = [under(kind, [{"extends": "rebuttal", "hold": {"default": hold}}]) for kind, hold in HOLDS.items()]
    acting = [CODE_POLICY, REBUTTAL_POLICY]
    observing = [{"extends": mode, "enforcement": "observe"} for mode in MODES]
    always = {"extends": "code", "boundary": {"inject": "always"}}
    async with rig(
        {},
        under("observe", observing),
        *held,
        under("acts", acting),
        under("always", [always]),
        under("block", [BLOCK]),
        under("report", acting, report=True),
        under("watched", observing, report=True),
    ) as running:
        yield running


async def send(gate: Rig, api: Api, prefix: str, body: bytes, headers: Any = SENT) -> Raw:
    return await gate.fetch("POST", f"{prefix}{api.path}", headers, body)


async def compare(gate: Rig, api: Api, prefix: str, body: bytes, headers: Any = SENT) -> None:
    """One request past the gateway and through a route: the same goes up and the same comes back."""
    gate.upstream.seen.clear()
    direct = await gate.direct("POST", f"{api.path}?beta=true", headers, body)
    through = await gate.fetch("POST", f"{prefix}{api.path}?beta=true", headers, body)
    first, second = gate.upstream.seen
    assert (second.target, second.body) == (first.target, first.body)
    assert {(n.lower(), v) for n, v in second.headers} - {(n.lower(), v) for n, v in first.headers} <= {
        ("host", second.values("host")[0])
    }
    assert (through.status, through.body, through.broken) == (direct.status, direct.body, direct.broken)
    if prefix in ("", "/observe"):
        assert through.without("x-chunkguard-decision-id") == direct.message
        assert through.own.keys() == ({"decision-id"} if prefix else set())


@each_api
@both
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.asyncio(loop_scope="module")
async def test_where_nothing_fires_nothing_differs(gate: Rig, api: Api, stream: bool, prefix: str) -> None:
    gate.upstream.set(api.answer(DANUBE, stream))
    await compare(gate, api, prefix, api.body(WEATHER, stream=stream, x_new={"a": [1.0, None]}, seed=12345678901234567890123))


@each_api
@both
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.asyncio(loop_scope="module")
async def test_errors_of_the_upstream_come_back_as_they_are(gate: Rig, api: Api, stream: bool, prefix: str) -> None:
    for status in (400, 401, 404, 429, 500, 529):
        gate.upstream.set(Answer([b'{"type":"error","error":{"message":"x"}}'], status=status, length=True))
        await compare(gate, api, prefix, api.body(PEACE, stream=stream))


@each_api
@both
@pytest.mark.parametrize("prefix", ["", "/observe", "/acts"])
@pytest.mark.asyncio(loop_scope="module")
async def test_compressed_bodies_stay_compressed(gate: Rig, api: Api, stream: bool, prefix: str) -> None:
    headers = [*(SSE if stream else JSON), ("Content-Encoding", "gzip")]
    gate.upstream.set(Answer([gzip.compress(b"".join(api.answer(DANUBE, stream).steps))], headers=headers))  # type: ignore[arg-type]
    packed = gzip.compress(api.body(WEATHER, stream=stream))
    await compare(gate, api, prefix, packed, [*SENT, ("Content-Encoding", "gzip")])


@each_api
@pytest.mark.parametrize("prefix", ["/observe", "/all", "/prefix", "/window"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_stream_may_be_cut_anywhere(gate: Rig, api: Api, prefix: str) -> None:
    whole = b": hello\n\n" + b"".join(api.stream("Donau \u00e9\U0001f9d1 und Wien"))
    places = range(1, len(whole), 7 if prefix == "/all" else 23)
    for cut in places:
        gate.upstream.set(Answer([whole[:cut], whole[cut:]], headers=list(SSE)))
        assert (await send(gate, api, prefix, api.body(WEATHER, stream=True))).body == whole, cut
    gate.upstream.set(Answer([whole[at : at + 1] for at in range(len(whole))], headers=list(SSE)))
    assert (await send(gate, api, prefix, api.body(WEATHER, stream=True))).body == whole
    crlf = whole.replace(b"\n", b"\r\n")
    gate.upstream.set(Answer([crlf], headers=list(SSE)))
    assert (await send(gate, api, prefix, api.body(WEATHER, stream=True))).body == crlf


@each_api
@both
@pytest.mark.asyncio(loop_scope="module")
async def test_a_misrouted_answer_is_asked_again_and_only_the_good_one_is_seen(gate: Rig, api: Api, stream: bool) -> None:
    gate.records.clear()
    gate.upstream.set(api.answer(CODE, stream), api.answer(PROSE, stream))
    answer = await send(gate, api, "/acts", api.body(PEACE, stream=stream, x_new=[1]))
    first, second = gate.upstream.seen
    assert answer.body == api.answer(PROSE, stream).body
    assert first.body == api.body(PEACE, stream=stream, x_new=[1])
    assert "Elucidate" not in json.dumps(second.doc)
    assert list(second.doc) == list(first.doc) or set(second.doc) - set(first.doc) <= {"system", "instructions"}
    record = await gate.recorded()
    assert (record.endpoint, record.fixed, len(record.attempts)) == (api.name, ("code",), 2)
    assert [(attempt.prompt_tokens, attempt.completion_tokens) for attempt in record.attempts] == [(5, 7)] * 2


@each_api
@both
@pytest.mark.asyncio(loop_scope="module")
async def test_a_boundary_stands_in_the_first_request(gate: Rig, api: Api, stream: bool) -> None:
    gate.upstream.set(api.answer(DANUBE, stream))
    await send(gate, api, "/always", api.body(WEATHER, stream=stream))
    sent = json.dumps(gate.upstream.seen[0].doc)
    assert WEATHER in sent
    assert "code" in sent


@each_api
@both
@pytest.mark.asyncio(loop_scope="module")
async def test_a_denied_sum_is_put_right(gate: Rig, api: Api, stream: bool) -> None:
    gate.upstream.set(api.answer(DENIAL, stream), api.answer("Yes, 5 + 8 = 13.", stream))
    answer = await send(gate, api, "/acts", api.body(SUM, stream=stream))
    assert api.text(answer.body, stream) == "Yes, 5 + 8 = 13."


@each_api
@both
@pytest.mark.asyncio(loop_scope="module")
async def test_a_probe_gives_its_answer_in_the_demanded_form(gate: Rig, api: Api, stream: bool) -> None:
    """The one rewritten reply: the probe's envelope, the demanded word."""
    prompt = "Copper conducts electricity. Answer only True or False."
    gate.records.clear()
    evaluated = "Copper has free electrons.\n\nVerdict: True"
    gate.upstream.set(api.answer("False", stream), api.answer(evaluated, stream))
    answer = await send(gate, api, "/acts", api.body(prompt, stream=stream))
    assert api.text(answer.body, stream) == "True"
    assert (await gate.recorded()).rewritten


@each_api
@both
@pytest.mark.asyncio(loop_scope="module")
async def test_a_block_says_so_and_nothing_else(gate: Rig, api: Api, stream: bool) -> None:
    gate.upstream.set(api.answer(CODE, stream))
    answer = await send(gate, api, "/block", api.body(PEACE, stream=stream))
    assert (answer.status, b"class" in answer.body, api.text(answer.body, stream)) == (200, False, "")
    docs = docs_of(answer.body) if stream else [answer.doc]
    assert any(map(api.blocked, docs))


@each_api
@both
@pytest.mark.parametrize("prefix", ["/report", "/watched"])
@pytest.mark.asyncio(loop_scope="module")
async def test_the_report_is_added_and_the_rest_stays(gate: Rig, api: Api, stream: bool, prefix: str) -> None:
    gate.upstream.set(api.answer(DANUBE, stream))
    answer = await send(gate, api, prefix, api.body(WEATHER, stream=stream, chunkguard={"report": True}))
    docs = docs_of(answer.body) if stream else [answer.doc]
    (report,) = [doc["chunkguard"] for doc in docs if "chunkguard" in doc]
    assert (report["verdict"], api.text(answer.body, stream)) == ("clear", DANUBE)
    assert "chunkguard" not in gate.upstream.seen[0].doc
    if stream:
        given = [event for event in api.answer(DANUBE, True).body.split(b"\n\n") if event]
        kept = [event for event in answer.body.split(b"\n\n") if event and b"chunkguard" not in event]
        assert kept == given


BAD: dict[str, bytes] = {
    "no json": b"{",
    "nothing": b"",
    "an array": b"[]",
    "not utf-8": b'{"model":"m","x":"\xff\xfe"}',
    "nan": b'{"model":"m","prompt":NaN,"messages":NaN,"input":NaN}',
    "deep": b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "stream as text": b'{"model":"m","prompt":"x","messages":[],"input":"x","max_tokens":1,"stream":"true"}',
    "model as number": b'{"model":1,"prompt":"x","messages":[],"input":"x","max_tokens":1}',
    "wrong types": b'{"model":"m","prompt":{"a":1},"messages":"x","input":7}',
    "mixed items": b'{"model":"m","prompt":["a",1],"messages":["a",1],"input":["a",1]}',
    "our own field": b'{"model":"m","prompt":"x","messages":[],"input":"x","chunkguard":7}',
}


@each_api
@pytest.mark.parametrize("body", BAD)
@pytest.mark.asyncio(loop_scope="module")
async def test_bad_bodies_get_the_error_of_their_api(gate: Rig, api: Api, body: str) -> None:
    gate.upstream.set(api.answer(DANUBE, False))
    answer = await send(gate, api, "/acts", BAD[body])
    assert (answer.status, api.error(answer.doc)) == (400, "invalid_request_error")
    assert gate.upstream.seen == []
    # An untouched route leaves it to the upstream.
    assert (await send(gate, api, "", BAD[body])).body == api.plain(DANUBE)


@each_api
@pytest.mark.asyncio(loop_scope="module")
async def test_odd_bodies_that_can_be_read_pass_as_they_are(gate: Rig, api: Api) -> None:
    doc = api.body(WEATHER)
    for body in (
        doc[:-1] + b', "model": "n", "model": "m"}',
        b"\r\n " + doc.replace(b", ", b"\t,\n") + b" \n",
        api.body("half \ud83d an emoji \udc00"),
        api.body("e\u0301\u200b\u202e \x00\x7f \ufeff"),
    ):
        gate.upstream.set(api.answer(DANUBE, False))
        await compare(gate, api, "/acts", body)


@each_api
async def test_a_huge_body_is_refused_in_the_shape_of_the_api(api: Api) -> None:
    async with rig({"policies": [CODE_POLICY]}, answers=[api.answer(DANUBE, False)], limits={"body_bytes": 10_000}) as gate:
        answer = await send(gate, api, "", api.body("x" * 20_000))
        assert (answer.status, "error" in answer.doc, gate.upstream.seen) == (413, True, [])
        assert api.error(answer.doc)


@each_api
async def test_a_dead_upstream_is_told_in_the_shape_of_the_api(api: Api) -> None:
    async with rig({"policies": [CODE_POLICY]}, answers=[Answer([], before=[Reset()])]) as gate:
        for stream in (False, True):
            answer = await send(gate, api, "", api.body(PEACE, stream=stream))
            assert (answer.status, bool(api.error(answer.doc))) == (502, True)


@each_api
async def test_a_late_failure_is_an_event_of_the_api(api: Api) -> None:
    """After the first keep-alive comment the head is out: what fails then is told in the stream."""
    limits = {"keepalive_s": 0.05}
    broken = Answer([api.stream(CODE)[0], Hang()], headers=list(SSE))
    main = {"timeouts": {"total_s": 0.4}}
    async with rig(
        {"policies": [{**CODE_POLICY, "hold": {"default": "all"}}]}, answers=[broken], limits=limits, main=main
    ) as gate:
        answer = await send(gate, api, "", api.body(PEACE, stream=True))
        docs = docs_of(answer.body)
        assert answer.body.startswith(b": keep-alive\n\n")
        assert (answer.status, "error" in docs[-1], len(docs)) == (200, True, 1)


@each_api
@both
async def test_a_truncated_answer_never_leaves_a_hold(api: Api, stream: bool) -> None:
    given = api.answer(CODE, stream)
    cut = Answer([given.body[: len(given.body) // 2]], headers=given.headers)
    async with rig({"policies": [{**CODE_POLICY, "hold": {"default": "all"}}]}, answers=[cut]) as gate:
        answer = await send(gate, api, "", api.body(PEACE, stream=stream))
        assert (answer.status, bool(api.error(answer.doc))) == (502, True)


@each_api
async def test_no_secret_reaches_the_log(api: Api) -> None:
    async with rig({"policies": [CODE_POLICY]}, answers=[api.answer(CODE, False), api.answer(PROSE, False)]) as gate:
        headers = [("Authorization", "Bearer sk-secret"), ("x-api-key", "sk-secret"), ("Cookie", "a=sk-secret")]
        await send(gate, api, "", api.body(f"{PEACE} secret-prompt"), [*SENT[:1], *headers])
        await gate.recorded()
        shown = gate.log.getvalue().decode() + str(gate.records) + gate.app.metrics.exposition().decode()
        assert "secret" not in shown
