"""What a look of `chunkguard doctor` finds.

One rule: whatever is not good comes with what to do about it.
"""

from __future__ import annotations

from typing import Final, Literal

from core.values import frozen

Level = Literal["ok", "warn", "fail"]
GOOD: Final = "ok"
POOR: Final = "warn"
BAD: Final = "fail"


@frozen
class Finding:
    """`about`: the area. `text`: what was found. `advice`: what to do, empty only where all is well."""

    about: str
    level: Level
    text: str
    advice: str = ""
