"""Rendered replies keep the envelope, and the official client reads them."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from core.types import Piece
from proxy.wire.chat import DONE_EVENT, ReplyDecoder, add_report, block, rewrite, split_done

HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 17, "model": "m-1", "system_fingerprint": "fp"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
PLAIN = {
    "id": "c1",
    "object": "chat.completion",
    "created": 17,
    "model": "m-1",
    "choices": [
        {
            "index": 1,
            "message": {"role": "assistant", "content": "secret b", "refusal": "no", "audio": {"transcript": "x"}, "own": 1},
            "logprobs": {"content": []},
            "finish_reason": "stop",
        },
        {"index": 0, "message": {"role": "assistant", "content": "secret a"}, "finish_reason": "stop"},
    ],
    "usage": USAGE,
    "unknown": "UNKNOWN",
}


def event(*choices: Any, **fields: Any) -> bytes:
    return b"data: " + orjson.dumps({**HEAD, "choices": list(choices), **fields}) + b"\n\n"


def choice(index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": {"content": None, "refusal": None}, "finish_reason": finish}


STREAM = [
    event(choice(0, role="assistant", content=""), choice(1, role="assistant", content="")),
    b": keep-alive\n\n",
    event(choice(0, reasoning_content="hm")),
    event(choice(0, content="secret")),
    event(choice(0, content=" a"), choice(1, content="secret b")),
    event(choice(0, finish="stop")),
    event(choice(1, finish="stop")),
    event(usage=USAGE),
    DONE_EVENT,
]


def pieces_of(body: bytes, streamed: bool) -> tuple[Piece, ...]:
    decoder = ReplyDecoder(streamed)
    return decoder.feed(body) + decoder.flush()


def documents(body: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream, each valid for the official client; the stream ends with [DONE]."""
    events = [piece.data for piece in pieces_of(body, True)]
    assert events[-1] == DONE_EVENT
    docs = [orjson.loads(data[6:]) for data in events[:-1]]
    for doc in docs:
        ChatCompletionChunk.model_validate(doc)
    return docs


def said(body: bytes, streamed: bool) -> dict[int, tuple[str, str, str | None]]:
    """(text, reasoning, finish reason) of each choice."""
    result: dict[int, tuple[str, str, str | None]] = {}
    for piece in pieces_of(body, streamed):
        for delta in piece.deltas:
            text, reasoning, finish = result.get(delta.choice, ("", "", None))
            result[delta.choice] = (text + delta.text, reasoning + delta.reasoning, delta.finish_reason or finish)
    return result


def plain_pieces(**fields: Any) -> tuple[Piece, ...]:
    doc = {**PLAIN, "unknown": "UNKNOWN", **fields}
    return pieces_of(orjson.dumps(doc).replace(b'"UNKNOWN"', b"12345678901234567890123"), False)


