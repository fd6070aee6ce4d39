"""Seeded faults in the core: each must be caught by the tests of the core. `python scripts/core_faults.py [NAME ...]`.

One rule: a fault is a textual patch of today's source, applied alone to a temporary copy; a patch that no longer applies, and a
fault that no test sees, fail the run (exit 1).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = "4000"  # worlds of the property tests tried against each fault
SECONDS = 90  # a fault that hangs the tests is caught, too


@dataclass(frozen=True)
class Fault:
    """Replace `old` (which stands once in `core/<file>.py`) by `new`."""

    name: str
    file: str
    old: str
    new: str


FAULTS = (
    Fault(
        "release before the verdict",
        "exchange",
        "        if attempt.sending and not attempt.tools_seen:\n",
        "        if (attempt.sending or self._pending is not None) and not attempt.tools_seen:\n",
    ),
    Fault(
        "release what came while the verdict was awaited",
        "exchange",
        "        attempt.holdback.clear(self._pending_count)\n",
        "        attempt.holdback.clear(attempt.holdback.count)\n",
    ),
    Fault(
        "release a prefix verdict although the answer is complete",
        "exchange",
        "        if attempt.ended and not last and not self.committed:\n",
        "        if False:\n",
    ),
    Fault(
        "mix attempts: the others are not cancelled at commit",
        "exchange",
        "        self._cancel_all(but=attempt.number)\n",
        "",
    ),
    Fault(
        "mix attempts: reasoning of a retry is released",
        "exchange",
        "        elif attempt.number == self._current == 1 and",
        "        elif attempt.number == self._current and",
    ),
    Fault("drop the last piece", "holdback", "min(count, len(self.pieces))", "min(count, max(1, len(self.pieces) - 1))"),
    Fault(
        "swap the order of pieces",
        "holdback",
        "for piece in self.pieces[self._sent",
        "for piece in self.pieces[::-1][self._sent",
    ),
    Fault("send pieces twice", "holdback", "        self._sent = max(self._sent, self._cleared)\n", ""),
    Fault(
        "take a permission back", "holdback", "max(self._cleared, min(count, len(self.pieces)))", "min(count, len(self.pieces))"
    ),
    Fault(
        "commit twice",
        "exchange",
        "            case _ if (last or misrouted_retry) and not self.committed:\n",
        "            case _ if last or misrouted_retry:\n",
    ),
    Fault("retry after commit", "exchange", "            not step.committed\n            and step.att", "            step.att"),
    Fault(
        "one attempt more than the budget", "exchange", "step.attempts < budgets.attempts", "step.attempts <= budgets.attempts"
    ),
    Fault("forget the time budget", "exchange", "            and step.added_ms < budgets.added_ms\n", ""),
    Fault("forget the token budget", "exchange", "<= budgets.added_tokens", "<= budgets.added_tokens + 10**9"),
    Fault(
        "leave a lost retry running",
        "exchange",
        "            if attempt.number > 1 and attempt.running:\n                self._cancel(attempt)\n",
        "            pass\n",
    ),
    Fault(
        "cancel the first answer when a retry starts", "exchange", "attempt.number > 1 and attempt.running", "attempt.running"
    ),
    Fault(
        "leave the upstream running at the end",
        "exchange",
        "        self._cancel_all()\n        self.state",
        "        self.state",
    ),
    Fault(
        "off by one: prefix and window", "attempt", "if self._uncovered(b) >= chars or", "if self._uncovered(b) >= chars - 1 or"
    ),
    Fault(
        "off by one: prefix and window, late",
        "attempt",
        "if self._uncovered(b) >= chars or",
        "if self._uncovered(b) > chars or",
    ),
    Fault("ignore choice 1", "attempt", "        return ready >= choices\n", "        return ready >= 1\n"),
    Fault("read a slow choice's context again and again", "attempt", "max(begun, ended - context)", "max(0, ended - context)"),
    Fault("lose a character between windows", "attempt", "(ended, builder.length)\n", "(ended, builder.length + 1)\n"),
    Fault("read the whole after windows with context", "exchange", "and (not final or hold.context)", "and not final"),
    Fault(
        "a failed retry is an error",
        "exchange",
        "            self._pending = None\n            self._settle_for_best()\n",
        '            self._finish("failed", failure=failure)\n',
    ),
    Fault(
        "forget the failure of a retry: wait for ever",
        "exchange",
        "            self._pending = None\n            self._settle_for_best()\n",
        "            self._pending = None\n",
    ),
    Fault(
        "wait for the score of a failed attempt",
        "exchange",
        "            self._pending = None\n            self._settle",
        "            self._settle",
    ),
    Fault("relay the error reply of a retry", "exchange", "            if attempt.number == 1:\n", "            if True:\n"),
    Fault(
        "send a misrouted retry instead of the first answer",
        "exchange",
        "            best = candidates[0]\n",
        "            pass\n",
    ),
    Fault(
        "let a misrouted prefix of a retry out",
        "exchange",
        "            case _ if (last or misrouted_retry) and not self.committed:\n",
        "            case _ if last and not self.committed:\n",
    ),
    Fault("the latest attempt wins", "attempt", "self.number,\n        )", "-self.number,\n        )"),
    Fault("rank by probability before the number of choices", "attempt", "            misrouted,\n", "            0,\n"),
    Fault("a probe may answer", "exchange", " and not (a.action and a.action.probe)]", "]"),
    Fault(
        "an undecided probe changes the answer",
        "exchange",
        "        if disagrees and probe.valid",
        "        if disagrees is not False and probe.valid",
    ),
    Fault(
        "an undecided probe settles the suspicion",
        "exchange",
        "        if disagrees is False:\n",
        "        if not disagrees:\n",
    ),
    Fault("a settled suspicion comes back", "attempt", " if f.level is not Level.SUSPECT or f.mode not in self.settled", ""),
    Fault(
        "judge a probe on its prefix",
        "exchange",
        "            return Hold(HoldKind.ALL)\n",
        "            return self._plan.hold\n",
    ),
    Fault(
        "tool calls leave as they come",
        "exchange",
        "        if attempt.sending and not attempt.tools_seen:\n",
        "        if attempt.sending:\n",
    ),
    Fault(
        "reasoning takes the API's refusal with it",
        "attempt",
        "        return bool(self._text or self._refusal)\n",
        "        return bool(self._text)\n",
    ),
    Fault(
        "block after everything has left",
        "exchange",
        "        if last and self.committed and not attempt.holdback.held:\n",
        "        if False:\n",
    ),
    Fault(
        "a stale score is taken for the awaited one",
        "exchange",
        "pending is None or pending.ticket != ticket",
        "pending is None",
    ),
    Fault(
        "lose the pieces a block withholds",
        "exchange",
        "SendBlocked(attempt.number, attempt.holdback.held)",
        "SendBlocked(attempt.number, ())",
    ),
    Fault(
        "finish twice",
        "exchange",
        "        self._commands.append(Finish(outcome))\n",
        "        self._commands.extend([Finish(outcome), Finish(outcome)])\n",
    ),
    Fault("go on after the end", "exchange", "        if self.state is State.DONE:\n            return []\n", ""),
    Fault(
        "pass what could not be judged under fail_closed",
        "exchange",
        "        elif verdict.refused:\n",
        "        elif False:\n",
    ),
    Fault(
        "a timer counts although the prefix was judged",
        "exchange",
        "and attempt.verdict is None and not attempt.tools",
        "and not attempt.tools",
    ),
)


def source(fault: Fault) -> Path:
    return ROOT / "core" / f"{fault.file}.py"


def applies(fault: Fault) -> bool:
    """Whether the patch changes exactly one place of today's source."""
    return source(fault).read_text(encoding="utf-8").count(fault.old) == 1


