"""Decoding a copy of a compressed body, to read it; what is forwarded stays as it was sent.

One rule: memory is bounded before it is used. No input, however small, makes more than the size cap, or more than the ratio cap
allows for what came in.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import IO, Protocol, cast

import brotli
import zstandard

from proxy.errors import GuardError, ProtocolError

#: Output is taken in steps of this size and counted after each.
_STEP = 65_536
#: Below this much output the ratio is not looked at: short repetitive text compresses a thousandfold.
_RATIO_FLOOR = 1 << 20
#: RFC 9659: of zstd on the web.
_ZSTD_WINDOW = 8 << 20

_Count = Callable[[int], None]


class _Coding(Protocol):
    def feed(self, data: bytes, count: _Count) -> bytes:
        """Decode; `count` is told of output sizes as they arise, and raises to stop."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the compressed data came to its end."""
        ...


class Decoder:
    """Decodes a body as it comes.

    `encoding`: the value of Content-Encoding (`gzip`, `deflate`, `br`, `zstd`, `identity`, or a list of them). `max_bytes`:
    of output.
    `max_ratio`: output to input, looked at beyond a mebibyte of output. `error`: what to raise, with the reason as its message:
    ProtocolError for replies, InvalidRequest for requests. After an error the decoder is of no more use."""

    def __init__(
        self, encoding: str, *, max_bytes: int, max_ratio: float = 200.0, error: Callable[[str], GuardError] = ProtocolError
    ):
        self._error = error
        self._max_bytes = max_bytes
        self._max_ratio = max_ratio
        self._taken = 0
        self._given = 0
        names = [name for part in encoding.lower().split(",") if (name := part.strip()) not in ("", "identity")]
        unknown = [name for name in names if name not in _CODINGS]
        if unknown or len(names) > 3:
            raise error(f"the content encoding {encoding[:40]!r} is not supported")
        self._codings = [_CODINGS[name]() for name in reversed(names)]

    def feed(self, data: bytes) -> bytes:
        """Take bytes, return what they decode to so far. Raises `error` on broken data and over a cap."""
        self._taken += len(data)
        last = len(self._codings) - 1
        if not self._codings:
            self._counter(final=True)(len(data))
        for place, coding in enumerate(self._codings):
            made = self._counter(final=place == last)
            try:
                data = coding.feed(data, made)
            except _BROKEN as error:
                raise self._error("the body does not decode by its content encoding") from error
        return data

    def flush(self) -> bytes:
        """The body is over: nothing is left to return. Raises `error` if the compressed data is not."""
        if self._taken and not all(coding.ended for coding in self._codings):
            raise self._error("the compressed body ends early")
        return b""

    def _counter(self, *, final: bool) -> _Count:
        """Counts one step's output; only that of the last coding adds up, inner ones are bounded alone."""
        before = self._given if final else 0
        made = 0

        def count(size: int) -> None:
            nonlocal made
            made += size
            total = before + made
            if final:
                self._given = total
            if total > self._max_bytes:
                raise self._error(f"the body is over {self._max_bytes} bytes when decoded")
            if total > _RATIO_FLOOR and total > self._max_ratio * self._taken:
                raise self._error("the body decodes to too many times its size")

        return count


def decode(
    body: bytes, encoding: str, *, max_bytes: int, max_ratio: float = 200.0, error: Callable[[str], GuardError] = ProtocolError
) -> bytes:
    """A whole body, decoded. Arguments and errors as of Decoder."""
    decoder = Decoder(encoding, max_bytes=max_bytes, max_ratio=max_ratio, error=error)
    return decoder.feed(body) + decoder.flush()


class _Gzip:
    """gzip, members joined; what follows a member and is none is ignored, as browsers do."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)

    @property
    def ended(self) -> bool:
        return self._inflate.eof

    def feed(self, data: bytes, count: _Count) -> bytes:
        out: list[bytes] = []
        while data:
            if self._inflate.eof:
                if data[:1] != b"\x1f":
                    break
                self._inflate = zlib.decompressobj(wbits=31)
            data = _inflated(self._inflate, data, out, count)
        return b"".join(out)


class _Deflate:
    """deflate in its zlib wrapping, or raw as some servers send it."""

    def __init__(self) -> None:
        self._inflate: zlib._Decompress | None = None

    @property
    def ended(self) -> bool:
        return self._inflate is not None and self._inflate.eof

    def feed(self, data: bytes, count: _Count) -> bytes:
        out: list[bytes] = []
        if data:
            if self._inflate is None:  # a zlib header's low half of the first byte is 8; a raw stream's is not, in practice
                self._inflate = zlib.decompressobj(wbits=15 if data[0] & 15 == 8 else -15)
            _inflated(self._inflate, data, out, count)
        return b"".join(out)


def _inflated(inflate: zlib._Decompress, data: bytes, out: list[bytes], count: _Count) -> bytes:
    """Append what `data` inflates to, step by step; return what lies behind the end of the compressed data."""
    while True:
        made = inflate.decompress(data, _STEP)
        count(len(made))
        out.append(made)
        data = inflate.unconsumed_tail
        if inflate.eof or (len(made) < _STEP and not data):
            return inflate.unused_data


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()

    @property
    def ended(self) -> bool:
        return bool(self._inner.is_finished())

    def feed(self, data: bytes, count: _Count) -> bytes:
        out: list[bytes] = []
        while not self._inner.is_finished():
            made = self._inner.process(data, output_buffer_limit=_STEP)
            if not made:  # the one sure sign that nothing is pending
                break
            count(len(made))
            out.append(made)
            data = b""
        return b"".join(out)


def _ignore(size: int) -> None:
    """Stands where a counter will, before anything is decoded."""


class _Zstd:
    """The library writes into us step by step, so that an exception of `count` stops it in the middle of a block."""

    def __init__(self) -> None:
        self._out: list[bytes] = []
        self._count: _Count = _ignore
        self._inner = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).stream_writer(
            cast(IO[bytes], self), write_size=_STEP
        )

    @property
    def ended(self) -> bool:
        """Not known: the library tells no end of frame here. A cut body shows as JSON that ends early, or a stream without
        end."""
        return True

    def feed(self, data: bytes, count: _Count) -> bytes:
        self._count = count
        self._inner.write(data)
        made = b"".join(self._out)
        self._out.clear()
        return made

    def write(self, data: bytes) -> int:
        self._count(len(data))
        self._out.append(bytes(data))
        return len(data)


_BROKEN = (zlib.error, brotli.error, zstandard.ZstdError)
_CODINGS: dict[str, Callable[[], _Coding]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
