"""Rows as batches of token ids, rows of like length together.

One rule: every row is used once, in an order that the seed alone decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random

import torch
from torch import Tensor

from core.values import frozen
from organism.chunks import Row
from organism.tokens import CONTEXT, Tokens


@frozen
class Batch:
    """`ids` (rows, length), filled up with END. `places`: flat indices of the learned positions; `wanted`: their next ids."""

    ids: Tensor
    places: Tensor
    wanted: Tensor


def make_batches(rows: Iterator[Row], tokens: Tokens, seed: int, *, size: int) -> Iterator[Batch]:
    """Batches of about `size` tokens, as long as there are rows (as `make_rows` makes them: without end)."""
    rng = Random(seed)
    while True:
        encoded = []
        for row in islice(rows, 4096):
            prompt, answer = tokens.chat(row.chat), tokens.answer(row.answer)
            if len(prompt) + len(answer) <= CONTEXT:
                encoded.append((prompt, answer))
        encoded.sort(key=lambda pair: len(pair[0]) + len(pair[1]))
        groups = list(_groups(encoded, size))
        rng.shuffle(groups)
        yield from map(_batch, groups)


def _groups(rows: list[tuple[list[int], list[int]]], size: int) -> Iterator[list[tuple[list[int], list[int]]]]:
    group: list[tuple[list[int], list[int]]] = []
    for row in rows:
        if group and (len(group) + 1) * (len(row[0]) + len(row[1])) > size:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _batch(rows: list[tuple[list[int], list[int]]]) -> Batch:
    length = max(len(prompt) + len(answer) for prompt, answer in rows) - 1
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    places: list[int] = []
    wanted: list[int] = []
    for index, (prompt, answer) in enumerate(rows):
        both = (prompt + answer)[:-1]
        ids[index, : len(both)] = torch.tensor(both)
        places += [index * length + place for place in range(len(prompt) - 1, len(both))]
        wanted += answer
    return Batch(ids, torch.tensor(places), torch.tensor(wanted))