def caught_by(fault: Fault) -> str:
    """The first test that sees the fault, `hang` where the tests do not end, and nothing if all pass."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("core", "proxy", "tests/core"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        patched = copy / "core" / f"{fault.file}.py"
        patched.write_text(patched.read_text(encoding="utf-8").replace(fault.old, fault.new), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "--tb=no", "--timeout=60", "tests/core"]
        command += ["--ignore=tests/core/test_exchange_faults.py"]
        environment = {**os.environ, "CHUNKGUARD_EXAMPLES": EXAMPLES, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command, cwd=copy, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return "hang"
    if done.returncode == 0:
        return ""
    failed = re.search(r"^(?:FAILED|ERROR) \S*/(\S+)", done.stdout, re.MULTILINE)
    return failed.group(1) if failed else "hang" if "Timeout" in done.stdout + done.stderr else f"exit {done.returncode}"


def main(names: list[str]) -> int:
    survivors = 0
    for fault in FAULTS:
        if names and fault.name not in names:
            continue
        caught = caught_by(fault) if applies(fault) else ""
        verdict = caught or ("SURVIVED" if applies(fault) else "DOES NOT APPLY")
        survivors += not caught
        print(f"{fault.file:9} {fault.name:58} {verdict}", flush=True)
    print(f"{len(names) or len(FAULTS)} faults, {survivors} not caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
