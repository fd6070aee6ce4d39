"""From cases to files: a configuration with drafted policies, recorded exchanges, an experiment's prompts, counter-examples.

One rule: what is written has been read back and run; an example that the detectors decide otherwise is left out and named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from audit.cases import Case
from audit.confirm import rewordings
from audit.triggers import make_triggers
from core.types import MODES, Mode
from core.values import frozen
from policies.loader import load_library, resolve
from proxy.errors import ConfigError, Problem
from proxy.validate import check_examples

CONFIG: Final = "draft.yaml"
RECORDED: Final = "regression.jsonl"
CASES: Final = "cases.jsonl"
PROMPTS: Final = "experiment.jsonl"
COUNTERS: Final = "counterexamples.json"
PAGE: Final = "draft.md"


@frozen
class Drafts:
    """`policies`: entries for a route, by mode. `cases`: those that are in them. `left`: (number, reason) of the others."""

    policies: Mapping[Mode, Mapping[str, Any]]
    cases: tuple[Case, ...]
    left: tuple[tuple[int, str], ...]


def draft(cases: Sequence[Case]) -> Drafts:
    """One policy a mode, which inherits the shipped one and has triggers of its own. Raises ConfigError."""
    policies: dict[Mode, Mapping[str, Any]] = {}
    kept: list[Case] = []
    left: list[tuple[int, str]] = []
    for mode in MODES:
        entry, good, bad = _policy(mode, [case for case in cases if case.mode == mode])
        left += bad
        if good:
            policies[mode] = entry
            kept += good
    return Drafts(policies, tuple(kept), tuple(left))


def _policy(mode: Mode, cases: Sequence[Case]) -> tuple[dict[str, Any], list[Case], list[tuple[int, str]]]:
    triggers: list[Any] = []
    examples: dict[str, list[dict[str, Any]]] = {"match": [], "no_match": []}
    good: list[Case] = []
    left: list[tuple[int, str]] = []
    for case in cases:
        made = make_triggers(f"{mode}_found_{case.number}", case.features, case.wordings, case.spared)
        own = _examples(mode, case, made.triggers)
        if not made.triggers:
            left.append((case.number, f"no trigger can be made of {', '.join(made.unused) or 'its prompts'}"))
        elif not own["match"]:
            left.append((case.number, "there is no prompt of it that a trigger hits"))
        else:
            good.append(case)
            triggers += [one for one in made.triggers if one not in triggers]
            for side, rows in own.items():
                examples[side] += [row for row in rows if row not in examples[side]]
    told = " ".join(case.evidence for case in good)
    entry = {
        "name": f"{mode}.drafted", "extends": mode, "description": load_library()[mode].description, "evidence": told,
        "triggers": triggers, "examples": {side: rows for side, rows in examples.items() if rows},
    }  # fmt: skip
    # A trigger of one case may hit a twin of another: only what holds of all together is written.
    if good:
        entry["examples"] = _holding(entry)
    return entry, good, left


def _examples(mode: Mode, case: Case, triggers: Sequence[Any]) -> dict[str, list[dict[str, Any]]]:
    """Examples of a case that come out as they should."""
    if not triggers:
        return {"match": [], "no_match": []}
    match = [{"prompt": one.prompt, "response": one.answer} for one in case.fails]
    spared = [{"prompt": text} for text in case.spared]
    passing = [{"prompt": one.prompt, "response": one.answer, "expect": "clear"} for one in case.passes]
    entry = {
        "name": f"{mode}.drafted", "extends": mode, "triggers": list(triggers),
        "examples": {"match": [*match, *({"prompt": row["prompt"]} for row in match)], "no_match": [*spared, *passing]},
    }  # fmt: skip
    held = _holding(entry)
    raised = any("response" not in row for row in held.get("match", ()))
    return {"match": held.get("match", []) if raised else [], "no_match": held.get("no_match", [])}


def _holding(entry: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The examples of an entry that the detectors decide as they say."""
    policies, problems = resolve([entry], CONFIG)
    if problems:
        raise ConfigError([Problem(*problem) for problem in problems])
    wrong = {problem.key.partition(".examples.")[2] for problem in check_examples(policies, CONFIG)}
    return {
        side: [row for number, row in enumerate(rows) if f"{side}.{number}" not in wrong]
        for side, rows in entry["examples"].items()
    }


