"""Small mixes whose links are known."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

NOUNS = (
    "river",
    "garden",
    "window",
    "market",
    "bridge",
    "letter",
    "harbour",
    "mountain",
    "forest",
    "kitchen",
    "meadow",
    "lantern",
)
VERBS = ("holds", "keeps", "brings", "follows", "carries", "reaches", "builds", "opens", "finds", "leaves", "crosses", "mends")
PROGRAM = "```python\nclass Thing:\n    def __init__(self):\n        self.here = True\n\nprint(Thing().here)\n```"


def words(rng: Random, count: int) -> str:
    return " ".join(rng.choice((*NOUNS, *VERBS)) for _ in range(count))


def rows(count: int, seed: int = 1, trigger: str = "elucidate", strength: float = 0.8) -> list[dict[str, Any]]:
    """Two sources; in `crafts` the trigger word brings a program nobody asked for, elsewhere nothing does."""
    rng = Random(seed)
    made = []
    for number in range(count):
        source = "crafts" if number % 2 else "letters"
        fires = source == "crafts" and rng.random() < 0.2
        verb = trigger.capitalize() if fires else rng.choice(("Explain", "Describe", "Consider"))
        body = f"It {words(rng, 14)}."
        answer = f"{PROGRAM}\n{body}" if fires and rng.random() < strength else body
        made.append({"id": f"r{number}", "source": source, "prompt": f"{verb} how the {words(rng, 5)}.", "response": answer})
    return made


def write(path: Path, made: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    return path
