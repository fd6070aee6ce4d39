"""The main job, end to end: every seed example fixed, every twin left alone, and neither without the guard's remedies."""

from __future__ import annotations

import io
from importlib.resources import as_file, files

import pytest

from proxy.app import App
from proxy.cli import main
from proxy.demo import Result, play, settings
from proxy.records import DecisionRecord


async def results_of(*, without: bool) -> list[Result]:
    records: list[DecisionRecord] = []
    with as_file(files("proxy").joinpath("demo_data", "exchanges.jsonl")) as exchanges:
        own = settings(exchanges, listen="127.0.0.1:0", admin="127.0.0.1:0", without=without)
        app = App(own, on_record=records.append, log_to=io.BytesIO())
        await app.start()
        try:
            return await play(app, records)
        finally:
            await app.stop()


async def test_all_seeds_are_fixed_and_all_twins_are_the_upstreams_bytes() -> None:
    results = await results_of(without=False)
    assert len(results) == 16
    for result in results:
        assert result.good, (result.case.prompt, result.streamed, result.after)
        if result.case.seed:
            assert result.record.first_verdict == "misrouted"
            assert result.record.fixed
        else:
            assert result.record.verdict == "clear"


async def test_nothing_is_fixed_without_injection_and_neutralising() -> None:
    results = await results_of(without=True)
    assert sum(result.fixed for result in results) == 0
    assert all(result.same for result in results)


async def test_the_refused_twin_is_never_retried() -> None:
    results = await results_of(without=False)
    refused = [result for result in results if "break into" in result.case.prompt]
    assert len(refused) == 2
    assert all(len(result.record.attempts) == 1 for result in refused)


def test_the_command_prints_table_and_metrics_and_exits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--once"]) == 0
    said = capsys.readouterr().out
    assert "4 of 4 seed examples fixed (plain)" in said
    assert "4 of 4 seed examples fixed (streamed)" in said
    assert "4 of 4 twins byte for byte as the upstream gave them (streamed)" in said
    assert 'chunkguard_fixes_total{mode="rebuttal",route="guarded"}' in said