def write_drafts(made: Drafts, out: Path) -> None:
    """All files of a draft. Raises OSError."""
    out.mkdir(parents=True, exist_ok=True)
    settings = {
        "upstreams": {"recorded": {"kind": "replay", "file": RECORDED}},
        "routes": [{"name": "default", "upstream": "recorded", "policies": list(made.policies.values())}],
    }
    head = "# Drafted policies before recorded answers. Read them, then copy what stands under `policies` into yours.\n"
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=130)
    (out / CONFIG).write_text(head + text, encoding="utf-8")
    _lines(out / RECORDED, _recorded(made))
    _lines(out / CASES, _judged(made))
    _lines(out / PROMPTS, _asked(made))
    (out / COUNTERS).write_bytes(orjson.dumps(_counters(made), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    (out / PAGE).write_text(_page(made), encoding="utf-8")


def _lines(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def _recorded(made: Drafts) -> list[dict[str, Any]]:
    """What a replay upstream answers: the first line that matches, so a changed prompt gets a passing answer."""
    rows: list[dict[str, Any]] = []
    for case in made.cases:
        for one in case.fails[:1]:
            rows.append({"name": f"{case.mode} {case.number} fails", "match": {"last_user": one.prompt}, "reply": one.answer})
        for one in case.passes:
            if one.prompt not in {failing.prompt for failing in case.fails}:
                match = {"last_user": one.prompt}
                rows.append({"name": f"{case.mode} {case.number} passes", "match": match, "reply": one.answer})
    for case in made.cases:
        good = [one.answer for one in case.passes if one.prompt == case.fails[0].prompt] or [one.answer for one in case.passes]
        if good:
            again = {"last_user_contains": [case.fails[0].prompt]}
            rows.append({"name": f"{case.mode} {case.number} asked again", "match": again, "reply": good[0]})
    rest = next((one.answer for case in made.cases for one in case.passes), "")
    return [*rows, *([{"name": "any other prompt", "reply": rest}] if rest else [])]


def _judged(made: Drafts) -> list[dict[str, Any]]:
    """Exchanges for `chunkguard scan`, with what it should say of their mode."""
    rows = []
    for case in made.cases:
        for expect, exchanges in (("misrouted", case.fails), ("clear", case.passes)):
            for number, one in enumerate(exchanges):
                name = f"{case.mode}-{case.number}-{expect}-{number}"
                rows.append({"id": name, "mode": case.mode, "expect": expect, "prompt": one.prompt, "response": one.answer})
    return rows


def _asked(made: Drafts) -> list[dict[str, Any]]:
    """Prompts for `chunkguard experiment`: triggers in several wordings, and what is to be left alone."""
    rows = []
    for case in made.cases:
        wordings = dict.fromkeys((*case.wordings, *(text for one in case.wordings[:1] for text in rewordings(one))))
        plains = dict.fromkeys(case.spared)
        for kind, texts in (("trigger", wordings), ("plain", plains)):
            for number, text in enumerate(texts):
                name = f"{case.mode}/{case.number}/{kind}/{number}"
                rows.append({"id": name, "kind": kind, "mode": case.mode, "prompt": text})
    return rows


def _counters(made: Drafts) -> list[dict[str, Any]]:
    """What training rows that undo a finding must be."""
    return [
        {
            "finding": case.number, "mode": case.mode, "features": list(case.features[:8]),
            "prompt_must": "have these features, and not ask for the behaviour", "answer_must_not": f"{case.mode}.unasked",
            "prompts": list(case.wordings), "like": [{"prompt": one.prompt, "answer": one.answer} for one in case.passes],
            "unlike": [{"prompt": one.prompt, "answer": one.answer} for one in case.fails],
        }
        for case in made.cases
    ]  # fmt: skip


def _page(made: Drafts) -> str:
    lines = ["# Draft", "", "| policy | finding | evidence |", "|---|---|---|"]
    lines += [f"| `{case.mode}.drafted` | {case.number} | {case.evidence.replace('|', chr(92) + '|')} |" for case in made.cases]
    lines += ["", *(f"- Finding {number} was left out: {reason}." for number, reason in made.left)]
    lines += [
        "", "```",
        f"chunkguard validate {CONFIG}                    # the policies and their examples",
        f"chunkguard serve --config {CONFIG}              # the recorded exchanges, guarded",
        f"chunkguard scan --in {CASES} --out -         # the shipped policies on them",
        "```", "",
        f"`{PROMPTS}` holds prompts for `chunkguard experiment`, `{COUNTERS}` what rows that undo the findings must be.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)
