"""The hashing: the same for ever, whatever the text, and equal to a slow reference written another way."""

from __future__ import annotations

import unicodedata
from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors import features
from detectors.base import FeatureSpec
from detectors.features import MAX_BYTES, cut, fold, hash_features

SPEC = FeatureSpec(version=1, rows=2**15, char_orders=(4, 6), opening_words=3)
#: Any characters at all, lone surrogates included.
ANY = st.text(st.characters(exclude_categories=()), max_size=200)


def words_of(data: bytes) -> list[bytes]:
    """Words, byte by byte."""
    words, word = [], b""
    for byte in data:
        if byte >= 0x80 or chr(byte).isalnum() or byte == 0x27:
            word += bytes([byte])
        elif word:
            words.append(word)
            word = b""
    return [*words, word] if word else words


def word_hash(word: bytes) -> int:
    value = sum(int(features._VALUES[byte]) * pow(features._BASE, i, 2**64) for i, byte in enumerate(word)) % 2**64
    return value ^ (value >> 29)


def reference(data: bytes, spec: FeatureSpec) -> Counter[tuple[int, float]]:
    """The rows and weights of a text, in plain Python."""
    bits = spec.rows.bit_length() - 1
    padded = (b" " + data + b" ").ljust(6, b" ")
    groups: list[list[int]] = []
    for order in spec.char_orders:
        first, second = (int(value) for value in features._BYTE_SALTS[order])
        rows = []
        for i in range(len(padded) - order + 1):
            value = int.from_bytes(padded[i : i + 4], "little") * first
            if order > 4:
                value += int.from_bytes(padded[i + order - 4 : i + order], "little") * second
            rows.append(value % 2**32 >> (32 - bits))
        groups.append(rows)
    words = [word_hash(word) for word in words_of(padded)]
    left, right = int(features._PAIR_LEFT), int(features._PAIR_RIGHT)
    pairs = [(a * left + b * right) % 2**64 for a, b in pairwise(words)]
    opening = min(len(words), spec.opening_words)
    wide = 64 - bits
    groups.append([word * int(features._WORD_SALT) % 2**64 >> wide for word in words])
    groups.append([pair >> wide for pair in pairs])
    groups.append([word * int(features._OPENING_WORD) % 2**64 >> wide for word in words[:opening]])
    groups.append([pair * int(features._OPENING_PAIR) % 2**64 >> wide for pair in pairs[: max(opening - 1, 0)]])
    return Counter((row, float(np.float32((len(rows) + 8.0) ** -0.5))) for rows in groups for row in rows)


@given(ANY)
def test_hashing_equals_the_reference(text: str) -> None:
    data = fold(text)
    rows, weights = hash_features(data, SPEC)
    assert Counter(zip(rows.tolist(), weights.tolist(), strict=True)) == reference(data, SPEC)


@given(ANY)
def test_rows_lie_in_the_table(text: str) -> None:
    rows, weights = hash_features(fold(text), SPEC)
    assert len(rows) == len(weights) > 0
    assert rows.min() >= 0
    assert rows.max() < SPEC.rows


def test_hashing_never_changes_within_a_version() -> None:
    rows, weights = hash_features(fold("Größe? It's 2 naïve 日本語 words."), SPEC)
    assert features.VERSION == 1
    assert (len(rows), int(rows.astype(np.int64).sum())) == (EXPECTED_COUNT, EXPECTED_SUM)
    assert round(float(weights.sum()), 3) == EXPECTED_WEIGHT


EXPECTED_COUNT, EXPECTED_SUM, EXPECTED_WEIGHT = 90, 1429572, 15.557


def test_results_of_one_call_survive_the_next() -> None:
    rows, weights = hash_features(b"the first text", SPEC)
    before = rows.tolist(), weights.tolist()
    hash_features(b"another text, and a longer one", SPEC)
    assert (rows.tolist(), weights.tolist()) == before


def test_a_word_counts_the_same_wherever_it_stands() -> None:
    spec = FeatureSpec(version=1, rows=2**15, char_orders=(), opening_words=0)
    near, _ = hash_features(b"peace", spec)
    far, _ = hash_features(b"x" * 3000 + b" peace", spec)
    assert near[0] in far


def test_texts_beyond_the_limit_are_cut() -> None:
    longest, _ = hash_features(b"ab " * 5000, SPEC)
    exact, _ = hash_features((b"ab " * 5000)[: MAX_BYTES - 2], SPEC)
    assert longest.tolist() == exact.tolist()


@given(ANY)
def test_folding_is_stable_under_case_and_composition(text: str) -> None:
    clean = text.encode("utf-8", "replace").decode()
    assert fold(clean) == fold(unicodedata.normalize("NFD", clean.lower()))


def test_folding_makes_apostrophes_plain_and_survives_surrogates() -> None:
    assert fold("Can\u2019t\ud800") == b"can't?"


@given(ANY, st.integers(0, 50), st.integers(0, 20))
def test_a_cut_keeps_head_and_tail_within_their_bytes(text: str, head: int, tail: int) -> None:
    data = cut(text, head, tail)
    assert len(data) <= head + tail + bool(tail)
    whole = fold(text)
    if len(whole) <= head + tail and len(text) <= head + tail:
        assert data == whole
    elif len(text) > head + tail:
        assert data.startswith(fold(text[:head])[:head])
