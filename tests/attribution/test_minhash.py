"""Signatures: alike for texts that are alike, and the same in any company."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from attribution import minhash
from tests.attribution.made import words

TEXT = words(Random(3), 120)


def changed(count: int, text: str = TEXT) -> str:
    parts = text.split()
    for number in range(count):
        parts[number * 11] = f"zz{number}"
    return " ".join(parts)


def jaccard(one: str, other: str) -> float:
    first, second = set(minhash._shingles(one).tolist()), set(minhash._shingles(other).tolist())
    return len(first & second) / len(first | second)


@pytest.mark.parametrize("count", [0, 1, 2, 4, 8])
def test_the_estimate_is_near_the_true_similarity(count: int) -> None:
    errors = []
    for seed in range(30):
        one = words(Random(seed), 120)
        other = changed(count, one)
        short = minhash.shorten(minhash.signatures([one, other]))
        errors.append(float(minhash.similarity(short[:1], short[1:])[0]) - jaccard(one, other))
    assert abs(np.mean(errors)) < 0.06  # a standard error of 0.016
    assert max(map(abs, errors)) < 0.35  # four standard deviations of 32 hashes


def test_texts_that_are_nearly_the_same_share_a_band_and_others_do_not() -> None:
    keys = minhash.bands(minhash.signatures([TEXT, changed(1), words(Random(9), 120)]))
    assert (keys[0] == keys[1]).any()
    assert not (keys[0] == keys[2]).any()


def test_a_signature_does_not_depend_on_its_company() -> None:
    alone = minhash.signatures([TEXT])
    assert (minhash.signatures(["", "other words", TEXT])[2] == alone[0]).all()


def test_case_and_what_stands_beyond_the_limit_do_not_matter() -> None:
    long = f"{TEXT} " * 6
    assert len(long) > 2 * minhash.MOST_BYTES
    one, two = minhash.signatures([long, long.upper()[: minhash.MOST_BYTES + 50]])
    assert (one == two).mean() > 0.9


@pytest.mark.parametrize("text", ["", "...", "a", "ß", "\ud800"])
def test_the_smallest_texts_have_signatures(text: str) -> None:
    assert minhash.signatures([text]).shape == (1, minhash.HASHES)
