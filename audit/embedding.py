"""Where texts lie to each other: hashed words, word pairs and letter triples, weighted by how rare they are, as unit vectors.

One rule: the same texts give the same vectors; nothing is trained and nothing is downloaded.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from attribution.text import words_of

DIMENSIONS: Final = 512
_CHARS: Final = 2_000


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """(texts, DIMENSIONS), rows of length 1; a text without a word is a row of zeros."""
    counted = [Counter(_pieces(text)) for text in texts]
    often = Counter(piece for pieces in counted for piece in pieces)
    found = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
    for row, pieces in enumerate(counted):
        for piece, count in pieces.items():
            place = zlib.crc32(piece.encode("utf-8", "replace"))
            sign = 1.0 if place & 1 else -1.0
            found[row, (place >> 1) % DIMENSIONS] += sign * (1 + math.log(count)) * math.log(1 + len(texts) / often[piece])
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    made: NDArray[np.float32] = (found / np.maximum(lengths, 1e-9)).astype(np.float32)
    return made


def _pieces(text: str) -> Iterator[str]:
    words = words_of(text[:_CHARS])
    yield from (f"w {word}" for word in words)
    yield from (f"p {first} {second}" for first, second in pairwise(words))
    for word in words:
        padded = f" {word} "
        yield from (f"c {padded[start : start + 3]}" for start in range(len(padded) - 2))
