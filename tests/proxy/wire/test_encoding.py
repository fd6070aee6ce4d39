"""Copies of compressed bodies are read, whole or in pieces, and never beyond the caps."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from itertools import pairwise

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import InvalidRequest, ProtocolError
from proxy.wire.encoding import Decoder, decode


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate ": raw_deflate,
    "br": lambda data: brotli.compress(data, quality=5),
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
    "": bytes,
    "gzip, BR": lambda data: brotli.compress(gzip.compress(data)),
    "zstd,identity, deflate": lambda data: zlib.compress(zstandard.ZstdCompressor().compress(data)),
}
TEXT = "Peace is not a program. 你好 🤖 ".encode() * 9000
COMPRESSED = [name for name in ENCODERS if name not in ("", "identity")]


@pytest.mark.parametrize("encoding", ENCODERS)
@pytest.mark.parametrize("data", [b"", b"a", TEXT])
def test_a_whole_body(encoding: str, data: bytes) -> None:
    assert decode(ENCODERS[encoding](data), encoding, max_bytes=1 << 20, max_ratio=10_000) == data


@pytest.mark.parametrize("encoding", ENCODERS)
@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 400), max_size=5))
def test_any_chunking(encoding: str, data: bytes, cuts: list[int]) -> None:
    body = ENCODERS[encoding](data)
    decoder = Decoder(encoding, max_bytes=1000)
    places = [0, *sorted(cuts), len(body)]
    got = b"".join(decoder.feed(body[start:end]) for start, end in pairwise(places))
    assert got + decoder.flush() == data


def test_a_stream_is_decoded_as_it_comes() -> None:
    deflate = zlib.compressobj(wbits=31)
    decoder = Decoder("gzip", max_bytes=1000)
    for event in (b"data: a\n\n", b"data: b\n\n"):
        assert decoder.feed(deflate.compress(event) + deflate.flush(zlib.Z_SYNC_FLUSH)) == event
    assert decoder.feed(deflate.flush()) + decoder.flush() == b""


def test_gzip_members_are_joined_and_padding_ignored() -> None:
    body = gzip.compress(b"one ") + gzip.compress(b"two") + b"\0\0\0"
    assert decode(body, "gzip", max_bytes=100) == b"one two"
    frame = zstandard.ZstdCompressor().compress(b"one")
    assert decode(frame + frame, "zstd", max_bytes=100) == b"oneone"


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_the_size_cap_holds_before_memory_is_used(encoding: str) -> None:
    bomb = ENCODERS[encoding](b"\0" * (32 << 20))
    tracemalloc.start()
    with pytest.raises(ProtocolError, match="over 2000000 bytes"):
        decode(bomb, encoding, max_bytes=2_000_000, max_ratio=1e9)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 << 20


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_the_ratio_cap(encoding: str) -> None:
    bomb = ENCODERS[encoding](b"\0" * (8 << 20))
    with pytest.raises(ProtocolError, match="times its size"):
        decode(bomb, encoding, max_bytes=1 << 30)


def test_caps_add_up_over_chunks() -> None:
    deflate = zlib.compressobj(wbits=31)
    chunks = [deflate.compress(b"a" * 600) + deflate.flush(zlib.Z_SYNC_FLUSH) for _ in range(2)]
    for encoding, parts in (("gzip", chunks), ("identity", [b"a" * 600] * 2)):
        decoder = Decoder(encoding, max_bytes=1000)
        assert decoder.feed(parts[0]) == b"a" * 600
        with pytest.raises(ProtocolError, match="over 1000 bytes"):
            decoder.feed(parts[1])


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_junk_does_not_decode(encoding: str) -> None:
    with pytest.raises(ProtocolError, match="does not decode"):
        decode(b"\x07this is nothing of the kind, but long enough to be told", encoding, max_bytes=1000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_cut_body_is_told(encoding: str) -> None:
    with pytest.raises(ProtocolError, match="ends early"):
        decode(ENCODERS[encoding](TEXT)[:-9], encoding, max_bytes=1 << 20, max_ratio=10_000)


@pytest.mark.parametrize("encoding", ["compress", "gzip, exi", "gzip,gzip,gzip,gzip"])
def test_unknown_encodings_are_refused_with_the_error_asked_for(encoding: str) -> None:
    with pytest.raises(InvalidRequest, match="not supported"):
        Decoder(encoding, max_bytes=10, error=InvalidRequest)


def test_a_window_beyond_the_webs_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    deflate = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = deflate.compress(TEXT) + deflate.flush()
    with pytest.raises(ProtocolError, match="does not decode"):
        decode(body, "zstd", max_bytes=1 << 20)
