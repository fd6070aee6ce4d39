"""Bodies as pieces, whatever the API: every byte once, careful reading, nothing raises."""

from __future__ import annotations

from typing import Any

import pytest

from core.types import Delta, Usage
from proxy.wire.decoding import BodyDecoder, Said, count, is_done, usage_of


class Decoder(BodyDecoder):
    """An API whose documents are {"t": text}."""

    __slots__ = ()

    def _read(self, doc: dict[str, Any]) -> Said:
        return (Delta(0, doc["t"]),) if "t" in doc else (), usage_of(doc.get("usage"))


def read(streamed: bool, *chunks: bytes) -> tuple[Decoder, str, bytes]:
    decoder = Decoder(streamed)
    pieces = [piece for chunk in chunks for piece in decoder.feed(chunk)] + list(decoder.flush())
    return decoder, "".join(d.text for p in pieces for d in p.deltas), b"".join(p.data for p in pieces)


STREAM = (
    b': hi\n\nevent: x\ndata: {"t":"a"}\n\ndata: {"t":\ndata: "b"}\r\n\r\n'
    b'data: {"t":"c"}\ndata: {"t":"d"}\n\ndata: [DONE]\n\n{"t":"e"}'
)


@pytest.mark.parametrize("cut", range(1, len(STREAM), 5))
def test_a_stream_says_the_same_however_it_is_cut(cut: int) -> None:
    decoder, text, data = read(True, STREAM[:cut], STREAM[cut:])
    assert (text, data, decoder.done, decoder.malformed) == ("abcde", STREAM, True, 0)


def test_what_cannot_be_read_is_counted() -> None:
    assert read(True, b"data: {junk\n\ndata: 7\n\n\n\n")[0].malformed == 2
    assert read(True, b"data: {junk\ndata: [DONE]\n\n")[0].done
    assert read(False, b"<html>")[0].malformed == 1
    assert read(False)[2] == b""


def test_a_plain_body_is_one_piece() -> None:
    assert read(False, b'{"t":', b'"a"}')[1:] == ("a", b'{"t":"a"}')


def test_an_api_says_what_its_documents_mean() -> None:
    with pytest.raises(NotImplementedError):
        BodyDecoder(False)._read({})


def test_the_end_and_the_usage() -> None:
    assert (is_done(b"data: [DONE]\n\n"), is_done(b'data: "[DONE]"\n\n'), is_done(b": x\n\n")) == (True, False, False)
    assert (usage_of({"prompt_tokens": 3, "completion_tokens": "x"}), usage_of(7), count(None)) == (Usage(3, 0), None, 0)
