"""`chunkguard draft`: a report in, a folder of drafts out.

One rule: nothing is written unless there is a policy to write.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from audit.cases import read_cases
from audit.drafts import CONFIG, draft, write_drafts
from core.types import Mode

OK, NOTHING, FAILED = 0, 1, 2


def run(
    report: Path, out: Path, *, each: int = 3, only: Sequence[int] = (), modes: Sequence[Mode] = (), quiet: bool = False
) -> int:
    """Draft from an audit.json or attribute.json. Returns the exit status. Raises ConfigError, OSError."""
    try:
        found = read_cases(report, each=each, only=only)
    except ValueError as error:
        print(f"chunkguard: {error}", file=sys.stderr)
        return FAILED
    made = draft([case for case in found.cases if not modes or case.mode in modes])
    for number, reason in (*found.left, *made.left):
        print(f"chunkguard: finding {number} is left out: {reason}", file=sys.stderr)
    if not made.policies:
        print(f"chunkguard: {report} holds nothing to draft from", file=sys.stderr)
        return NOTHING
    write_drafts(made, out)
    if not quiet:
        names = ", ".join(str(policy["name"]) for policy in made.policies.values())
        print(f"{names} from {len(made.cases)} findings; see {out / CONFIG}")
    return OK
