"""A pool out of prompts of one's own: each is a topic, grouped with its like; the authored attributes vary how it is asked.

One rule: deterministic, and no model is asked: the same file gives the same pool.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from attribution.files import files_of, kind_of, plan, read
from attribution.rows import read_examples
from audit.embedding import embed
from audit.grammar import near
from audit.pool import Attribute, Pool, load_pool, own_asks
from detectors.rows import BadRow

#: Prompts at most, characters of one, and prompts a group has on average.
MOST, LONGEST = 2_000, 2_000
_EACH: Final = 12
_ROUNDS: Final = 20
#: From this likeness on two prompts are one.
SAME: Final = 0.95


def read_prompts(file: Path) -> list[str]:
    """The last user turn of every row, or every line of a text file; each once. Raises OSError; ValueError without any."""
    texts = list(_lines(file) if kind_of(file) is None else _rows(file))
    seen: set[str] = set()
    found = []
    for text in texts:
        key = near(text)
        if key and key not in seen and len(text) <= LONGEST:
            seen.add(key)
            found.append(text)
    if not found:
        raise ValueError(f"{file} holds no prompts")
    # A digest decides, so that the first rows of a file are not favoured.
    return sorted(found, key=lambda text: hashlib.sha256(text.encode("utf-8", "replace")).digest())[:MOST]


def _lines(file: Path) -> Iterator[str]:
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield line.strip()


def _rows(file: Path) -> Iterator[str]:
    for part in plan(files_of([file])):
        for each in read(part):
            if not each.reason and (text := _prompt(each.row)):
                yield text


def _prompt(row: dict[str, Any]) -> str:
    """Of a row with or without an answer; empty where it has no prompt."""
    answered = row if "prompt" not in row or "response" in row else {**row, "response": "-"}
    if isinstance(row.get("messages"), list) and row["messages"] and row["messages"][-1].get("role") == "user":
        answered = {**row, "messages": [*row["messages"], {"role": "assistant", "content": "-"}]}
    try:
        examples = read_examples(answered)
    except BadRow:
        return ""
    return examples[-1].prompt.strip() if examples else ""


def pool_of(prompts: Sequence[str]) -> Pool:
    """The pool. Prompts that are alike by their embedding are one."""
    vectors = embed(prompts)
    kept = _distinct(vectors)
    texts = [prompts[place] for place in kept]
    groups = cluster(vectors[kept], max(1, min(40, len(kept) // _EACH)))
    topics: list[Attribute] = []
    counts: dict[int, int] = {}
    for text, group in zip(texts, groups, strict=True):
        counts[group] = counts.get(group, 0) + 1
        topics.append(Attribute(f"like_{group}.{counts[group]}", f"like_{group}", "topic", "topic", text, kind="prompt"))
    shipped = [one for one in load_pool().attributes.values() if one.slot in ("before", "style", "after")]
    return Pool((*shipped, *own_asks(), *topics))


def _distinct(vectors: NDArray[np.float32]) -> list[int]:
    kept: list[int] = []
    for place in range(len(vectors)):
        if not kept or float((vectors[kept] @ vectors[place]).max()) < SAME:
            kept.append(place)
    return kept


def cluster(vectors: NDArray[np.float32], count: int) -> list[int]:
    """Spherical k-means from centres that are far from each other: a group's number for each vector."""
    centres = [vectors.mean(axis=0)]
    while len(centres) < count:
        centres.append(vectors[int((vectors @ np.array(centres).T).max(axis=1).argmin())])
    found = np.array(centres)
    groups = np.zeros(len(vectors), dtype=np.int64)
    for _ in range(_ROUNDS):
        groups = (vectors @ found.T).argmax(axis=1)
        for group in range(count):
            own = vectors[groups == group]
            if len(own):
                found[group] = own.mean(axis=0) / max(float(np.linalg.norm(own.mean(axis=0))), 1e-9)
    return [int(group) for group in groups]


def digest(pool: Pool) -> str:
    """What tells one pool from another."""
    rows = sorted((one.name, one.text) for one in pool.attributes.values())
    return hashlib.sha256(orjson.dumps(rows)).hexdigest()[:16]