def test_rewrite_plain() -> None:
    body = rewrite(plain_pieces(), ("new a", "new b"), False)
    assert body.endswith(b'"unknown":12345678901234567890123}')
    doc = orjson.loads(body)
    ChatCompletion.model_validate(doc)
    assert said(body, False) == {0: ("new a", "", "stop"), 1: ("new b", "", "stop")}
    assert doc["choices"][0] == {
        "index": 1,
        "message": {"role": "assistant", "content": "new b", "refusal": None, "own": 1},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert {key: doc[key] for key in ("id", "model", "usage")} == {"id": "c1", "model": "m-1", "usage": USAGE}


def test_rewrite_stream() -> None:
    body = rewrite(pieces_of(b"".join(STREAM), True), ("new a", "new b"), True)
    docs = documents(body)
    assert said(body, True) == {0: ("new a", "hm", "stop"), 1: ("new b", "", "stop")}
    assert docs[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert docs[-1]["usage"] == USAGE
    assert all({key: doc[key] for key in HEAD} == HEAD for doc in docs)
    assert b"secret" not in body
    assert all(part["logprobs"] is None for doc in docs for part in doc["choices"])
    assert [len(doc["choices"]) for doc in docs] == [2, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize(
    "stream",
    [
        [event(choice(0, content="secret", finish="stop"))],
        [event(choice(0, refusal="secret", tool_calls=[])), event(choice(0, "stop"))],
        [event(choice(0, role="assistant")), event(choice(0, "stop"), usage=USAGE)],
        [event(choice(0, content="")), DONE_EVENT],
        [event(choice(0, content="secret")), event(choice(0, content="secret"), usage=USAGE)],
        [event({"message": {"content": "secret"}, "finish_reason": "stop"})],
        [event("odd", choice(0, content="secret")), b"data: {junk\n\n", b"data: [1]\n\n"],
        [event(choice(0, content="secret")).replace(b"\n\n", b"\n") + event(choice(0, "stop"))],
    ],
)
def test_rewrite_gives_every_choice_its_content_once(stream: list[bytes]) -> None:
    body = rewrite(pieces_of(b"".join(stream), True), ("new",), True)
    assert said(body, True)[0][0] == "new"
    assert b"secret" not in body
    assert b"".join(stream).count(b'"usage":{') == body.count(b'"usage":{')
    events = pieces_of(body, True)
    assert [place for place, piece in enumerate(events) if piece.data == DONE_EVENT] == [len(events) - 1]


def test_contents_must_match_the_choices() -> None:
    for pieces, streamed in ((plain_pieces(), False), (pieces_of(b"".join(STREAM), True), True)):
        for contents in (("one",), ("1", "2", "3")):
            with pytest.raises(ValueError, match="zip"):
                rewrite(pieces, contents, streamed)
    with pytest.raises(ValueError, match="no JSON object"):
        rewrite(pieces_of(b"junk", False), (), False)
    assert rewrite((), (), True) == DONE_EVENT


def test_block_plain() -> None:
    body = block(plain_pieces(), False)
    doc = orjson.loads(body)
    ChatCompletion.model_validate(doc)
    assert said(body, False) == {0: ("", "", "content_filter"), 1: ("", "", "content_filter")}
    assert doc["choices"][1]["message"] == {"role": "assistant", "content": None}
    assert {key: doc[key] for key in ("id", "created", "model", "usage")} == {
        "id": "c1",
        "created": 17,
        "model": "m-1",
        "usage": USAGE,
    }
    assert b"secret" not in body
    assert "unknown" not in doc


def test_block_stream() -> None:
    body = block(pieces_of(b"".join(STREAM), True), True)
    docs = documents(body)
    assert said(body, True) == {0: ("", "", "content_filter"), 1: ("", "", "content_filter")}
    assert [doc["choices"][0]["delta"] for doc in docs[:2]] == [{"role": "assistant", "content": ""}] * 2
    assert (docs[-1]["choices"], docs[-1]["usage"]) == ([], USAGE)
    assert all({key: doc[key] for key in HEAD} == HEAD for doc in docs)
    assert b"secret" not in body


def test_block_of_the_rest_of_a_stream_repeats_no_role() -> None:
    docs = documents(block(pieces_of(b"".join(STREAM[3:5]), True), True, n=3))
    assert [doc["choices"] for doc in docs] == [
        [{"index": index, "delta": {}, "finish_reason": "content_filter"}] for index in (0, 1, 2)
    ]


def test_block_sends_usage_where_the_upstream_did() -> None:
    stream = [event(choice(0, content="secret")), event(choice(0, "stop"), usage=USAGE)]
    docs = documents(block(pieces_of(b"".join(stream), True), True))
    assert [(len(doc["choices"]), doc.get("usage")) for doc in docs] == [(1, USAGE)]


@pytest.mark.parametrize("body", [b"", b"junk", b"[]", b'{"choices":5}', b": comment\n\n"])
@pytest.mark.parametrize("n", [1, 2])
def test_block_without_an_envelope(body: bytes, n: int) -> None:
    blocked = orjson.loads(block(pieces_of(body, False), False, n))
    ChatCompletion.model_validate(blocked)
    assert [choice["finish_reason"] for choice in blocked["choices"]] == ["content_filter"] * n
    docs = documents(block(pieces_of(body, True), True, n))
    assert [doc["choices"][0]["finish_reason"] for doc in docs] == ["content_filter"] * n


_TEXT = st.text(max_size=8)


@given(st.lists(st.tuples(st.integers(0, 2), _TEXT), min_size=1, max_size=8), st.booleans(), st.booleans())
def test_rewrite_and_block_over_any_stream(parts: list[tuple[int, str]], finished: bool, usage: bool) -> None:
    choices = sorted({index for index, _ in parts})
    stream = [event(choice(index, content=text)) for index, text in parts]
    stream += [event(choice(index, "stop")) for index in choices] if finished else []
    stream += [event(usage=USAGE)] if usage else []
    pieces = pieces_of(b"".join(stream), True)
    body = rewrite(pieces, [f"new {index}" for index in choices], True)
    finish = "stop" if finished else None
    assert said(body, True) == {index: (f"new {index}", "", finish) for index in choices}
    blocked = block(pieces, True)
    assert said(blocked, True) == {index: ("", "", "content_filter") for index in {*choices, 0}}
    for rendered in (body, blocked):
        assert any(doc.get("usage") for doc in documents(rendered)) is usage


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b'{ "a": 1e2 }\n', b'{ "a": 1e2 ,"chunkguard":{"v":"clear"}}\n'),
        (b"{}", b'{"chunkguard":{"v":"clear"}}'),
        (
            b'{"chunkguard":{"v":"inner"},"a":12345678901234567890123}',
            b'{"chunkguard":{"v":"clear"},"a":12345678901234567890123}',
        ),
        (b"[1]", b"[1]"),
        (b"junk}", b"junk}"),
        (b"", b""),
    ],
)
def test_report_in_a_plain_body(body: bytes, result: bytes) -> None:
    assert add_report(body, {"v": "clear"}, False) == result


def test_report_in_a_stream() -> None:
    pieces = pieces_of(b"".join([*STREAM, b": after\n\n"]), True)
    before, done = split_done(pieces)
    assert (before, [piece.data for piece in done]) == (pieces[:-2], [DONE_EVENT, b": after\n\n"])
    extra = add_report(before[-1].data, {"v": "clear"}, True)
    docs = documents(b"".join([*(piece.data for piece in before if piece.data[:1] == b"d"), extra, done[0].data]))
    assert docs[-1] == {**HEAD, "choices": [], "chunkguard": {"v": "clear"}}
    assert orjson.loads(add_report(b": nothing\n\n", {}, True)[6:])["object"] == "chat.completion.chunk"
    assert split_done(pieces[:3]) == (pieces[:3], ())
