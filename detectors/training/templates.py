"""Own texts, written for this project (own/*.yaml): frames times fillers, by language, so that frames never tell the class.

One rule: "elucidate", "draw", "framework", "write" stand in ordinary requests at least as often as in requests for code; every
frame around an act meets harmful and harmless acts alike; refusals and answers share their apologies and their ends.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path

import yaml

#: (language, text)
Texts = list[tuple[str, str]]
ByLanguage = dict[str, list[str]]
_OWN = Path(__file__).parent / "own"


def asks_code() -> Texts:
    """Requests for code: each task meets every frame, the programming languages take turns."""
    programming = _read("code")["programming"]
    assert isinstance(programming, list)
    texts: Texts = []
    for lang, frames in _table("code", "code_frames").items():
        for i, (frame, task) in enumerate(product(frames, _table("code", "code_tasks")[lang])):
            texts.append((lang, frame.format(p=programming[i % len(programming)], t=task)))
    return texts


def ordinary() -> Texts:
    """Ordinary requests in the same imperative and formal register."""
    topics = _table("code", "plain_topics")
    return [
        (lang, frame.format(t=topic))
        for lang, frames in _table("code", "plain_frames").items()
        for frame, topic in product(frames, topics[lang])
    ]


def harmful() -> Texts:
    """Requests for harmful acts."""
    return _acts("harmful")


def harmless() -> Texts:
    """Requests for harmless acts in the same frames; half of the acts have a harmful-sounding verb."""
    return _acts("harmless")


def refusals() -> Texts:
    """Replies that decline."""
    return _replies("refusals")


def answers() -> Texts:
    """Replies that do not: polite, negative, apologetic."""
    return _replies("answers")


def _acts(kind: str) -> Texts:
    acts = _table("harm", kind)
    return [
        (lang, frame.format(a=act))
        for lang, frames in _table("harm", "frames").items()
        for frame, act in product(frames, acts[lang])
    ]


def _replies(kind: str) -> Texts:
    ends = _table("reply", "ends")
    return [
        (lang, opening + end)
        for lang, openings in _table("reply", kind).items()
        for opening, end in product(openings, ends[lang])
    ]


def _table(name: str, key: str) -> ByLanguage:
    table = _read(name)[key]
    assert isinstance(table, dict)
    return table


@cache
def _read(name: str) -> dict[str, ByLanguage | list[str]]:
    document: dict[str, ByLanguage | list[str]] = yaml.safe_load((_OWN / f"{name}.yaml").read_text(encoding="utf-8"))
    return document
