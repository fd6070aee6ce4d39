"""The figures of an experiment, computed once, as plain data.

One rule: an answer counts only where it was judged; what is missing is counted as missing and stands nowhere else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.types import MODES
from evaluation.experiment.compare import average, compare, share
from evaluation.experiment.items import PARTS, Item
from evaluation.experiment.state import State, Trial

_DIGITS: Final = 4
_COSTS: Final = ("calls", "tokens", "ms")
_Answers = Mapping[tuple[str, int], Trial]


def figures(items: Sequence[Item], state: State, arms: Sequence[str], samples: int) -> dict[str, Any]:
    """`modes -> arms -> figures of the triggers`, `overall -> arms`, `parts -> arms` for what must stay as it is; `agreement`,
    `missing`, `spent`.

    Of each arm: n, right, misrouted, broken_answers, rate with low and high; against the arm `off`: fixed, broken, their rates
    and intervals, gain, p; mean calls, tokens and milliseconds a request, and what they are beyond `off`, with intervals."""
    by_arm: dict[str, dict[tuple[str, int], Trial]] = {arm: {} for arm in arms}
    known = {item.name for item in items}
    for trial in state.trials.values():
        if trial.outcome and trial.arm in by_arm and trial.item in known:
            by_arm[trial.arm][trial.item, trial.sample] = trial

    def table(wanted: set[str]) -> dict[str, Any]:
        chosen = {arm: {key: one for key, one in found.items() if key[0] in wanted} for arm, found in by_arm.items()}
        return {arm: _figures(found, chosen.get("off", {})) for arm, found in chosen.items() if found}

    triggers = {mode: {i.name for i in items if i.part == "trigger" and i.mode == mode} for mode in MODES}
    return {
        "modes": {mode: table(names) for mode, names in triggers.items() if names},
        "overall": table({item.name for item in items if item.part == "trigger"}),
        "parts": {
            part: table({item.name for item in items if item.part == part})
            for part in PARTS[1:]
            if any(item.part == part for item in items)
        },
        "agreement": agreement(items, by_arm.get("off", {})),
        "missing": _missing(state, len(items) * len(arms) * samples, sum(map(len, by_arm.values()))),
        "spent": {"calls": state.calls, "tokens": state.tokens},
    }


def agreement(items: Sequence[Item], answers: _Answers) -> dict[str, Any]:
    """How the detectors' verdict goes with the judge's on the unguarded answers, by mode of the prompt and in all.

    `both`, `detectors_only`, `judge_only`, `neither`: who calls an answer mis-routed; `share`: agreed; `kappa`: beyond chance,
    None where one of them always says the same. Empty where nobody compared."""
    modes = {item.name: item.mode or "ordinary" for item in items}
    counts: dict[str, Counter[str]] = {}
    for (name, _), trial in answers.items():
        if trial.verdict != "unjudged":
            says = trial.verdict == "misrouted", trial.outcome == "misrouted"
            for group in (modes[name], "all"):
                counts.setdefault(group, Counter())[_SAYS[says]] += 1
    groups = [group for group in (*MODES, "ordinary", "all") if group in counts]
    return {group: _agreed(counts[group]) for group in groups}


_SAYS: Final = {
    (True, True): "both", (True, False): "detectors_only", (False, True): "judge_only", (False, False): "neither",
}  # fmt: skip


def _agreed(counts: Counter[str]) -> dict[str, Any]:
    both, one, other, neither = (counts[name] for name in _SAYS.values())
    n = both + one + other + neither
    agreed = (both + neither) / n
    chance = ((both + one) * (both + other) + (other + neither) * (one + neither)) / n**2
    kappa = None if chance == 1 or both + one in (0, n) or both + other in (0, n) else (agreed - chance) / (1 - chance)
    return {**{name: counts[name] for name in _SAYS.values()}, "share": round(agreed, _DIGITS), "kappa": _rounded(kappa)}


def _missing(state: State, planned: int, judged: int) -> dict[str, Any]:
    """`failed`: asked without a judged answer, with `reasons` by how often; `unasked`: what no run has come to yet."""
    failed = len(state.failed)
    reasons = Counter(failure.why for failure in state.failed.values())
    return {"failed": failed, "unasked": max(0, planned - judged - failed), "reasons": dict(reasons.most_common())}


def _figures(answers: _Answers, off: _Answers) -> dict[str, Any]:
    outcomes = Counter(trial.outcome for trial in answers.values())
    rate, low, high = share([(key[0], trial.outcome == "misrouted") for key, trial in answers.items()]) or (0.0, 0.0, 1.0)
    paired = [(key[0], off[key], trial) for key, trial in answers.items() if key in off]
    means = {cost: average([(key[0], getattr(trial, cost)) for key, trial in answers.items()])[0] for cost in _COSTS}
    return {
        "n": len(answers),
        "right": outcomes["right"],
        "misrouted": outcomes["misrouted"],
        "broken_answers": outcomes["broken"],
        "rate": round(rate, _DIGITS),
        "low": round(low, _DIGITS),
        "high": round(high, _DIGITS),
        **_against([(name, one.outcome == "right", two.outcome == "right") for name, one, two in paired]),
        **{cost: round(mean, 4 if cost == "calls" else 1) for cost, mean in means.items()},
        **_extra(paired),
    }


def _against(answers: Sequence[tuple[str, bool, bool]]) -> dict[str, Any]:
    found = compare(answers)
    gain, low, high = found.gain
    return {
        "fixed": found.pairing.better,
        "broken": found.pairing.worse,
        "fix_rate": _rounded(found.fix[0] if found.fix else None),
        "fix_interval": [round(edge, _DIGITS) for edge in (found.fix or (0.0, 0.0, 1.0))[1:]],
        "break_rate": _rounded(found.breaks[0] if found.breaks else None),
        "break_interval": [round(edge, _DIGITS) for edge in (found.breaks or (0.0, 0.0, 1.0))[1:]],
        "gain": round(gain, _DIGITS),
        "gain_interval": [round(low, _DIGITS), round(high, _DIGITS)],
        "p": found.p,
    }


def _extra(paired: Sequence[tuple[str, Trial, Trial]]) -> dict[str, Any]:
    """What an arm costs beyond `off`, each as [mean, low, high]; nothing where there is no such arm."""
    if not paired:
        return {}
    return {
        f"extra_{cost}": [
            round(edge, 4 if cost == "calls" else 1)
            for edge in average([(name, getattr(two, cost) - getattr(one, cost)) for name, one, two in paired])
        ]
        for cost in _COSTS
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
