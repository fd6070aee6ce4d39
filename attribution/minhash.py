"""MinHash of texts, many at once: near-duplicates share a band of their signature, and agree in most of it.

One rule: the same text has the same signature whatever texts it is computed with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]

#: Hashes of a signature, and its bands of ROWS hashes each: two texts of Jaccard similarity 0.8 share one with a probability
#: of 0.985, of 0.9 with 0.9998.
HASHES: Final = 32
ROWS: Final = 4
BANDS: Final = HASHES // ROWS
#: Bytes read of a text, and of a shingle, which begins where a word begins.
MOST_BYTES: Final = 2_000
SHINGLE: Final = 20
#: Similarity from which on two texts are near-duplicates, by their signatures.
SIMILAR: Final = 0.7

_BASE: Final = 0x9E3779B97F4A7C15
_INVERSE: Final = pow(_BASE, -1, 1 << 64)
_random = np.random.default_rng(20_260_210)
_FACTORS: Final[U64] = _random.integers(0, 1 << 63, HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_SHIFTS: Final[U64] = _random.integers(0, 1 << 63, HASHES, dtype=np.uint64)
_POWERS: Final[U64] = np.array([pow(_BASE, place, 1 << 64) for place in range(1 << 12)], dtype=np.uint64)
_INVERSES: Final[U64] = np.array([pow(_INVERSE, place, 1 << 64) for place in range(1 << 12)], dtype=np.uint64)
#: Byte -> the same in lower case, and whether it belongs to a word.
_LOWER: Final = np.array([ord(chr(code).lower()) if code < 0x80 else code for code in range(256)], dtype=np.uint8)
_LETTER: Final = np.array([code >= 0x80 or chr(code).isalnum() for code in range(256)], dtype=np.bool_)
assert len(_POWERS) > MOST_BYTES + SHINGLE


def signatures(texts: Sequence[str]) -> U64:
    """One row of HASHES per text."""
    made = np.full((len(texts), HASHES), np.iinfo(np.uint64).max, dtype=np.uint64)
    for place, text in enumerate(texts):
        shingles = _shingles(text)
        if len(shingles):
            made[place] = (shingles[:, None] * _FACTORS + _SHIFTS).min(axis=0)
    return made


def _shingles(text: str) -> U64:
    """Hashes of the stretches of SHINGLE bytes that begin with a word."""
    data = np.frombuffer(text.encode("utf-8", "replace")[:MOST_BYTES], dtype=np.uint8)
    data = _LOWER[data]
    letters = _LETTER[data]
    if not letters.any():
        return np.empty(0, dtype=np.uint64)
    begins = np.flatnonzero(letters & ~np.concatenate(([False], letters[:-1])))
    sums = np.zeros(len(data) + SHINGLE + 1, dtype=np.uint64)
    np.cumsum(data * _POWERS[: len(data)], out=sums[1 : len(data) + 1])
    sums[len(data) + 1 :] = sums[len(data)]
    hashes = np.unique((sums[begins + SHINGLE] - sums[begins]) * _INVERSES[begins])
    # A polynomial's low bits depend on the last characters alone: mix them.
    hashes ^= hashes >> np.uint64(31)
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(29)
    return hashes


def bands(signs: U64) -> U64:
    """One key per text and band."""
    keys = np.zeros((len(signs), BANDS), dtype=np.uint64)
    for row in range(ROWS):
        keys = (keys ^ signs[:, row::ROWS]) * np.uint64(_BASE)
        keys ^= keys >> np.uint64(32)
    return keys


def shorten(signs: U64) -> U64:
    """The low byte of each mixed hash, eight to a column: what `similarity` compares."""
    mixed = (signs ^ (signs >> np.uint64(32))) * np.uint64(_BASE)
    return np.ascontiguousarray((mixed >> np.uint64(56)).astype(np.uint8)).view(np.uint64)


def similarity(one: U64, other: U64) -> NDArray[np.float64]:
    """The Jaccard similarity of texts, row by row, from what `shorten` gave."""
    agree = (one.view(np.uint8) == other.view(np.uint8)).mean(axis=1)
    found: NDArray[np.float64] = np.clip((agree - 1 / 256) / (1 - 1 / 256), 0.0, 1.0)
    return found
