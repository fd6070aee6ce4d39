"""Text to the rows of a hashed weight table: byte n-grams, words and word pairs, and the opening words once more.

One rule: the same text gives the same rows everywhere and for ever (of one VERSION), in a few vectorised numpy passes that
are linear in its bytes - measured 25 microseconds for 1.5 kB.
"""

from __future__ import annotations

import unicodedata

import numpy as np
import numpy.typing as npt

from detectors.base import FeatureSpec

#: Raised with every change of what a text hashes to; models of another version refuse to load.
VERSION = 1
#: Longest text that is hashed, in bytes; callers cut before (see `cut`).
MAX_BYTES = 4096

IdArray = npt.NDArray[np.int32]
WeightArray = npt.NDArray[np.float32]

_U32 = np.uint32
_U64 = np.uint64
# Odd constants of multiply-shift hashing: from the digits of the golden ratio, sqrt(3) and sqrt(5).
_BYTE_SALTS = {3: (0x9E3779B1, 0), 4: (0xBB67AE85, 0), 5: (0x3C6EF373, 0xA54FF53B), 6: (0xC2B2AE3D, 0x27D4EB2F)}
_WORD_SALT = _U64(0x9E3779B97F4A7C15)
_PAIR_LEFT, _PAIR_RIGHT = _U64(0xC2B2AE3D27D4EB4F), _U64(0x165667B19E3779F9)
_OPENING_WORD = _U64(0xD6E8FEB86659FD93)
_OPENING_PAIR = _U64(0xA0761D6478BD642F)
_BASE = 0x5851F42D4C957F2D


def _powers(base: int) -> npt.NDArray[np.uint64]:
    powers = np.empty(MAX_BYTES + 2, dtype=_U64)
    value = 1
    for i in range(len(powers)):
        powers[i] = value
        value = value * base % 2**64
    return powers


def _byte_values() -> npt.NDArray[np.uint64]:
    """A random-looking odd number for every byte that is part of a word (ASCII letters and digits, apostrophe, and all bytes
    of multi-byte characters), 0 for the others."""
    values = np.zeros(256, dtype=_U64)
    state = 0x9E3779B97F4A7C15
    for byte in range(256):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        if byte >= 0x80 or chr(byte).isalnum() or byte == 0x27:
            values[byte] = state | 1
    return values


_POWERS = _powers(_BASE)
_INVERSES = _powers(pow(_BASE, -1, 2**64))
_VALUES = _byte_values()
_IS_WORD = _VALUES != 0


def fold(text: str) -> bytes:
    """Lower-cased, NFC, typographic apostrophes made plain, as UTF-8. Lone surrogates become `?`."""
    if text.isascii():
        return text.lower().encode()
    folded = unicodedata.normalize("NFC", text.lower()).replace("\u2019", "'")
    return folded.encode("utf-8", "replace")


def cut(text: str, head: int, tail: int) -> bytes:
    """The folded text, or its first `head` and last `tail` bytes joined by a newline where it is longer than both."""
    if len(text) > head + tail:
        start, end = fold(text[:head])[:head], fold(text[-tail:])[-tail:] if tail else b""
        return start + b"\n" + end
    data = fold(text)
    if len(data) <= head + tail:
        return data
    return data[:head] + b"\n" + (data[-tail:] if tail else b"")


def hash_features(data: bytes, spec: FeatureSpec) -> tuple[IdArray, WeightArray]:
    """Rows in `[0, spec.rows)` and the weight of each, of a folded text (its first MAX_BYTES - 2 bytes).

    Every group (an n-gram order, words, pairs, opening) weighs 1 / sqrt(its size + 8), so that neither a long text nor a
    large group drowns the rest. An empty text has no rows.
    """
    data = b" " + data[: MAX_BYTES - 2] + b" "
    count = len(data)
    if count < 6:
        data, count = data + b" " * (6 - count), 6
    raw = np.frombuffer(data, dtype=np.uint8)
    words = _words(raw, count)
    grams = count - 3
    sizes = [grams if order < 5 else count - order + 1 for order in spec.char_orders]
    opening = min(len(words), spec.opening_words)
    sizes += [len(words), max(len(words) - 1, 0), opening, max(opening - 1, 0)]
    total = sum(sizes)
    hashes = np.empty(total, dtype=_U32)
    weights = np.empty(total, dtype=np.float32)
    at = 0
    for size in sizes:
        weights[at : at + size] = (size + 8.0) ** -0.5
        at += size
    bits = spec.rows.bit_length() - 1
    at = _byte_grams(raw, spec.char_orders, bits, hashes)
    _word_grams(words, opening, bits, hashes[at:])
    return hashes.view(np.int32), weights


def _byte_grams(raw: npt.NDArray[np.uint8], orders: tuple[int, ...], bits: int, out: npt.NDArray[np.uint32]) -> int:
    """Write the rows of all byte n-grams; returns how many."""
    wide = raw.astype(_U32)
    pairs = wide[:-1] | (wide[1:] << _U32(8))
    quads = pairs[:-2] | (pairs[2:] << _U32(16))
    shift = _U32(32 - bits)
    at = 0
    for order in orders:
        first, second = _BYTE_SALTS[order]
        if order == 3:
            hashed = (quads & _U32(0xFFFFFF)) * _U32(first)
        elif order == 4:
            hashed = quads * _U32(first)
        else:
            hashed = quads[: 4 - order] * _U32(first) + quads[order - 4 :] * _U32(second)
        np.right_shift(hashed, shift, out=out[at : at + len(hashed)])
        at += len(hashed)
    return at


def _words(raw: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.uint64]:
    """The 64-bit polynomial hash of every word, in order, whatever its position."""
    inside = _IS_WORD.take(raw)
    starts = np.flatnonzero(inside[1:] > inside[:-1]) + 1
    if not len(starts):
        return np.empty(0, dtype=_U64)
    sums = np.add.reduceat(_VALUES.take(raw) * _POWERS[:count], starts)
    hashed: npt.NDArray[np.uint64] = sums * _INVERSES.take(starts)
    return hashed ^ (hashed >> _U64(29))


def _word_grams(words: npt.NDArray[np.uint64], opening: int, bits: int, out: npt.NDArray[np.uint32]) -> None:
    shift = _U64(64 - bits)
    pairs = words[:-1] * _PAIR_LEFT + words[1:] * _PAIR_RIGHT
    joined = np.concatenate(
        (words * _WORD_SALT, pairs, words[:opening] * _OPENING_WORD, pairs[: max(opening - 1, 0)] * _OPENING_PAIR)
    )
    out[:] = joined >> shift
