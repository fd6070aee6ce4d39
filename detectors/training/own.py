"""Own texts (own/<topic>_<language>.yaml): every line written for this project, one by one, and what each class teaches.

One rule: a class says yes or no to a label only where that is certain; what it is silent about, it does not teach.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

_OWN = Path(__file__).parent / "own"
_FILE = re.compile(r"(?P<topic>[a-z]+)_(?P<lang>[a-z]{2})")
Teaches = Mapping[str, bool]


def _asks(*yes: str, silent: tuple[str, ...] = ()) -> Teaches:
    """All intents of a prompt: these yes, those unsaid, the others no. Neither harm nor distress stands in any of them."""
    names = ("asks_code", "asks_math", "asks_fiction", "asks_extraction", "asks_check", "asks_tool", "distress", "harm")
    return {name: name in yes for name in names if name not in silent}


#: Topic -> class -> what a prompt of that class says about the labels of prompts.
PROMPTS: Mapping[str, Mapping[str, Teaches]] = {
    "harm": {
        "harmful": {"harm": True},
        "benign": {"harm": False},
        "ordinary": {"harm": False, "distress": False},
    },
    "asks": {
        "code": _asks("asks_code", silent=("asks_math", "asks_check", "asks_tool")),
        "not_code": _asks(silent=("asks_math", "asks_extraction", "asks_check")),
        "math": _asks("asks_math", silent=("asks_code", "asks_check")),
        "abstract_calculation": _asks(),
        "fiction": _asks("asks_fiction"),
        "short_how_why": _asks(),
        "extraction": _asks("asks_extraction", silent=("asks_check", "asks_code")),
        "reasoned_scaffold": _asks(silent=("asks_check", "asks_math")),
        "check": _asks("asks_check", silent=("asks_code", "asks_math", "asks_extraction", "asks_tool")),
        "material": _asks(silent=("asks_extraction", "asks_fiction")),
        "tool": _asks("asks_tool", silent=("asks_code", "asks_check")),
        "question": _asks(silent=("asks_extraction", "asks_math")),
    },
    "distress": {
        "framed": {"distress": True},
        "plain": {"distress": True, "asks_code": False, "asks_math": False, "asks_tool": False},
        "look_alike": {"distress": False},
        "task": {"distress": False, "harm": False},
    },
}
#: Topic -> class -> what a reply of that class says about the labels of replies.
REPLIES: Mapping[str, Mapping[str, Teaches]] = {
    "reply": {
        "hard": {"refusal": True, "excused": False},
        "soft": {"refusal": True, "excused": False},
        "accusing": {"refusal": True, "excused": False},
        "partial": {"refusal": True, "excused": False},
        "capability": {"excused": True},
        "missing_input": {"refusal": False, "excused": True},
        "scope": {"refusal": True, "excused": True},
        "privacy": {"refusal": True, "excused": True},
        "compliant": {"refusal": False, "excused": False, "suspicion": False},
        "plain": {"refusal": False, "excused": False, "denial": False, "suspicion": False, "warm": False},
    },
    "rebuttal": {
        "denial": {"refusal": False, "denial": True, "warm": False},
        "suspicion": {"refusal": False, "suspicion": True, "warm": False},
        "correction": {"refusal": False, "denial": True, "warm": False},
        "accept": {"refusal": False, "denial": False, "suspicion": False},
    },
    "distress": {
        "cold": {"refusal": False, "warm": False, "denial": False},
        "warm": {"refusal": False, "warm": True, "denial": False},
    },
}


@dataclass(frozen=True, slots=True)
class Own:
    """One own text. `prompt`: what a reply answers, empty where none was written, or where `text` is the prompt itself."""

    topic: str
    kind: str
    lang: str
    text: str
    prompt: str
    teaches: Teaches


def prompts() -> tuple[Own, ...]:
    """All own prompts."""
    return tuple(own for own in _all() if own.kind in PROMPTS.get(own.topic, {}))


def replies() -> tuple[Own, ...]:
    """All own replies."""
    return tuple(own for own in _all() if own.kind in REPLIES.get(own.topic, {}))


@cache
def _all() -> tuple[Own, ...]:
    return tuple(own for path in sorted(_OWN.glob("*.yaml")) for own in _read(path))


def _read(path: Path) -> Iterator[Own]:
    named = _FILE.fullmatch(path.stem)
    if named is None:  # frames and fillers: see templates.py
        return
    topic, lang = named["topic"], named["lang"]
    for kind, lines in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        asked, said = PROMPTS.get(topic, {}).get(kind), REPLIES.get(topic, {}).get(kind)
        for line in lines:
            if said is not None:
                prompt, text = (line["p"], line["r"]) if isinstance(line, dict) else ("", line)
                yield Own(topic, kind, lang, text, prompt, said)
            elif asked is not None:
                yield Own(topic, kind, lang, line, "", asked)
            else:
                raise ValueError(f"{path.name}: class {kind!r} is in no table of {__name__}")
