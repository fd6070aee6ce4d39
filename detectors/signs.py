"""What the characters of an answer rule out: one pass that says which of the exact checks could find anything at all.

Owns the patterns that both a sign and its check are made of. One rule: a sign is necessary, never sufficient - without it a
check finds nothing, and with it the check looks for itself.
"""

from __future__ import annotations

from collections.abc import Container

from detectors.lexicons import load_table
from detectors.patterns import together

#: Characters read from where the visible answer starts; a check that looks beyond them must look there itself.
SIGN_CHARS = 40_000

#: Where a line of code begins: past its number, a REPL's prompt and its indentation.
LINE_START = r"(?m)^[ \t]*(?:[0-9]{1,3}[.):|] ?)?(?:>>> |\.\.\. )?[ \t]*"
#: A line that starts a program, so that prose cannot look like it.
PROGRAM_LINE = f"{LINE_START}(?:{'|'.join(load_table('response_shape')['program_line'])})"
#: A named protagonist acting in the past tense; it needs the case of the original.
PROTAGONIST_ACTS = (
    r"\b[A-Z][a-z]+(?: [A-Z][a-z]+)? (?:had (?:always|never|just|been|lived|grown)|stood|sat|looked|walked|stared|gazed|"
    r"whispered|smiled|sighed|nodded|laughed|woke|wandered|ran|climbed|knelt|paused|frowned|shivered|clutched|grinned|"
    r"tugged|peered|leaned|felt (?:a|the|his|her)|could (?:see|hear|feel))\b"
)

#: The signs: numbers of the patterns below, in their order.
FENCE, LATEX, SESSION, PROGRAM, PROTAGONIST = range(5)
_PATTERNS = ("```|~~~", r"[$\\]", ">>> ", PROGRAM_LINE, PROTAGONIST_ACTS)


_SIGNS = together(_PATTERNS)


def find_signs(text: str, start: int) -> Container[int]:
    """The signs in the `SIGN_CHARS` characters of `text` from `start` on: 3.5 us for 2 kB, where one search each takes 12."""
    piece = text if not start and len(text) <= SIGN_CHARS else text[start : start + SIGN_CHARS]
    return _SIGNS.Match(piece.encode("utf-8", "replace")) or ()
