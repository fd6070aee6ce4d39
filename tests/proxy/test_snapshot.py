"""What a snapshot is made of, that a failed one leaves nothing behind, and what the revision stands for."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import Any

import pytest

from core.types import MODES
from policies.loader import load_library
from proxy.config import Settings, build
from proxy.errors import ConfigError
from proxy.snapshot import coverage_rows, observing, prepare, revision_of
from proxy.wire.codecs import CODECS


def settings(policies: Any = ("code",), *, upstreams: Any = None, folder: Path = Path(), **fields: Any) -> Settings:
    data = {
        "upstreams": {"main": {"kind": "openai", "url": "http://127.0.0.1:9"}, **(upstreams or {})},
        "routes": [{"name": "r", "upstream": "main", "policies": list(policies)}],
        **fields,
    }
    return build(data, source="test", folder=folder, env={"KEY": "sk-1"})


async def test_routes_with_the_same_needs_share_their_detectors() -> None:
    routes = [
        {"name": name, "upstream": "main", "policies": policies, "match": {"path_prefix": f"/{name}"}}
        for name, policies in {"a": ["code"], "b": ["code"], "c": ["refusal"], "d": []}.items()
    ]
    snapshot = await prepare(settings(routes=routes))
    try:
        runners = [snapshot.routes[name].runner for name in "abcd"]
        assert runners[0] is runners[1]
        assert runners[0] is not runners[2]
        assert runners[3] is None
        assert len(snapshot.runners) == 2
        assert all(runner.ready for runner in snapshot.runners)
    finally:
        await snapshot.close()
    assert not any(runner.ready for runner in snapshot.runners)


async def test_a_snapshot_that_cannot_be_prepared_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("{not json\n")
    replay = {"zzz": {"kind": "replay", "file": "bad.jsonl"}}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ConfigError, match="jsonl"):
            await prepare(settings(upstreams=replay, folder=tmp_path))
        gc.collect()
    assert [str(warning.message) for warning in caught if warning.category is ResourceWarning] == []


def test_the_revision_changes_with_what_decides_and_holds_no_secret() -> None:
    revision = revision_of(settings())
    assert len(revision) == 12
    assert revision_of(settings()) == revision
    assert revision_of(settings([{"extends": "code", "check": {"misrouted_at": 0.8}}])) != revision
    assert revision_of(settings(limits={"holdout": 0.5})) != revision
    keyed = {"main": {"kind": "openai", "url": "http://127.0.0.1:9", "api_key": "sk-1"}}
    other = {"main": {"kind": "openai", "url": "http://127.0.0.1:9", "api_key": "sk-2"}}
    assert revision_of(settings(upstreams=keyed)) == revision_of(settings(upstreams=other))


def test_a_holdout_observes_all_it_enforced() -> None:
    held = observing(tuple(load_library().values()))
    assert [policy.name for policy in held] == list(load_library())
    assert not any(policy.enforcing for policy in held)


def test_coverage_has_a_row_for_every_policy_streamed_and_not() -> None:
    rows = coverage_rows({"r": tuple(load_library().values()), "bare": ()})
    assert len(rows) == 2 * len(MODES) * len(CODECS)
    assert {row["enforceable"] for row in rows} == {"always", "on_trigger", "observed"}


async def test_a_policy_that_enforces_what_it_does_not_hold_can_only_flag() -> None:
    policy = {"extends": "code", "hold": {"default": "none", "on_trigger": "none"}, "ladder": [{"action": "flag"}]}
    built = settings([{**policy, "boundary": {"inject": "on_trigger"}}])
    assert {row["enforceable"] for row in coverage_rows(built.policies)} == {"flagged"}
