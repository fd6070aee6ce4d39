"""Replies become pieces: every byte kept, every word read, nothing raised."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import Delta, Piece, ToolDelta, Usage
from proxy.wire.chat_reply import ReplyDecoder, content_text
from proxy.wire.decoding import is_done


def chunk(*choices: Any, end: bytes = b"\n\n", **fields: Any) -> bytes:
    return b"data: " + orjson.dumps({"id": "c1", "object": "chat.completion.chunk", "choices": list(choices), **fields}) + end


def choice(index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}

STREAM = [
    chunk(choice(0, role="assistant", content=""), choice(1, role="assistant", content="", refusal=None)),
    b": keep-alive\n\n",
    chunk(choice(0, content="你好 🤖"), end=b"\r\n\r\n"),
    chunk(choice(1, reasoning_content="hm"), usage=None),
    chunk(choice(0, tool_calls=[{"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": ""}}])),
    chunk(choice(0, tool_calls=[{"index": 0, "function": {"arguments": '{"é":'}}]), choice(1, content="👩‍👩‍👧")),
    chunk(choice(0, finish="tool_calls"), end=b"\r\r"),
    chunk(choice(1, "stop")),
    chunk(usage=USAGE),
    DONE,
]
DELTAS = [
    (Delta(0), Delta(1)),
    (),
    (Delta(0, "你好 🤖"),),
    (Delta(1, reasoning="hm"),),
    (Delta(0, tools=(ToolDelta(0, "t", "f"),)),),
    (Delta(0, tools=(ToolDelta(0, arguments='{"é":'),)), Delta(1, "👩‍👩‍👧")),
    (Delta(0, finish_reason="tool_calls"),),
    (Delta(1, finish_reason="stop"),),
    (),
    (),
]


def decode(chunks: list[bytes], streamed: bool = True, n: int = 1) -> tuple[list[Piece], ReplyDecoder]:
    decoder = ReplyDecoder(streamed, n)
    pieces = [piece for chunk in chunks for piece in decoder.feed(chunk)]
    return [*pieces, *decoder.flush()], decoder


def deltas(body: bytes, streamed: bool = True) -> tuple[Delta, ...]:
    return tuple(delta for piece in decode([body], streamed)[0] for delta in piece.deltas)


def test_a_stream_event_by_event() -> None:
    pieces, decoder = decode(STREAM, n=2)
    assert pieces == [
        Piece(event, said, Usage(3, 4) if place == 8 else None)
        for place, (event, said) in enumerate(zip(STREAM, DELTAS, strict=True))
    ]
    assert (decoder.done, decoder.complete, decoder.malformed, decoder.error) == (True, True, 0, None)


def test_every_split_point_of_a_stream_gives_the_same_pieces() -> None:
    body = b"".join(STREAM)
    whole = decode([body])[0]
    assert [piece.deltas for piece in whole] == DELTAS
    for place in range(len(body) + 1):
        assert decode([body[:place], body[place:]])[0] == whole
    assert decode([body[place : place + 1] for place in range(len(body))])[0] == whole


_EVENTS = st.sampled_from(
    [
        *STREAM,
        b"data: {junk\n\n",
        b"\n\n",
        b"data: 5\n\n",
        b"data:[DONE]\r\n\r\n",
        b"data: {}\n\n",
        b'data: {"choices":[{"index":0,\ndata: "delta":{"content":"two lines"}}]}\n\n',
        chunk(choice(3, content="x"), error=None),
    ]
)


@given(st.lists(_EVENTS, max_size=8), st.data())
def test_pieces_do_not_depend_on_chunking(events: list[bytes], data: st.DataObject) -> None:
    body = b"".join(events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=10)))
    chunks = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    pieces, decoder = decode(chunks)
    whole, other = decode([body])
    assert pieces == whole
    assert b"".join(piece.data for piece in pieces) == body
    assert (decoder.done, decoder.complete, decoder.malformed) == (other.done, other.complete, other.malformed)


@given(st.binary(max_size=80), st.booleans())
def test_no_bytes_raise_and_none_are_lost(body: bytes, streamed: bool) -> None:
    for start in (b"", b"data: ", b'data: {"choices":[', b'{"choices":[{"message":'):
        pieces, _ = decode([start + body], streamed)
        assert b"".join(piece.data for piece in pieces) == start + body


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "content",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "index",
                    "id",
                    "audio",
                    "thinking",
                    "text",
                    "function_call",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_ANY, _ANY, st.booleans())
def test_no_json_raises_and_the_fast_way_reads_the_same(body: Any, finish: Any, streamed: bool) -> None:
    doc = orjson.dumps({"choices": [{"index": 0, "delta": body, "finish_reason": finish}], "usage": body})
    fast, slow = decode([b"data: " + doc + b"\n\n"], streamed), decode([b"data:" + doc + b"\n\n"], streamed)
    assert [piece.deltas for piece in fast[0]] == [piece.deltas for piece in slow[0]]
    assert fast[1].malformed == slow[1].malformed
    assert fast[1].complete == slow[1].complete
    decode([doc], streamed)


@pytest.mark.parametrize(
    ("body", "delta"),
    [
        ({"content": "t"}, Delta(0, "t")),
        ({"content": [{"type": "text", "text": "a"}, "b", 5]}, Delta(0, "ab")),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}]},
            Delta(0, "a", "hm"),
        ),
        ({"content": [{"type": "thinking", "thinking": "hm"}]}, Delta(0, "", "hm")),
        ({"reasoning": "r"}, Delta(0, reasoning="r")),
        ({"reasoning_content": "r", "reasoning": "r"}, Delta(0, reasoning="r")),
        ({"refusal": "no"}, Delta(0, refusal="no")),
        ({"audio": {"transcript": "said"}}, Delta(0, "said")),
        ({"function_call": {"name": "f", "arguments": "{"}}, Delta(0, tools=(ToolDelta(0, "", "f", "{"),))),
        (
            {"tool_calls": [{"index": 2, "custom": {"name": "c", "input": "ls"}}]},
            Delta(0, tools=(ToolDelta(2, "", "c", "ls"),)),
        ),
        (
            {"tool_calls": [{"index": 0, "function": {"arguments": {"a": 1}}}]},
            Delta(0, tools=(ToolDelta(0, "", "", '{"a":1}'),)),
        ),
        ({"tool_calls": [{"index": 0, "function": "odd"}, "odd"]}, Delta(0, tools=(ToolDelta(0),))),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_what_a_choice_says(body: dict[str, Any], delta: Delta, streamed: bool) -> None:
    if streamed:
        assert deltas(chunk({"index": 0, "delta": body})) == (delta,)
        assert deltas(chunk({"message": body})) == (delta,)
    else:
        assert deltas(orjson.dumps({"choices": [{"message": body}]}), streamed=False) == (delta,)


def test_tool_calls_without_index_are_told_apart() -> None:
    def call(**fields: Any) -> bytes:
        return chunk(choice(0, tool_calls=[{key: fields[key] for key in fields}]))

    first, second = call(id="a", function={"name": "f"}), call(id="b", function={"name": "g"})
    more, again = call(function={"arguments": "x"}), call(id="a", function={"arguments": "y"})
    pieces, _ = decode([first, more, second, more, again, call(function={"name": "h"})])
    assert [piece.deltas[0].tools[0].index for piece in pieces] == [0, 0, 1, 1, 0, 2]
    plain = orjson.dumps({"choices": [{"message": {"tool_calls": [{"function": {"name": "f"}}, {"function": {"name": "f"}}]}}]})
    assert [tool.index for tool in deltas(plain, streamed=False)[0].tools] == [0, 1]


def test_a_plain_body_is_one_piece_at_its_end() -> None:
    doc = {
        "choices": [
            {"index": 1, "message": {"role": "assistant", "content": "b 🤖"}, "finish_reason": "stop"},
            {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "length"},
        ],
        "usage": USAGE,
    }
    body = orjson.dumps(doc, option=orjson.OPT_INDENT_2)
    decoder = ReplyDecoder(False)
    assert [decoder.feed(body[place : place + 1]) for place in range(len(body))] == [()] * len(body)
    assert not decoder.complete
    said = (Delta(1, "b 🤖", finish_reason="stop"), Delta(0, "a", finish_reason="length"))
    assert decoder.flush() == (Piece(body, said, Usage(3, 4)),)
    assert decoder.complete
    assert decoder.flush() == ()


@pytest.mark.parametrize(
    ("usage", "read"),
    [(None, None), ({}, None), ("odd", None), ({"prompt_tokens": "3"}, Usage(0, 0)), (USAGE, Usage(3, 4))],
)
def test_usage(usage: Any, read: Usage | None) -> None:
    assert decode([chunk(usage=usage)])[0][0].usage == read


@pytest.mark.parametrize(
    ("body", "malformed"),
    [
        (b"data: {junk\n\n", 1),
        (b"data: [1]\n\n", 1),
        (b"data: null\n\n", 1),
        (b"data: \n\n", 0),
        (b"event: ping\n\n", 0),
        (chunk("odd", choice(0, content="x")), 1),
        (b'data: {"choices":5}\n\n', 1),
        (b'data: {"choices":null}\n\n', 0),
        (chunk(choice(0, content=5)), 1),
        (chunk(choice(0, content="x", tool_calls="odd")), 1),
        (b"data: junk\ndata: {}\n\n", 1),
        (b"data: " + b"[" * 100_000 + b"\\ud83d\n\n", 1),
    ],
)
def test_what_cannot_be_read_is_counted(body: bytes, malformed: int) -> None:
    pieces, decoder = decode([body])
    assert decoder.malformed == malformed
    assert [piece.data for piece in pieces] == [body]


def test_content_hides_neither_usage_nor_an_error_beside_it() -> None:
    pieces, decoder = decode([chunk(choice(0, content="x"), usage=USAGE), chunk(choice(0, content="y"), error={"code": 1})])
    assert [(piece.deltas, piece.usage) for piece in pieces] == [((Delta(0, "x"),), Usage(3, 4)), ((Delta(0, "y"),), None)]
    assert decoder.error == {"code": 1}


@pytest.mark.parametrize("streamed", [True, False])
def test_the_id_of_the_envelope_is_known_at_the_end(streamed: bool) -> None:
    events = [chunk(choice(0, content="x"), id="a-1"), chunk(choice(0, finish="stop"), id="a-1"), DONE]
    body = orjson.dumps({"id": "a-1", "choices": [{"message": {"content": "x"}}]})
    assert decode(events if streamed else [body], streamed)[1].id == "a-1"
    assert decode([chunk(choice(0, finish="stop"), id=7)])[1].id == ""


def test_what_lenient_clients_would_show_is_read() -> None:
    one, two = chunk(choice(0, content="a"), end=b"\n"), chunk(choice(0, content="b"), usage=USAGE, end=b"\n")
    pieces, decoder = decode([one + two + b"data: [DONE]\n\n"])
    assert pieces[0].deltas == (Delta(0, "a"), Delta(0, "b"))
    assert pieces[0].usage == Usage(3, 4)
    assert decoder.done
    assert deltas(b'data: {"choices":[{"delta":{"content":"no blank line"}}]}') == (Delta(0, "no blank line"),)
    assert deltas(b'{"choices":[{"message":{"content":"plain"}}]}') == (Delta(0, "plain"),)
    halves = b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\ndata: {"choices":[{"delta":{"content":"\\udd16!"}}]}\n\n'
    assert deltas(halves) == (Delta(0, "\ufffd"), Delta(0, "\ufffd!"))


@pytest.mark.parametrize("streamed", [True, False])
def test_errors_in_place_of_an_answer(streamed: bool) -> None:
    doc = orjson.dumps({"error": {"message": "overloaded"}})
    event = b"event: error\ndata: " + doc + b"\n\n"
    _, decoder = decode([chunk(choice(0, "stop")), event] if streamed else [doc], streamed)
    assert decoder.error == {"message": "overloaded"}
    assert not decoder.complete
    _, decoder = decode([b"data: " + doc + b"\n\n"])
    assert decoder.error == {"message": "overloaded"}


@pytest.mark.parametrize(
    ("events", "n", "complete"),
    [
        ([], 1, False),
        ([DONE], 1, True),
        ([chunk(choice(0, content="x"))], 1, False),
        ([chunk(choice(0, content="x")), chunk(choice(0, finish="stop"))], 1, True),
        ([chunk(choice(0, content="x", finish="stop"))], 1, True),
        ([chunk(choice(0, content="x", finish=""))], 1, False),
        ([chunk({"index": 0, "delta": {}, "finish_reason": 5})], 1, False),
        ([chunk(choice(0, finish="stop"))], 2, False),
        ([chunk(choice(0, finish="stop")), chunk(choice(1, content="x"))], 1, False),
        ([chunk(choice(0, finish="stop"), choice(1, finish="stop"))], 2, True),
    ],
)
def test_complete_streams(events: list[bytes], n: int, complete: bool) -> None:
    assert decode(events, n=n)[1].complete is complete


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"choices":[]}', b'{"choices":["odd"]}'])
def test_incomplete_plain_bodies(body: bytes) -> None:
    assert not decode([body], streamed=False)[1].complete


def test_is_done() -> None:
    assert is_done(DONE)
    assert is_done(b"data:[DONE]\r\n\r\n")
    assert is_done(b": x\ndata: [DONE]\n\n")
    assert not is_done(b": [DONE]\n\n")
    assert not is_done(chunk(choice(0, content="[DONE]")))


def test_content_text_of_nothing_is_nothing() -> None:
    assert content_text(None) == ("", "")
