"""Reads the shipped policies and tables, and resolves the policies that a route lists.

Owns inheritance (`extends`). One rule: this is the only file of the package that reads anything, and only what is shipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import yaml

from core.types import MODES
from policies.rules import parse_policy
from policies.schema import Policy, Problem

Entry = str | Mapping[str, Any]
Known = Mapping[str, Mapping[str, Any]]


@cache
def load_table(name: str) -> Mapping[str, Any]:
    """A shipped table of `policies/tables`, as plain data."""
    data = yaml.safe_load(files("policies").joinpath("tables", f"{name}.yaml").read_text("utf-8"))
    return MappingProxyType(data)


@cache
def _library_data() -> Mapping[str, Mapping[str, Any]]:
    folder = files("policies").joinpath("library")
    return {mode: yaml.safe_load(folder.joinpath(f"{mode}.yaml").read_text("utf-8")) for mode in MODES}


@cache
def _library() -> tuple[tuple[str, Policy], ...]:
    policies, problems = resolve(list(_library_data().values()), "policies/library")
    if problems:  # a fault of the package, never of a user
        raise ValueError("; ".join(map(str, problems)))
    return tuple((policy.name, policy) for policy in policies)


def load_library() -> dict[str, Policy]:
    """The shipped policies by name, one per mode, in the order of the mode table."""
    return dict(_library())


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`: mappings are merged key by key, everything else (lists too) is replaced.

    A mapping with a `kind` (a hold) is replaced whole: numbers of one kind mean nothing to another."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping) and "kind" not in value
        merged[key] = merge(base[key], value) if nested else value
    return merged


def _expand(entry: Entry, known: Known, source: str) -> tuple[Mapping[str, Any] | None, tuple[Problem, ...]]:
    if isinstance(entry, str):
        data = known.get(entry)
        return data, () if data is not None else (Problem(source, "", f"unknown policy {entry!r}; known: {', '.join(known)}"),)
    if not isinstance(entry, Mapping):
        return None, (Problem(source, "", "a policy is a name or a mapping"),)
    parent = entry.get("extends")
    if not parent:
        return entry, ()
    base = known.get(parent) if isinstance(parent, str) else None
    if base is None:
        return None, (Problem(source, "extends", f"unknown policy {parent!r}; known: {', '.join(known)}"),)
    # Examples prove the parent's triggers and thresholds; a child states its own.
    return merge({key: value for key, value in base.items() if key != "examples"}, entry), ()


def _clashes(policies: Sequence[Policy], source: str) -> list[Problem]:
    problems: list[Problem] = []
    names: set[str] = set()
    specs: dict[str, object] = {}
    for policy in policies:
        if policy.name in names:
            problems.append(Problem(source, f"{policy.name}.name", "two policies of the route have this name"))
        names.add(policy.name)
        for trigger in policy.triggers:
            spec = trigger.spec() if trigger.custom else None
            if specs.setdefault(trigger.name, spec) != spec:
                reason = f"trigger {trigger.name!r} is defined differently by another policy of the route"
                problems.append(Problem(source, f"{policy.name}.triggers", reason))
    return problems


def resolve(entries: Sequence[Entry], source: str) -> tuple[tuple[Policy, ...], tuple[Problem, ...]]:
    """The policies that `entries` name: names of shipped ones, mappings with `extends` and what differs, or whole policies.

    `source` names the file (and route) in problems. An entry may extend an earlier one of the same list. A child with no
    `name` keeps its parent's. Returns what could be read and every problem found; a route is usable only without problems.
    """
    known: dict[str, Mapping[str, Any]] = dict(_library_data())
    policies: list[Policy] = []
    problems: list[Problem] = []
    for number, entry in enumerate(entries):
        where = f"{source}[{number}]"
        data, found = _expand(entry, known, where)
        problems.extend(found)
        if data is None:
            continue
        policy, found = parse_policy(data, where)
        problems.extend(found)
        if policy is not None:
            policies.append(policy)
            known[policy.name] = data
    problems.extend(_clashes(policies, source))
    return tuple(policies), tuple(problems)
