"""An attempt's reply as pieces: raw bytes kept, compressed ones decoded for reading only, incomplete ones refused."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Sequence

import pytest

from core.types import Piece
from proxy.errors import ProtocolError
from proxy.inflow import Inflow
from proxy.upstream.base import Headers, Whole
from proxy.wire import chat
from tests.proxy.fake_upstream import DONE, JSON, SSE, completion, event, events, message
from tests.proxy.rig import DANUBE


class Reply(Whole):
    """An upstream's reply in hand."""

    def __init__(self, chunks: Sequence[bytes], headers: Headers) -> None:
        self.status, self.reason, self.headers = 200, "OK", headers
        self.released = 0
        self._chunks = chunks

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk

    def release(self) -> None:
        self.released += 1

    def abort(self) -> None:
        raise AssertionError


def begun(chunks: Sequence[bytes], headers: Headers, n: int = 1) -> tuple[Inflow, Reply]:
    inflow, reply = Inflow(chat, n), Reply(chunks, headers)
    inflow.begin(reply)
    return inflow, reply


async def pieces_of(inflow: Inflow) -> list[Piece]:
    return [piece async for pieces in inflow.pieces() for piece in pieces]


@pytest.mark.parametrize(
    ("headers", "stream", "encoding", "length"),
    [
        (JSON, False, "", None),
        ([("content-type", "Text/Event-Stream"), ("CONTENT-ENCODING", " GZIP ")], True, "gzip", None),
        ([("Content-Encoding", "identity"), ("Content-Length", "12")], False, "", 12),
        ([("Content-Length", "-1")], False, "", None),
    ],
)
def test_the_head_is_read(headers: Headers, stream: bool, encoding: str, length: int | None) -> None:
    inflow, _ = begun([], headers)
    assert (inflow.event_stream, inflow.encoding, inflow.length) == (stream, encoding, length)


async def test_before_the_head_nothing_is_known() -> None:
    inflow = Inflow(chat)
    inflow.close()
    assert (inflow.status, inflow.event_stream) == (0, None)


async def test_pieces_are_the_bytes_that_came() -> None:
    body = b"".join(events(DANUBE))
    inflow, _ = begun([body[:100], body[100:101], body[101:]], SSE)
    pieces = await pieces_of(inflow)
    assert b"".join(piece.data for piece in pieces) == body
    assert "".join(delta.text for piece in pieces for delta in piece.deltas) == DANUBE
    assert (len(pieces), inflow.id) == (len(events(DANUBE)), "chatcmpl-1")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_compressed_body_is_one_piece_with_its_bytes_kept(stream: bool) -> None:
    body = b"".join(events(DANUBE, usage=True)) if stream else completion(message(DANUBE))
    packed = gzip.compress(body)
    inflow, _ = begun([packed[:9], packed[9:]], [*(SSE if stream else JSON), ("Content-Encoding", "gzip")])
    (piece,) = await pieces_of(inflow)
    assert piece.data == packed
    assert piece.usage is not None
    assert "".join(delta.text for delta in piece.deltas) == DANUBE
    assert b"".join(own.data for own in inflow.plain or ()) == body


@pytest.mark.parametrize(
    ("chunks", "headers", "n"),
    [
        ([event({"content": "x"})], SSE, 1),
        ([event({}, finish="stop")], SSE, 2),
        ([], SSE, 1),
        ([b"{"], JSON, 1),
        ([b"<html>"], JSON, 1),
        ([b"junk"], [*JSON, ("Content-Encoding", "gzip")], 1),
        ([gzip.compress(b"{}")[:-5]], [*JSON, ("Content-Encoding", "gzip")], 1),
        ([b"{}"], [*JSON, ("Content-Encoding", "rot13")], 1),
    ],
)
async def test_what_is_not_whole_or_no_answer_is_refused(chunks: list[bytes], headers: Headers, n: int) -> None:
    inflow, _ = begun(chunks, headers, n)
    with pytest.raises(ProtocolError):
        await pieces_of(inflow)


@pytest.mark.parametrize("chunks", [[DONE], [event({}, finish="stop")], [b'data: {"error":{"message":"x"}}\n\n']])
async def test_an_end_or_an_error_of_its_own_is_enough(chunks: list[bytes]) -> None:
    inflow, _ = begun(chunks, SSE)
    assert b"".join(piece.data for piece in await pieces_of(inflow)) == b"".join(chunks)


async def test_closing_twice_releases_once() -> None:
    inflow, reply = begun([], JSON)
    inflow.close()
    inflow.close()
    assert reply.released == 1
