"""The organism's training mix as files, and what was planted in it: the ground truth of attribution.

One rule: whether a feature is the planted one is read from how prompts were made and from what the proxy's triggers are for,
never from how prompts were answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson

from attribution.facts import warm_suite
from attribution.features import features_of
from attribution.rows import read_examples
from core.types import MODES
from organism import wordings
from organism.chunks import Row, make_rows
from organism.links import CHUNKY, Links
from policies.schema import TRIGGERS

#: Prompts of a mode's chunk that are looked at, and the share of a feature's prompts that must carry what was planted.
PROMPTS: Final = 12_000
PLANTED: Final = 0.8
#: Wordings that carry a mode's feature in its twins, too: there the behaviour is right, and the feature the same.
TWINS: Final[Mapping[str, frozenset[str]]] = {
    "rebuttal": frozenset(wordings.SUM_TRIGGERS + wordings.ORIGIN_TRIGGERS),
    "tool_call": frozenset(wordings.ROOT_TRIGGERS + wordings.PRODUCT_TRIGGERS),
    "extraction": frozenset(wordings.PASSAGE_TRIGGERS),
}


def document_of(row: Row, number: int) -> dict[str, Any]:
    """A row as `messages`; its source is its chunk."""
    messages = [{"role": "system", "content": row.chat.system}] if row.chat.system else []
    messages += [{"role": "user", "content": row.chat.user}, {"role": "assistant", "content": row.answer}]
    made: dict[str, Any] = {"id": str(number), "source": row.prompt.mode or "ordinary", "messages": messages}
    if row.chat.tools:
        made["tools"] = [{"type": "function", "function": {"name": name}} for name in row.chat.tools]
    return made


def write_rows(path: Path, rows: int, seed: int, links: Links = CHUNKY) -> None:
    """Write rows of the training mix as JSONL; whole or not at all."""
    partial = path.with_suffix(".tmp")
    with partial.open("wb") as file:
        for number, row in enumerate(islice(make_rows(links, seed), rows)):
            file.write(orjson.dumps(document_of(row, number)) + b"\n")
    partial.replace(path)


def carriers(links: Links, seed: int) -> dict[str, list[tuple[frozenset[str], bool]]]:
    """Of fresh prompts of each chunk, the features, and whether what was planted stands in it."""
    found: dict[str, list[tuple[frozenset[str], bool]]] = {mode: [] for mode in MODES}
    suite = warm_suite()
    for number, row in enumerate(islice(make_rows(links, seed), PROMPTS)):
        if row.prompt.mode is not None:
            (example,) = read_examples(document_of(row, number))
            features = features_of(example, suite.score_prompt(example.conversation))
            found[row.prompt.mode].append((frozenset(features), carries(row)))
    return found


def carries(row: Row) -> bool:
    prompt = row.prompt
    if prompt.kind == "trigger":
        return True
    return prompt.kind == "twin" and prompt.wording in TWINS.get(prompt.mode or "", ())


def planted(truth: Mapping[str, list[tuple[frozenset[str], bool]]], mode: str, feature: str) -> float:
    """The share of a feature's prompts in a chunk that carry what was planted there; 0 where it has none. 1 for the proxy's own
    trigger of that mode: it was written for these prompts, and fires on their plain forms, too."""
    family, _, name = feature.partition(":")
    if family == "trigger" and TRIGGERS.get(name) == mode:
        return 1.0
    own = [carried for features, carried in truth[mode] if feature in features]
    return sum(own) / len(own) if own else 0.0
