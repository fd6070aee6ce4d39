"""Text to the rows of a hashed weight table: byte n-grams, words and word pairs, and the opening words once more.

One rule: the same text gives the same rows everywhere and for ever (of one VERSION), in a few vectorised numpy passes that
are linear in its bytes - measured 25 microseconds for 1.5 kB.
"""

from __future__ import annotations

import threading
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
_BYTE_SALTS = {
    4: (_U32(0xBB67AE85), _U32(0)),
    5: (_U32(0x3C6EF373), _U32(0xA54FF53B)),
    6: (_U32(0xC2B2AE3D), _U32(0x27D4EB2F)),
}
_WORD_SALT = _U64(0x9E3779B97F4A7C15)
_PAIR_LEFT, _PAIR_RIGHT = _U64(0xC2B2AE3D27D4EB4F), _U64(0x165667B19E3779F9)
_OPENING_WORD = _U64(0xD6E8FEB86659FD93)
_OPENING_PAIR = _U64(0xA0761D6478BD642F)
_BASE = 0x5851F42D4C957F2D


class _Scratch(threading.local):
    """Room for intermediate results, one a thread: fresh arrays of this size cost more than the arithmetic in them."""

    def __init__(self) -> None:
        self.narrow = np.empty(MAX_BYTES + 2, dtype=_U32)
        self.wide = np.empty(2 * MAX_BYTES + 64, dtype=_U64)
        self.flags = np.empty(MAX_BYTES + 2, dtype=np.bool_)


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
_scratch = _Scratch()
_NO_WORDS = np.empty(0, dtype=_U64)
_MIX = _U64(29)
# Made once: creating a numpy scalar costs as much as a pass over a hundred bytes.
_SHIFTS = {bits: _U32(32 - bits) for bits in range(8, 24)}
_WIDE_SHIFTS = {bits: _U64(64 - bits) for bits in range(8, 24)}
_GROUP_WEIGHTS = [(size + 8.0) ** -0.5 for size in range(MAX_BYTES + 1)]
_LONGEST = max(_BYTE_SALTS)


def fold(text: str) -> bytes:
    """Lower-cased, NFC, typographic apostrophes made plain, as UTF-8. Lone surrogates become `?`."""
    if text.isascii():
        return text.lower().encode()
    folded = unicodedata.normalize("NFC", text.lower()).replace("\u2019", "'")
    return folded.encode("utf-8", "replace")


def cut(text: str, head: int, tail: int) -> bytes:
    """The folded text; of a longer one its first `head` and last `tail` bytes, joined by a newline where there is a tail."""
    if len(text) > head + tail:
        start, end = fold(text[:head])[:head], fold(text[-tail:])[-tail:] if tail else b""
    else:
        data = fold(text)
        if len(data) <= head + tail:
            return data
        start, end = data[:head], data[-tail:] if tail else b""
    return start + b"\n" + end if tail else start


def hash_features(data: bytes, spec: FeatureSpec) -> tuple[IdArray, WeightArray]:
    """Rows in `[0, spec.rows)` and the weight of each, of a folded text (its first MAX_BYTES - 2 bytes).

    Every group (an n-gram order, words, pairs, opening) weighs 1 / sqrt(its size + 8), so that neither a long text nor a
    large group drowns the rest. An empty text has the n-grams of its padding.
    """
    data = b" " + data[: MAX_BYTES - 2] + b" "
    if len(data) < _LONGEST:
        data += b" " * (_LONGEST - len(data))
    words = _words(data)
    count, opening = len(words), min(len(words), spec.opening_words)
    pairs = max(count - 1, 0)
    opening_pairs = max(opening - 1, 0)
    sizes = [len(data) - order + 1 for order in spec.char_orders]
    sizes += (count, pairs, opening, opening_pairs)
    total = sum(sizes)
    both = np.empty(2 * total, dtype=_U32)
    hashes, weights = both[:total], both[total:].view(np.float32)
    at = 0
    for size in sizes:
        weights[at : at + size] = _GROUP_WEIGHTS[size]
        at += size
    bits = spec.rows.bit_length() - 1
    at = _byte_grams(data, spec.char_orders, bits, hashes)
    if count:
        _word_grams(words, opening, bits, hashes[at:])
    return hashes.view(np.int32), weights


def _byte_grams(data: bytes, orders: tuple[int, ...], bits: int, out: npt.NDArray[np.uint32]) -> int:
    """Write the rows of all byte n-grams; returns how many. Longer n-grams are two overlapping fours."""
    count = len(data) - 3
    quads: npt.NDArray[np.uint32] = np.ndarray((count,), "<u4", data, 0, (1,))  # every four bytes, without a copy
    shift = _SHIFTS[bits]
    at = 0
    for order in orders:
        first, second = _BYTE_SALTS[order]
        size = count + 4 - order
        rows = out[at : at + size]
        np.multiply(quads[:size], first, out=rows)
        if order > 4:
            rest = _scratch.narrow[:size]
            np.multiply(quads[order - 4 :], second, out=rest)
            np.add(rows, rest, out=rows)
        np.right_shift(rows, shift, out=rows)
        at += size
    return at


def _words(data: bytes) -> npt.NDArray[np.uint64]:
    """The 64-bit polynomial hash of every word, in order, whatever its position."""
    raw = np.frombuffer(data, dtype=np.uint8)
    inside = _scratch.flags[: len(raw)]
    _IS_WORD.take(raw, out=inside, mode="clip")
    starts = (inside[1:] > inside[:-1]).nonzero()[0]
    if not len(starts):
        return _NO_WORDS
    starts += 1
    values = _scratch.wide[: len(raw)]
    _VALUES.take(raw, out=values, mode="clip")
    np.multiply(values, _POWERS[: len(raw)], out=values)
    hashed: npt.NDArray[np.uint64] = np.add.reduceat(values, starts)
    hashed *= _INVERSES.take(starts)
    hashed ^= hashed >> _MIX
    return hashed


def _word_grams(words: npt.NDArray[np.uint64], opening: int, bits: int, out: npt.NDArray[np.uint32]) -> None:
    """Write the rows of words and word pairs, then of those of the opening once more."""
    count = len(words)
    rows = _scratch.wide[: len(out)]
    np.multiply(words, _WORD_SALT, out=rows[:count])
    pairs = rows[count : 2 * count - 1]
    np.multiply(words[:-1], _PAIR_LEFT, out=pairs)
    pairs += words[1:] * _PAIR_RIGHT
    if opening:
        at = 2 * count - 1
        np.multiply(words[:opening], _OPENING_WORD, out=rows[at : at + opening])
        np.multiply(pairs[: opening - 1], _OPENING_PAIR, out=rows[at + opening :])
    np.right_shift(rows, _WIDE_SHIFTS[bits], out=out, casting="unsafe")
