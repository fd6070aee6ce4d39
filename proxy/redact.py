"""Takes what looks like a credential out of a text.

One rule: linear in the text (RE2), and what is known as a key is always taken, whatever patterns an operator adds.
"""

from __future__ import annotations

from collections.abc import Sequence

import re2

GONE = "[redacted]"
#: Forms of keys that providers give out, and of what carries them.
KNOWN = (
    r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}",
    r"(?i)\bbearer\s+[A-Za-z0-9._~+/=-]{12,}",
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"\bAIza[0-9A-Za-z_-]{35}",
    r"\bgh[pousr]_[A-Za-z0-9]{36,}",
    r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
)


class Redactor:
    """`patterns`: further ones, in RE2's syntax. Raises ValueError for one that is none."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        quiet = re2.Options()
        quiet.log_errors = False
        self._patterns = []
        for pattern in (*KNOWN, *patterns):
            try:
                self._patterns.append(re2.compile(pattern, quiet))
            except re2.error as error:
                raise ValueError(f"{pattern!r} is no RE2 pattern: {error}") from None

    def __call__(self, text: str) -> str:
        for pattern in self._patterns:
            text = pattern.sub(GONE, text)
        return text
