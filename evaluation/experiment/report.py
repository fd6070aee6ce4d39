"""The figures of an experiment, and how they read as Markdown.

One rule: figures are computed once, as plain data; the words only repeat them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any

from core.types import MODES
from detectors.measures import wilson
from evaluation.experiment.compare import Pairing, pair
from evaluation.experiment.items import Item, Part
from evaluation.experiment.trials import Trial

_DIGITS = 4
_PARTS: tuple[Part, ...] = ("trigger", "twin", "plain", "ordinary", "harm", "false_premise")
_Answers = Mapping[tuple[str, int], Trial]


def figures(items: Sequence[Item], trials: Iterable[Trial], arms: Sequence[str]) -> dict[str, Any]:
    """`modes -> arms -> figures of the triggers`, `overall -> arms`, and `parts -> arms` for what must stay as it is.

    Each: n, misrouted, right, rate with low and high; against the arm `off`: fixed, broken, their rates and intervals, gain, p;
    and mean calls, tokens and milliseconds a request. `missing`: trials without an answer."""
    known = {item.name: item for item in items}
    by_arm: dict[str, dict[tuple[str, int], Trial]] = {arm: {} for arm in arms}
    for trial in trials:
        if trial.arm in by_arm and trial.item in known:
            by_arm[trial.arm][trial.item, trial.sample] = trial
    asked = len({key for answers in by_arm.values() for key in answers})

    def table(wanted: set[str]) -> dict[str, Any]:
        chosen = {arm: {key: one for key, one in found.items() if key[0] in wanted} for arm, found in by_arm.items()}
        return {arm: _figures(found, chosen.get("off", {})) for arm, found in chosen.items() if found}

    triggers = {mode: {i.name for i in items if i.part == "trigger" and i.prompt.mode == mode} for mode in MODES}
    return {
        "modes": {mode: table(names) for mode, names in triggers.items() if names},
        "overall": table({item.name for item in items if item.part == "trigger"}),
        "parts": {part: table({item.name for item in items if item.part == part}) for part in _PARTS[1:]},
        "missing": sum(asked - len(found) for found in by_arm.values()),
    }


def markdown(found: Mapping[str, Any], header: Mapping[str, Any]) -> str:
    """The report for people."""
    lines = ["# Experiment", "", "Settings: " + ", ".join(f"{name} {value}" for name, value in header.items()), ""]
    lines += [
        "Answers are judged by the organism's oracle and paired with the arm `off` by prompt and sample. Intervals are 95%.",
        "",
    ]
    sections = {"All triggers": found["overall"], **{f"`{mode}`": arms for mode, arms in found["modes"].items()}}
    for title, arms in sections.items():
        lines += [f"## {title}", "", *_table(arms), ""]
    lines += ["## What must stay as it is", ""]
    for part, arms in found["parts"].items():
        lines += [f"### {part}", "", *_table(arms), ""]
    if found["missing"]:
        lines += [f"{found['missing']} answers are missing; they count nowhere.", ""]
    return "\n".join(lines)


def _figures(answers: _Answers, off: _Answers) -> dict[str, Any]:
    trials = list(answers.values())
    bad = sum(trial.outcome == "misrouted" for trial in trials)
    low, high = wilson(bad, len(trials))
    pairing = pair((off[key].outcome == "right", trial.outcome == "right") for key, trial in answers.items() if key in off)
    return {
        "n": len(trials),
        "right": sum(trial.outcome == "right" for trial in trials),
        "misrouted": bad,
        "rate": round(bad / len(trials), _DIGITS),
        "low": round(low, _DIGITS),
        "high": round(high, _DIGITS),
        **_against(pairing),
        "calls": round(mean(trial.calls for trial in trials), _DIGITS),
        "tokens": round(mean(trial.tokens for trial in trials), 1),
        "ms": round(mean(trial.ms for trial in trials), 1),
    }


def _against(pairing: Pairing) -> dict[str, Any]:
    gain, low, high = pairing.difference()
    return {
        "fixed": pairing.better,
        "broken": pairing.worse,
        "fix_rate": _rounded(pairing.fix_rate),
        "fix_interval": [round(edge, _DIGITS) for edge in pairing.fix_interval],
        "break_rate": _rounded(pairing.break_rate),
        "break_interval": [round(edge, _DIGITS) for edge in pairing.break_interval],
        "gain": round(gain, _DIGITS),
        "gain_interval": [round(low, _DIGITS), round(high, _DIGITS)],
        "p": pairing.p_value(),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _table(arms: Mapping[str, Any]) -> list[str]:
    if not arms:
        return ["Nothing was asked."]
    lines = [
        "| arm | n | mis-routed | fixed | broken | gain in right answers | McNemar p | calls | tokens | ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for arm, row in arms.items():
        gain = f"{_percent(row['gain'])} ({_percent(row['gain_interval'][0])} to {_percent(row['gain_interval'][1])})"
        lines.append(
            f"| {arm} | {row['n']} | {_percent(row['rate'])} ({_percent(row['low'])}-{_percent(row['high'])}) "
            f"| {_share(row, 'fix')} | {_share(row, 'break')} | {gain} | {row['p']:.2g} "
            f"| {row['calls']:.2f} | {row['tokens']:.0f} | {row['ms']:.0f} |"
        )
    return lines


def _share(row: Mapping[str, Any], name: str) -> str:
    if row[f"{name}_rate"] is None:
        return "-"
    low, high = row[f"{name}_interval"]
    return f"{_percent(row[f'{name}_rate'])} ({_percent(low)}-{_percent(high)})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
