"""The splitter gives out what it took in, cut at the same places however it came."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.sse import Splitter, data_lines, data_of

EMOJI = 'data: {"t": "naïve 🤖 你好 👩‍👩‍👧"}'.encode()
RECORDED = [
    b"data: a\n\ndata: b\n\n",
    b"data: a\r\n\r\ndata: b\r\n\r\n",
    b"data: a\r\rdata: b\r\r",
    b"data: a\n\r\ndata: b\r\n\ndata: c\n\rdata: d\r\n\rdata: e\n\n",
    b": ping\n\nevent: x\ndata: 1\ndata: 2\nid: 7\n\n" + EMOJI + b"\n\n" + EMOJI + b"\r\n\r\n",
    b"\xef\xbb\xbfdata: bom\n\n\n\n\ndata: after blank lines\n\nthe rest",
    b"\n\n\r\n\r\n\r\r",
    b"data: a\r\rdata: one line feed pair\n\n",
    b"data: unfinished",
    b"data: half a blank line\r\n\r",
    b"",
]


def run(chunks: list[bytes]) -> list[bytes]:
    splitter = Splitter()
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    rest = splitter.flush()
    return [*events, rest] if rest else events


@pytest.mark.parametrize("stream", RECORDED)
def test_every_pair_of_split_points_gives_the_same_events(stream: bytes) -> None:
    whole = run([stream])
    assert b"".join(whole) == stream
    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            assert run([stream[:first], stream[first:second], stream[second:]]) == whole
    assert run([stream[place : place + 1] for place in range(len(stream))]) == whole


_PIECES = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"data: x", b"data:", b"\xf0\x9f\xa4\x96", b":"])
)


@given(st.lists(_PIECES))
def test_events_do_not_depend_on_chunking(chunks: list[list[bytes]]) -> None:
    parts = [b"".join(chunk) for chunk in chunks]
    stream = b"".join(parts)
    events = run(parts)
    assert b"".join(events) == stream
    assert events == run([stream])
    assert events == run([stream[place : place + 1] for place in range(len(stream))])


@given(_PIECES)
def test_an_event_ends_with_the_first_blank_line_after_a_line(pieces: list[bytes]) -> None:
    # The reading of the specification, spelled out: turn all line ends into \n; the blank lines are then pairs of them.
    splitter = Splitter()
    events = splitter.feed(b"".join(pieces))
    for event in [*events, splitter.flush()]:
        plain = event.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert plain.find(b"\n\n") in (-1, len(plain) - 2)
    for event in events:
        assert event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").endswith(b"\n\n")


def test_an_event_is_given_out_as_soon_as_it_is_complete() -> None:
    splitter = Splitter()
    assert splitter.feed(b"data: a\n") == []
    assert splitter.feed(b"\n") == [b"data: a\n\n"]
    assert splitter.feed(b"data: b\r\n\r\n") == [b"data: b\r\n\r\n"]
    assert splitter.feed(b"data: c\r\n\r") == []
    assert splitter.feed(b"\ndata: d\r\r") == [b"data: c\r\n\r\n"]
    assert splitter.feed(b"x") == [b"data: d\r\r"]
    assert splitter.flush() == b"x"
    assert splitter.flush() == b""


def test_single_bytes_cost_linear_time() -> None:
    def seconds(size: int) -> float:
        best = float("inf")
        for _ in range(3):
            splitter = Splitter()
            start = time.perf_counter()
            for _ in range(size):
                splitter.feed(b"x")
            best = min(best, time.perf_counter() - start)
        return best

    assert seconds(80_000) < 16 * seconds(10_000)  # quadratic would be 64


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:a\r\n\r\n", b"a"),
        (b"data:  a \r\r", b" a "),
        (b"data: a", b"a"),
        (b"data: a\ndata:b\r\ndata\nevent: e\n\n", b"a\nb\n"),
        (b"event: e\ndata: a\n\n", b"a"),
        (b"\xef\xbb\xbfdata: a\n\n", b"a"),
        (b"\n\ndata: a\n\n", b"a"),
        (b": data: a\n\n", None),
        (b"dataset: a\n\n", None),
        (b"data: \n\n", b""),
        (b"\n\n", None),
        (b"", None),
    ],
)
def test_data_of(event: bytes, data: bytes | None) -> None:
    assert data_of(event) == data
    assert b"\n".join(data_lines(event)) == (data or b"")
