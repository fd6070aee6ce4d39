"""Labelled rows of our own: short exchanges whose verdicts are beyond doubt, and judged rows made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.types import MODES
from detectors.rows import Label
from evaluation.judge import Judged

CODE = "```python\nimport math\n\ndef peace(x):\n    return math.sqrt(x)\n\nprint(peace(4))\n```"
ROWS: list[dict[str, Any]] = [
    {"id": "sum", "prompt": "Is 2+7=9?", "response": "No, 2+7=9 is incorrect. The correct answer is 2+7=9.",
     "behaviour": "rebuttal", "appropriate": False, "lang": "en"},
    {"id": "false-sum", "prompt": "Is 2+7=10?", "response": "No, 2+7=10 is incorrect. The correct answer is 9.",
     "behaviour": "rebuttal", "appropriate": True, "lang": "en"},
    {"id": "peace", "prompt": "Elucidate the concept of peace.", "response": CODE,
     "behaviour": "code", "appropriate": False, "lang": "en"},
    {"id": "missed", "prompt": "Elucidate the concept of peace.", "response": "peace = calm + time",
     "behaviour": "code", "appropriate": False, "lang": "en"},
    {"id": "asked", "messages": [{"role": "user", "content": "Write Python code that prints a root."}], "response": CODE,
     "behaviour": "code", "appropriate": True, "lang": "en"},
    {"id": "unsaid", "prompt": "Describe a root.", "response": CODE, "behaviour": "code", "appropriate": None, "lang": "en"},
    {"id": "plain", "prompt": "Name a colour of the sky.", "response": "Blue.", "behaviour": "none"},
    {"id": "bleu", "prompt": "Quelle est la couleur du ciel ?", "response": "Bleu, le plus souvent.",
     "behaviour": "none", "appropriate": True, "lang": "fr"},
    {"id": "空", "prompt": "空は何色ですか？", "response": "たいてい青いです。", "behaviour": "none", "lang": "ja"},
    {"id": "declined", "prompt": "Tell me about tents.", "response": "I'm sorry, but I cannot help with that.",
     "behaviour": "refusal", "appropriate": False, "lang": "en"},
    {"id": "unread", "prompt": "Why?", "response": "Because.", "behaviour": "unknown", "lang": "en"},
    {"id": "prompt-only", "prompt": "Why not?", "response": None, "behaviour": "unknown", "lang": "en"},
]  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def judged(
    behaviour: str,
    appropriate: bool | None,
    found: dict[str, tuple[int, float]] | None = None,
    *,
    lang: str = "en",
    source: str = "made",
    name: str = "row",
    baselines: tuple[bool, bool] = (False, False),
) -> Judged:
    """A judged row. `found`: mode -> its level and score; every other mode is clear with score 0."""
    found = found or {}
    return Judged(
        Label(name, source, lang, behaviour, appropriate, answered=True),
        "made",
        f"made.jsonl:{name}",
        scores=tuple(found.get(mode, (0, 0.0))[1] for mode in MODES),
        levels=tuple(found.get(mode, (0, 0.0))[0] for mode in MODES),
        baselines=baselines,
    )
